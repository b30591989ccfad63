"""Words and descriptors: what a wallet's coins are found by, and what is refused."""

import pytest

from medanchor.core.header import Network
from medanchor.errors import UsageError, WalletError
from medanchor.wallet import library as library_module
from medanchor.wallet.descriptors import Descriptors, from_words, new_words, read_words, watched
from medanchor.wallet.library import from_library, library, network_of, reason, refusals

ABANDON = "abandon " * 11 + "about"
TESTS = [network for network in Network if network is not Network.MAINNET]
PUBLIC = "wpkh([73c5da0a/84h/1h/0h]{key}/{chain}/*)"
KEY = "tpubDC8msFGeGuwnKG9Upg7DM2b4DaRqg3CUZa5g8v2SRQ6K4NSkxUgd7HsL2XVWbVm39yBA4LAxysQAm397zwQSQoQgewGiYZqrA9DsP4zbQ1M"
PRIVATE = (
    "tprv8ZgxMBicQKsPe5YMU9gHen4Ez3ApihUfykaqUorj9t6FDqy3nP6eoXiAo2ssvpAjoLroQxHqr3R5nE3a5dU3DHTjTgJDd7zrbniJr6nrCzd"
)


def first_address(descriptors: Descriptors, chain: int = 0) -> str:
    return str(descriptors.parsed()[chain].derive_address(0, network_of(descriptors.network)))


def refusal(act, kind=UsageError) -> str:
    with pytest.raises(kind) as caught:
        act()
    assert caught.value.hint
    return f"{caught.value.message} {caught.value.hint}"


def test_words_make_the_addresses_that_bip_84_gives_for_them():
    made = from_words(ABANDON, Network.MAINNET)
    assert first_address(made) == "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
    assert first_address(made, 1) == "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"


@pytest.mark.parametrize("network", TESTS)
def test_on_test_networks_they_are_others_and_the_same_on_all(network):
    made = from_words(ABANDON, network)
    prefix = "bcrt1q" if network is Network.REGTEST else "tb1q"
    assert first_address(made).startswith(prefix + "6rz28mcfaxtmd6v789l9rrlrusdprr9p")
    assert (made.external, made.change) == tuple(
        str(library().Descriptor(PUBLIC.format(key=KEY, chain=chain), library().NetworkKind.TEST)) for chain in (0, 1)
    )


def test_no_private_key_is_in_them():
    made = from_words(ABANDON, Network.REGTEST)
    assert "prv" not in made.external + made.change
    assert all(not any(word in str(made) for word in ABANDON.split()) for _ in [0])


def test_new_words_are_twelve_and_new():
    words = {new_words() for _ in range(20)}
    assert len(words) == 20
    assert all(len(one.split()) == 12 and read_words(one) == one for one in words)


@pytest.mark.parametrize("count", [12, 15, 18, 21, 24])
def test_words_of_every_length_are_read_however_they_are_typed(count):
    words = str(library().Mnemonic(library().WordCount[f"WORDS{count}"]))
    assert read_words("  " + words.upper().replace(" ", " \n\t") + "\n") == words


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("", "expected 12, 15, 18, 21 or 24"),
        ("abandon", "expected 12, 15, 18, 21 or 24"),
        ("abandon " * 13, "expected 12, 15, 18, 21 or 24"),
        ("abandon " * 12, "a word is wrong, or two are exchanged"),
        ("about " + "abandon " * 11, "a word is wrong, or two are exchanged"),
        ("secretword " * 12, "one of them is not on the list"),
    ],
)
def test_what_are_no_words_is_told_without_telling_them(wrong, told):
    message = refusal(lambda: read_words(wrong))
    assert told in message
    assert not any(word in message.replace("a word is wrong", "") for word in ("abandon", "secretword"))


def test_a_pair_of_descriptors_and_one_for_both_mean_the_same():
    pair = watched([PUBLIC.format(key=KEY, chain=chain) for chain in (0, 1)], Network.SIGNET)
    both = watched([PUBLIC.format(key=KEY, chain="<0;1>")], Network.SIGNET)
    assert pair == both == from_words(ABANDON, Network.SIGNET)


