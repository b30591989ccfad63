"""The wallet of a `LoopbackNode`: real P2WPKH keys, real signatures, coins of the node's ledger; and its locks.

    with LoopbackNode(tmp_path) as node:
        wallet = LoopbackWallet(node, "clinic")
        wallet.receive(100_000)                   # a coin, in a block of its own
        wallet.passphrase_needed = True           # encrypted, and locked
        wallet.unload()                           # the node has it on its disk and not in its memory
        wallet.psbt_version = 2                   # as Bitcoin Core after version 31

What Bitcoin Core's wallet answers to the calls that medanchor makes, refusals and their numbers included; no more.
"""

import base64
import math
from decimal import Decimal

import pbk
import psbts
from bitcoin.core import COutPoint, CTransaction, CTxIn, CTxOut
from bitcoin.core.script import CScript
from bitcoin.core.serialize import SerializationError
from bitcoin.segwit_addr import decode, encode
from loopback_ledger import Coin, Outpoint, inputs, parsed
from loopback_node import COIN, LoopbackNode, RpcFault

from medanchor.core.hashes import Hash, display

DUST = 294
OPTIONS = {"add_inputs", "change_type", "fee_rate", "minconf", "replaceable", "lockUnspents"}


class LoopbackWallet:
    """The wallet `name` of `node`, which is loaded to begin with.

    `watches_only` takes its keys away, `legacy_change` and `thief` spoil what it makes; `locked` are its locked coins.
    """

    def __init__(self, node: LoopbackNode, name: str = "clinic") -> None:
        self.node, self.name = node, name
        self.keys: dict[bytes, psbts.Key] = {}
        self._locked: set[Outpoint] = set()
        self.passphrase_needed = False
        self.watches_only = False
        self.psbt_version = 0
        self.change_first = False
        self.methods = {method.__name__: method for method in (
            *(self.walletcreatefundedpsbt, self.walletprocesspsbt, self.getbalances, self.getbalance),
            *(self.getnewaddress, self.getaddressinfo, self.lockunspent, self.listlockunspent),
        )}  # fmt: skip
        node.wallets[name] = self.methods
        node.methods.setdefault("loadwallet", lambda *_: None)
        node.methods |= {
            "loadwallet": self._loading(node.methods["loadwallet"]),
            "finalizepsbt": finalizepsbt,
            "getmempoolentry": self.getmempoolentry,
        }

    @property
    def ledger(self):
        return self.node.ledger

    @property
    def locked(self) -> set[Outpoint]:
        """The coins that are locked; a lock ends when its coin is spent."""
        self._locked = {outpoint for outpoint in self._locked if self.ledger.coin(outpoint)}
        return self._locked

    @locked.setter
    def locked(self, coins: set[Outpoint]) -> None:
        self._locked = coins

    def new_script(self) -> bytes:
        key = psbts.Key(f"{self.name} {len(self.keys)}")
        self.keys[key.script] = key
        return key.script

    def receive(self, satoshi: int) -> Outpoint:
        """Get a coin, in a block of its own."""
        script = self.new_script()
        raw = self.ledger.fund(script, satoshi)
        return self._outpoint(raw, script)

    def pay(self, satoshi: int) -> bytes:
        """Get a coin from somebody else that waits to be mined."""
        raw = self.ledger.spend([(satoshi, self.new_script())])
        self.ledger.submit(raw)
        return raw

    def unload(self) -> None:
        del self.node.wallets[self.name]

    def coins(self, *, least: int = 0, mine: bool = True) -> dict[Outpoint, Coin]:
        """What it may spend; with `least` 0 also its own change that waits, without `mine` what others sent too."""
        found = {outpoint: coin for outpoint, coin in self.ledger.coins.items() if self.ledger.coin(outpoint)}
        if least == 0:
            for name, pooled in self.ledger.mempool.items():
                if not mine or all(self._known(spent).script in self.keys for spent in inputs(pooled.transaction)):
                    outputs = [(name, number) for number in range(len(parsed(pooled.transaction).vout))]
                    found |= {one: coin for one in outputs if (coin := self.ledger.coin(one))}
        return {outpoint: coin for outpoint, coin in found.items() if coin.script in self.keys}

    def walletcreatefundedpsbt(self, inputs_, outputs, locktime=0, options=None, bip32derivs=True):
        del bip32derivs
        options = options or {}
        if unknown := options.keys() - OPTIONS:
            raise RpcFault(-3, f"Unexpected key {min(unknown)}")
        if options["change_type"] != "bech32" or not options["replaceable"]:
            raise RpcFault(-3, "not what medanchor asks for")
        rate = Decimal(options["fee_rate"])
        if rate != round(rate, 3):
            raise RpcFault(-3, "Invalid amount")
        chosen = {self._named(one): self._known(self._named(one)) for one in inputs_}
        paid = [CTxOut(0, CScript(b"\x6a" + psbts.sized(bytes.fromhex(one["data"])))) for one in outputs]
        more = [
            (outpoint, coin)
            for outpoint, coin in self.coins(least=options.get("minconf", 0)).items()
            if outpoint not in self.locked and outpoint not in chosen and options.get("add_inputs", not inputs_)
        ]
        more.sort(key=lambda one: -one[1].value)
        while (change := self._change(chosen, paid, rate)) < 0:
            if not more:
                raise RpcFault(-4, "Insufficient funds")
            outpoint, coin = more.pop(0)
            chosen[outpoint] = coin
        if change >= DUST:
            paid.insert(0 if self.change_first else len(paid), CTxOut(change, CScript(self.new_script())))
        spends = [CTxIn(COutPoint(*outpoint), nSequence=0xFFFFFFFD) for outpoint in chosen]
        transaction = CTransaction(spends, paid, nLockTime=locktime, nVersion=2)
        fee = sum(coin.value for coin in chosen.values()) - sum(output.nValue for output in paid)
        told = [(coin.value, coin.script) for coin in chosen.values()]
        psbt = psbts.version_0(transaction, told, [self._transaction(name) for name, _ in chosen])
        psbt = psbts.version_2(psbt) if self.psbt_version else psbt
        return {"psbt": base64.b64encode(psbt.written()).decode(), "fee": fee / COIN, "changepos": -1}

    def walletprocesspsbt(self, psbt, sign=True):
        raw = decoded(psbt)
        if self.passphrase_needed and sign:
            raise RpcFault(-13, "Error: Please enter the wallet passphrase with walletpassphrase first.")
        transaction = parsed(raw.whole[b"\x00"])
        for number, fields in enumerate(raw.inputs):
            value, script = int.from_bytes(fields[b"\x01"][:8], "little"), fields[b"\x01"][9:]
            if (key := self.keys.get(script)) and not self.watches_only:
                fields[b"\x08"] = psbts.witness(key.sign(transaction, number, value), key.public)
        complete = all(b"\x08" in fields for fields in raw.inputs)
        return {"psbt": base64.b64encode(raw.written()).decode(), "complete": complete}

    def getbalances(self):
        own, all_ = self.coins(), self.coins(mine=False)
        trusted, total = (sum(coin.value for coin in coins.values()) for coins in (own, all_))
        mine = {"trusted": trusted / COIN, "untrusted_pending": (total - trusted) / COIN, "immature": Decimal(0)}
        return {"mine": mine, "lastprocessedblock": {"height": self.ledger.tip.height}}

    def getbalance(self, dummy="*", minconf=0):
        del dummy
        return sum(coin.value for coin in self.coins(least=minconf).values()) / COIN

    def getnewaddress(self, label="", address_type="bech32"):
        del label
        if address_type != "bech32":
            raise RpcFault(-5, f"Unknown address type '{address_type}'")
        return encode("bcrt", 0, self.new_script()[2:])

    def getaddressinfo(self, address):
        version, program = decode("bcrt", address)
        if version is None:
            raise RpcFault(-5, "Invalid or unsupported Segwit (Bech32) or Base58 encoding.")
        script = bytes([version, len(program)]) + bytes(program)
        return {"address": address, "scriptPubKey": script.hex(), "ismine": script in self.keys, "iswitness": True}

    def lockunspent(self, unlock, transactions=None):
        if transactions is None:
            self.locked = set() if unlock else self.locked
            return True
        named = [self._named(one) for one in transactions]
        for outpoint in named:
            self._known(outpoint)
            if self.ledger.coin(outpoint) is None:
                raise RpcFault(-8, "Invalid parameter, expected unspent output")
            if unlock and outpoint not in self.locked:
                raise RpcFault(-8, "Invalid parameter, expected locked output")
            if not unlock and outpoint in self.locked:
                raise RpcFault(-8, "Invalid parameter, output already locked")
        self.locked = self.locked - set(named) if unlock else self.locked | set(named)
        return True

    def listlockunspent(self):
        return [{"txid": display(name), "vout": number} for name, number in self.locked]

    def getmempoolentry(self, name):
        entry, own = self.node._getmempoolentry(name), Hash(bytes.fromhex(name)[::-1])
        pool = self.ledger.mempool.items()
        children = [
            display(other) for other, pooled in pool if own in {parent for parent, _ in inputs(pooled.transaction)}
        ]
        return entry | {"spentby": children}

    def _loading(self, others):
        def loadwallet(filename, load_on_startup=None):
            if filename != self.name:
                if others(filename, load_on_startup) is None:
                    raise RpcFault(-18, f"Wallet file verification failed. Failed to load database path '{filename}'.")
                return {"name": filename}
            if filename in self.node.wallets:
                raise RpcFault(-35, f'Wallet "{filename}" is already loaded.')
            self.node.wallets[filename] = self.methods
            return {"name": filename}

        return loadwallet

    def _change(self, chosen, paid, rate: Decimal) -> int:
        """What is left for change, less its own cost; negative if the coins do not do."""
        size = 11 + 68 * len(chosen) + sum(len(output.serialize()) for output in paid)
        left = sum(coin.value for coin in chosen.values())
        with_change = left - math.ceil(rate * (size + 31))
        if with_change >= DUST:
            return with_change
        return 0 if chosen and left >= math.ceil(rate * size) else -1

    def _named(self, one) -> Outpoint:
        return Hash(bytes.fromhex(one["txid"])[::-1]), one["vout"]

    def _transaction(self, name: Hash) -> bytes:
        if name in self.ledger.mempool:
            return self.ledger.mempool[name].transaction
        for block in self.ledger.known.values():
            if name in block.txids:
                return block.transactions[block.txids.index(name)]
        raise RpcFault(-8, "Invalid parameter, unknown transaction")

    def _known(self, outpoint: Outpoint) -> Coin:
        output = parsed(self._transaction(outpoint[0])).vout[outpoint[1]]
        return Coin(output.nValue, bytes(output.scriptPubKey), None)

    def _outpoint(self, raw: bytes, script: bytes) -> Outpoint:
        outputs = [bytes(output.scriptPubKey) for output in parsed(raw).vout]
        return Hash(bytes(parsed(raw).GetTxid())), outputs.index(script)


