"""How the tests of Bitcoin Core's wallet pay, sign elsewhere, and look at what came of it."""

import psbts
from bitcoin.core import CTransaction
from loopback_ledger import Outpoint, inputs
from loopback_wallet import LoopbackWallet

from medanchor.core.header import Network
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.net.rpc import Rpc
from medanchor.net.server import Patience
from medanchor.wallet.core import CoreWallet
from medanchor.wallet.psbt import read_psbt

PAYLOAD = b"MDA1" + b"\x01" * 32
NEWER = b"MDA1" + b"\x02" * 32


def core(wallet: LoopbackWallet, network: Network = Network.REGTEST, patience: Patience | None = None) -> CoreWallet:
    rpc = Rpc(wallet.node.url, network, cookie=wallet.node.cookie, patience=patience)
    return CoreWallet(rpc, network, wallet.name)


def payload_of(transaction: bytes) -> bytes:
    return anchored_payload(strip_witness(transaction))


def spent(transaction: bytes) -> set[Outpoint]:
    return set(inputs(transaction))


def signed_elsewhere(wallet: LoopbackWallet, psbt: bytes, *, final: bool) -> bytes:
    raw = psbts.read(psbt)
    transaction = CTransaction.deserialize(raw.whole[b"\x00"])
    for number, (fields, coin) in enumerate(zip(raw.inputs, read_psbt(psbt).coins, strict=True)):
        key = wallet.keys[coin.script]
        signature = key.sign(transaction, number, coin.value)
        more = {b"\x08": psbts.witness(signature, key.public)} if final else {b"\x02" + key.public: signature}
        fields.update(more)
    return raw.written()
