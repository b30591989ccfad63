"""Each way in which a node, its wallet or the way to them can fail, as users see it: one error, one hint, no secret."""

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from loopback_http import drip, endless, garbage, half, hang, redirect, reset, status
from loopback_node import LoopbackNode, fails
from loopback_wallet import LoopbackWallet
from transcript import Transcript, assert_one_error, run

from medanchor.net.server import Patience

SECRET = "open-sesame"  # noqa: S105 - it opens nothing
CHAIN, WALLET = 6, 7

Fails = Callable[[LoopbackNode], object]


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node that is well, with a wallet, and a vault that has something to anchor there."""
    monkeypatch.setattr(Patience.__init__, "__defaults__", (0.4, 2, 0.01))
    (tmp_path / "node").mkdir()
    with LoopbackNode(tmp_path / "node") as node:
        node.ledger.mine(3)
        LoopbackWallet(node, "clinic").receive(100_000)
        monkeypatch.setenv("MEDANCHOR_NODE_COOKIE", str(node.cookie))
        assert run("init", "--node", node.url, "--wallet", "core clinic").code == 0
        assert run("stamp", "visit").code == 0
        yield node


def always(fault) -> Fails:
    return lambda node: node.plan(always=fault)


def elsewhere(node: LoopbackNode) -> None:
    node.chain = "signet"


def locked(node: LoopbackNode) -> None:
    node.wallets["clinic"]["walletprocesspsbt"].__self__.passphrase_needed = True


def bare(node: LoopbackNode) -> None:
    node.wallets["clinic"]["walletprocesspsbt"].__self__.watches_only = True


def congested(node: LoopbackNode) -> None:
    node.ledger.min_rate = Decimal(500)


def without_wallets(node: LoopbackNode) -> None:
    node.wallets["clinic"] = {name: fails_with(-32601) for name in node.wallets["clinic"]}


def fails_with(code: int) -> Callable[..., object]:
    from loopback_node import RpcFault

    def method(*_: object) -> object:
        raise RpcFault(code, "Method not found")

    return method


FAILURES: dict[str, tuple[Fails, int, tuple[str, ...]]] = {
    "warming up": (always(fails(-28, "Loading block index…")), CHAIN, ("is still starting", "try again")),
    "refused": (always(reset), CHAIN, ("cannot be reached", "is it running")),
    "silent": (always(hang), CHAIN, ("did not answer within 0.4 seconds",)),
    "dripping": (always(drip), CHAIN, ("did not answer within 0.4 seconds",)),
    "endless": (always(endless), CHAIN, ()),
    "cut off": (always(half), CHAIN, ()),
    "a web page": (always(garbage(b"<html>Welcome</html>")), CHAIN, ("none of Bitcoin Core's", "config.toml")),
    "moved": (always(redirect(301, "http://127.0.0.1:9/")), CHAIN, ("points elsewhere",)),
    "forbidden": (always(status(403)), CHAIN, ("does not let", "rpcallowip")),
    "overloaded": (always(status(503)), CHAIN, ("HTTP 503", "later")),
    "another network": (elsewhere, CHAIN, ("expected a node of regtest", "signet")),
    "another cookie": (
        lambda node: node.cookie.write_text(f"__cookie__:{SECRET}"),
        CHAIN,
        ("does not accept the cookie in ",),
    ),
    "no cookie": (lambda node: node.cookie.unlink(), CHAIN, ("cannot be read: no such file", "is the node running")),
    "no such cookie": (lambda node: node.cookie.write_text(SECRET), CHAIN, ("expected a cookie", "found something")),
    "a locked wallet": (locked, WALLET, ("the Bitcoin Core wallet clinic is locked", "walletpassphrase")),
    "a wallet without keys": (bare, WALLET, ("has not the keys", "--psbt FILE")),
    "no such wallet": (lambda node: node.wallets.pop("clinic"), WALLET, ("is not there", "createwallet")),
    "no wallets": (without_wallets, WALLET, ("runs without wallets", "disablewallet")),
    "a full mempool": (congested, CHAIN, ("does not take the transaction now: min relay fee", "fees are lower")),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_once_and_passes(node, name):
    fail, code, words = FAILURES[name]
    secret = node.users["__cookie__"]
    wallet = node.wallets["clinic"]
    if name == "no such wallet":
        node.methods["loadwallet"] = fails_with(-18)
    fail(node)
    told = run("anchor")
    assert_one_error(told, code, *words)
    as_json = run("anchor", "--json")
    assert as_json.code == code
    assert set(json.loads(as_json.out or as_json.err)) >= {"error"}
    others = [run("status"), run("doctor"), run("wallet", "balance"), run("audit"), run("verify", "visit")]
    assert all(found.code in {0, 3, 5, CHAIN, WALLET} for found in others)
    for found in (told, as_json, *others):
        assert_nothing_shown(found, secret)
    make_well(node, secret, wallet)
    assert run("anchor").code == 0
    node.ledger.mine(6)
    assert run("anchor").code == 0
    assert run("verify", "visit").code == 0
    assert [anchor["state"] for anchor in run("status", "--json").json["anchors"]] == ["settled"]


def make_well(node: LoopbackNode, secret: str, wallet: dict) -> None:
    node.plan()
    node.chain = "regtest"
    node.cookie.write_text(f"__cookie__:{secret}")
    node.ledger.min_rate = Decimal("0.1")
    node.wallets["clinic"] = wallet
    teller = wallet["walletprocesspsbt"].__self__
    teller.passphrase_needed = teller.watches_only = False


def assert_nothing_shown(found: Transcript, secret: str) -> None:
    shown = found.out + found.err
    assert secret not in shown
    assert SECRET not in shown
    assert "Traceback" not in shown
    assert "0x" not in shown  # of no Python object


def test_a_password_that_is_wrong_is_not_shown(node, user):
    config = user / "home/.local/share/medanchor/config.toml"
    url = node.url.replace("//", f"//hospital:{SECRET}@")
    config.write_text(config.read_text().replace(node.url, url))
    told = run("anchor")
    assert_one_error(told, CHAIN, "does not accept the user and password", "config.toml")
    for found in (told, run("status"), run("doctor"), run("wallet", "address"), run("anchor", "--json")):
        assert_nothing_shown(found, node.users["__cookie__"])