def test_scripts_and_taproot_are_watched_too():
    for kind in ("tr({})", "wsh(multi(1,{}))", "wsh(sortedmulti(1,{},{}))"):
        texts = [kind.replace("{}", f"{KEY}/{chain}/*") for chain in (0, 1)]
        if "sortedmulti" in kind:
            texts = [f"wsh(sortedmulti(1,{KEY}/{chain}/0/*,{KEY}/{chain}/1/*))" for chain in (0, 1)]
        assert first_address(watched(texts, Network.REGTEST)).startswith("bcrt1")


@pytest.mark.parametrize(
    ("texts", "network", "told"),
    [
        ([], Network.SIGNET, "expected a descriptor of addresses and one of change"),
        ([PUBLIC.format(key=KEY, chain=0)], Network.SIGNET, "expected a descriptor of addresses and one of change"),
        ([PUBLIC.format(key=KEY, chain=0)] * 2, Network.SIGNET, "another descriptor of change"),
        ([PUBLIC.format(key=KEY, chain=0)] * 3, Network.SIGNET, "expected a descriptor of addresses and one of change"),
        ([PUBLIC.format(key=KEY, chain="<0;1;2>")], Network.SIGNET, "expected a descriptor of addresses and one"),
        ([PUBLIC.format(key=KEY, chain="<0;1>")], Network.MAINNET, "no descriptor for mainnet"),
        ([PUBLIC.format(key=PRIVATE, chain="<0;1>")], Network.SIGNET, "found a private key"),
        ([f"pkh({KEY}/<0;1>/*)"], Network.SIGNET, "expected a descriptor wpkh"),
        ([f"sh(wpkh({KEY}/<0;1>/*))"], Network.SIGNET, "expected a descriptor wpkh"),
        ([f"wpkh({KEY}/0/0)", f"wpkh({KEY}/0/1)"], Network.SIGNET, "expected a descriptor wpkh"),
        ([f"wpkh({KEY}/<0;1>/*h)"], Network.SIGNET, "need no private key"),
        ([f"wpkh({KEY}/<0;1>/*')"], Network.SIGNET, "need no private key"),
        ([f"wpkh({KEY}/<0;1>/0h/*)"], Network.SIGNET, "need no private key"),
        ([f"wpkh({KEY}/<0h;1h>/*)"], Network.SIGNET, "need no private key"),
        ([f"wsh(multi(1,{KEY}/0/*,[73c5da0a/48h]{KEY}/0'/*))"], Network.SIGNET, "need no private key"),
        (["wpkh()"], Network.SIGNET, "no descriptor for signet"),
        (["a wallet"], Network.SIGNET, "no descriptor for signet"),
        ([f"wpkh({KEY}/<0;1>/*)#aaaaaaaa"], Network.SIGNET, "no descriptor for signet"),
    ],
)
def test_descriptors_that_are_none_are_told(texts, network, told):
    message = refusal(lambda: watched(texts, network))
    assert told in message
    assert PRIVATE not in message


def test_without_the_library_it_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bdkpython", None)
    message = refusal(library, WalletError)
    assert "bdkpython" in message
    assert "pip install 'medanchor[wallet]'" in message


def test_an_error_of_ours_is_not_taken_for_the_librarys():
    with pytest.raises(KeyError), refusals("it failed", hint="try"):
        raise KeyError
    assert not from_library(KeyError())


def test_an_error_of_the_library_is_told_in_a_line():
    error = library().ElectrumError
    assert reason(error.AllAttemptsErrored()) == "all attempts errored"
    assert len(reason(error.Protocol("x\n" * 1_000))) == library_module._LONGEST
    assert "\n" not in reason(error.Protocol("x\ny"))
    with pytest.raises(WalletError) as caught, refusals("it failed", hint="try"):
        raise error.Protocol("gone")
    assert (caught.value.message, caught.value.hint) == ("it failed: gone", "try")
