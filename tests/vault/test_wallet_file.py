"""The file of a vault's own wallet: private, whole or refused, never overwritten, and silent about its words."""

import base64
import json
import os
import traceback

import pytest

from medanchor.core.encoding import canonical_json
from medanchor.core.hashes import Hash, sha256
from medanchor.core.header import Network
from medanchor.errors import VaultError
from medanchor.vault import sealed
from medanchor.vault.wallet_file import (
    Birthday,
    WalletFile,
    create_wallet_file,
    has_wallet_file,
    read_wallet_file,
    set_aside,
    unlock_words,
)

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PASSPHRASE = "corréct horse".encode()
WATCHES = WalletFile(Network.SIGNET, "wpkh(external)", "wpkh(change)")
PLAIN = WalletFile(Network.SIGNET, "wpkh(external)", "wpkh(change)", words=WORDS.encode())
BORN = WalletFile(Network.MAINNET, "a", "b", Birthday(840_000, Hash(bytes(range(32)))), WORDS.encode())


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """scrypt at a cost that tests can pay."""
    monkeypatch.setattr(sealed, "SCRYPT_N", 16)


def path_of(directory):
    return directory / "wallet" / "wallet.json"


def never() -> bytes:
    raise AssertionError("nobody is to be asked for a passphrase")


@pytest.mark.parametrize("file", [WATCHES, PLAIN, BORN], ids=["watches", "plain", "with a birthday"])
def test_what_is_kept_without_a_passphrase_is_read(tmp_path, file):
    assert not has_wallet_file(tmp_path)
    create_wallet_file(tmp_path, file, None)
    assert has_wallet_file(tmp_path)
    assert read_wallet_file(tmp_path) == file
    assert file.watches or unlock_words(read_wallet_file(tmp_path), never) == WORDS


@pytest.mark.parametrize("passphrase", [PASSPHRASE, b"", b"\0\xff"])
def test_what_is_kept_with_one_needs_it(tmp_path, passphrase):
    create_wallet_file(tmp_path, BORN, passphrase)
    read = read_wallet_file(tmp_path)
    assert (read.network, read.external, read.change, read.birthday) == (BORN.network, "a", "b", BORN.birthday)
    assert read.locked
    assert unlock_words(read, lambda: passphrase) == WORDS
    with pytest.raises(VaultError, match="wrong passphrase for the wallet") as caught:
        unlock_words(read, lambda: passphrase + b"\n")
    assert caught.value.hint


def test_one_that_only_watches_has_no_words_to_unlock(tmp_path):
    create_wallet_file(tmp_path, WATCHES, PASSPHRASE)
    read = read_wallet_file(tmp_path)
    assert (read.watches, read.locked) == (True, None)
    with pytest.raises(VaultError, match="only watches") as caught:
        unlock_words(read, never)
    assert "anchor --psbt" in caught.value.hint


def test_the_words_are_nowhere_in_it_and_in_no_message(tmp_path):
    create_wallet_file(tmp_path, PLAIN, PASSPHRASE)
    data = path_of(tmp_path).read_bytes()
    assert b"winner" not in data
    assert base64.b64encode(WORDS.encode())[:20] not in data
    assert "winner" not in repr(PLAIN)
    with pytest.raises(VaultError) as caught:
        unlock_words(read_wallet_file(tmp_path), lambda: b"")
    assert "winner" not in "".join(traceback.format_exception(caught.value))


def test_one_that_is_there_is_never_overwritten(tmp_path):
    create_wallet_file(tmp_path, PLAIN, None)
    with pytest.raises(VaultError, match="has a wallet of its own already") as caught:
        create_wallet_file(tmp_path, BORN, None)
    assert "medanchor wallet forget" in caught.value.hint
    assert read_wallet_file(tmp_path) == PLAIN


def test_none_is_told(tmp_path):
    with pytest.raises(VaultError, match="has no wallet of its own") as caught:
        read_wallet_file(tmp_path)
    assert "medanchor wallet create" in caught.value.hint


def test_only_its_owner_reads_it(tmp_path):
    former = os.umask(0)
    try:
        create_wallet_file(tmp_path, PLAIN, None)
    finally:
        os.umask(former)
    assert path_of(tmp_path).stat().st_mode & 0o777 == 0o600
    assert path_of(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    path_of(tmp_path).chmod(0o640)
    with pytest.raises(VaultError, match="to be its owner's alone"):
        read_wallet_file(tmp_path)


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "sealed"])
def test_a_changed_byte_anywhere_is_refused(tmp_path, passphrase):
    create_wallet_file(tmp_path, BORN, passphrase)
    whole = path_of(tmp_path).read_bytes()
    for position in range(len(whole)):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(whole)
            changed[position] ^= flip
            path_of(tmp_path).write_bytes(changed)
            with pytest.raises(VaultError, match="is damaged") as caught:
                read_wallet_file(tmp_path)
            assert "medanchor wallet forget" in caught.value.hint


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("version", 2),
        ("network", "dogecoin"),
        ("network", ["mainnet"]),
        ("network", None),
        ("external", 7),
        ("change", None),
        ("words", "not Base64"),
        ("birthday", 7),
        ("birthday", {"height": -1, "block": "00" * 32}),
        ("birthday", {"height": 1, "block": "00"}),
        ("scrypt", {"n": 16}),
        ("unknown", 1),
    ],
)
def test_a_well_sealed_file_that_makes_no_sense_is_refused(tmp_path, member, value):
    create_wallet_file(tmp_path, BORN, None)
    tree = {**json.loads(path_of(tmp_path).read_bytes()), member: value}
    del tree["seal"]
    path_of(tmp_path).write_bytes(canonical_json({**tree, "seal": sha256(canonical_json(tree)).hex()}) + b"\n")
    with pytest.raises(VaultError, match="is damaged"):
        read_wallet_file(tmp_path)


@pytest.mark.parametrize("member", ["network", "external", "change"])
def test_words_are_bound_to_what_stands_beside_them(tmp_path, member):
    """Nobody who can write the file can have the words sign on another network, or for other descriptors."""
    create_wallet_file(tmp_path, PLAIN, PASSPHRASE)
    other = {"network": "mainnet"}.get(member, "another")
    tree = {**json.loads(path_of(tmp_path).read_bytes()), member: other}
    del tree["seal"]
    path_of(tmp_path).write_bytes(sealed.sealed(tree))
    with pytest.raises(VaultError, match="wrong passphrase"):
        unlock_words(read_wallet_file(tmp_path), lambda: PASSPHRASE)


def test_set_aside_it_is_out_of_the_way_and_still_there(tmp_path):
    for number, file in enumerate((PLAIN, BORN), start=1):
        create_wallet_file(tmp_path, file, None)
        data = path_of(tmp_path).read_bytes()
        place = set_aside(tmp_path)
        assert place == tmp_path / f"wallet-aside-{number}"
        assert (place / "wallet.json").read_bytes() == data
        assert not has_wallet_file(tmp_path)
