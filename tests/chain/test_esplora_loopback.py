"""The Esplora server of the tests, judged by somebody else's client: BDK's finds a wallet's coins there, and sends."""

import pytest
from loopback_esplora import LoopbackEsplora
from loopback_ledger import Ledger

from medanchor.core.commitment import anchor_script

bdk = pytest.importorskip("bdkpython", reason="the wallet of one's own is an extra")

PAYLOAD = b"MDA1" + bytes(range(32))
COIN = 100_000


@pytest.fixture
def server(tmp_path):
    with LoopbackEsplora(Ledger(tmp_path / "chain")) as server:
        yield server


@pytest.fixture
def wallet():
    secret = bdk.DescriptorSecretKey(bdk.NetworkKind.TEST, bdk.Mnemonic(bdk.WordCount.WORDS12), None)
    receiving, change = (
        bdk.Descriptor.new_bip84(secret, kind, bdk.NetworkKind.TEST)
        for kind in (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL)
    )
    return bdk.Wallet(receiving, change, bdk.Network.REGTEST, bdk.Persister.new_in_memory())


class Client:
    def __init__(self, server, wallet):
        self.esplora = bdk.EsploraClient(server.url)
        self.wallet = wallet

    def scan(self):
        self.wallet.apply_update(self.esplora.full_scan(self.wallet.start_full_scan().build(), 5, 2))
        return self.balance()

    def sync(self):
        self.wallet.apply_update(self.esplora.sync(self.wallet.start_sync_with_revealed_spks().build(), 2))
        return self.balance()

    def balance(self):
        """In blocks, and in all."""
        balance = self.wallet.balance()
        return balance.confirmed.to_sat(), balance.total.to_sat()

    def script(self):
        address = self.wallet.reveal_next_address(bdk.KeychainKind.EXTERNAL).address
        return bytes(address.script_pubkey().to_bytes())

    def anchor(self, rate):
        psbt = bdk.TxBuilder().add_data(PAYLOAD).fee_rate(bdk.FeeRate.from_sat_per_vb(rate)).finish(self.wallet)
        assert self.wallet.sign(psbt)
        return psbt.extract_tx()


@pytest.fixture
def client(server, wallet):
    return Client(server, wallet)


def test_coins_are_found_spent_and_found_again(server, client):
    assert client.scan() == (0, 0)
    server.ledger.fund(client.script(), COIN)
    assert client.sync() == (COIN, COIN)
    transaction = client.anchor(rate=2)
    client.esplora.broadcast(transaction)
    (pooled,) = server.ledger.mempool.values()
    assert pooled.transaction == bytes(transaction.serialize())
    assert pooled.size == transaction.vsize() <= 160
    left = COIN - pooled.fee
    assert client.sync() == (0, left)
    server.ledger.mine()
    assert client.sync() == (left, left)
    server.ledger.reorg(2)
    assert client.sync() == (0, left)
    server.ledger.mine()
    assert client.scan() == (left, left)
    scripts = [bytes(output.script_pubkey.to_bytes()) for output in transaction.output()]
    assert scripts.count(anchor_script(PAYLOAD)) == 1


def test_a_history_of_many_pages(server, client):
    """25 transactions are shown at a time."""
    script, coin = client.script(), next(server.ledger.free_coins())
    for _ in range(60):
        coin = (server.ledger.submit(server.ledger.spend([(1_000, script)], coin=coin)), 1)
    server.ledger.mine()
    assert client.scan() == (60_000, 60_000)
    assert any("/txs/chain/" in request.path for request in server.requests)


def test_what_the_node_refuses_is_an_error(server, client):
    server.ledger.fund(client.script(), COIN)
    client.scan()
    first, second = client.anchor(rate=5), client.anchor(rate=2)
    client.esplora.broadcast(first)
    with pytest.raises(bdk.EsploraError, match="rejecting replacement"):
        client.esplora.broadcast(second)


def test_the_client_is_told_block_by_block(server, client):
    esplora, best = client.esplora, server.ledger.best
    assert esplora.get_height() == 101
    assert bytes(esplora.get_tip_hash().serialize()) == best[101].hash
    assert bytes(esplora.get_block_hash(7).serialize()) == best[7].hash
    coinbase = esplora.get_txid_at_block_index(esplora.get_block_hash(7), 0)
    assert bytes(coinbase.serialize()) == best[7].txids[0]
    assert esplora.get_merkle_proof(coinbase).block_height == 7
    assert esplora.get_tx_status(coinbase).confirmed
    assert not esplora.get_output_status(coinbase, 0).spent
    assert bytes(esplora.get_tx(coinbase).serialize()) == best[7].transactions[0]
    assert esplora.get_fee_estimates()[6] == 5