def decoded(psbt: str) -> psbts.Raw:
    try:
        return psbts.read(base64.b64decode(psbt, validate=True))
    except (ValueError, IndexError, KeyError, SerializationError):
        raise RpcFault(-22, "TX decode failed invalid PSBT") from None


def finalizepsbt(psbt, extract=True):
    raw = decoded(psbt)
    transaction = parsed(raw.whole[b"\x00"])
    stacks = [_stack(fields) for fields in raw.inputs]
    signed = psbts.complete(transaction, [stack or () for stack in stacks])
    if all(stacks) and extract and _holds(raw, signed):
        return {"hex": signed.hex(), "complete": True}
    return {"psbt": psbt, "complete": False}


def _stack(fields: psbts.Map) -> list[bytes] | None:
    """The witness of an input: the final one, or that of its one signature."""
    if b"\x08" in fields:
        items = psbts.MAGIC + fields[b"\x08"][1:]  # a count of two, then signature and key with their lengths
        first = items[5]
        return [items[6 : 6 + first], items[7 + first :]]
    partial = [(key[1:], value) for key, value in fields.items() if key[:1] == b"\x02"]
    return [partial[0][1], partial[0][0]] if partial else None


def _holds(raw: psbts.Raw, signed: bytes) -> bool:
    transaction = pbk.Transaction(signed)
    coins = [(int.from_bytes(fields[b"\x01"][:8], "little"), fields[b"\x01"][9:]) for fields in raw.inputs]
    spent = [pbk.TransactionOutput(pbk.ScriptPubkey(script), value) for value, script in coins]
    known = pbk.script.PrecomputedTransactionData(transaction, spent)
    return all(
        pbk.ScriptPubkey(script).verify(value, transaction, known, number, pbk.ScriptVerificationFlags.ALL)
        for number, (value, script) in enumerate(coins)
    )
