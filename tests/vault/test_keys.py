"""Key files: private, whole or refused, never overwritten, and silent about their secrets."""

import base64
import json
import traceback

import pytest
from vaulted import no_passphrase

from medanchor.core.hashes import sha256
from medanchor.core.proof import canonical_json
from medanchor.core.signature import signature_holds
from medanchor.errors import UsageError, VaultError
from medanchor.vault import sealed
from medanchor.vault.keys import change_passphrase, create_key, list_keys, read_key, unlock

WRONG = "wröng guess".encode()
PASSPHRASE = "corréct horse".encode()
REAL_COST = sealed.SCRYPT_N


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """scrypt at a cost that tests can pay; what is sealed says what it cost."""
    monkeypatch.setattr(sealed, "SCRYPT_N", 16)


def make(directory, name="k", passphrase=None):
    return create_key(directory, name, "Dr A. Example", "physician", passphrase)


def path_of(directory, name="k"):
    return directory / "keys" / f"{name}.key"


def answer(passphrase):
    return lambda _name: passphrase


def resealed(tree):
    """A key file that says `tree`, with the seal that fits."""
    bare = {name: value for name, value in tree.items() if name != "seal"}
    return canonical_json({**bare, "seal": sha256(canonical_json(bare)).hex()}) + b"\n"


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE, b"", b"\0\xff"], ids=["plain", "sealed", "empty", "bytes"])
def test_a_key_that_was_made_signs(tmp_path, passphrase):
    made = make(tmp_path, passphrase=passphrase)
    read = read_key(tmp_path, "k")
    assert read == made
    signer = unlock(read, no_passphrase if passphrase is None else answer(passphrase))
    assert signature_holds(signer.public, signer.sign(b"message"), b"message")
    assert (signer.label, signer.role, read.person) == ("Dr A. Example", "physician", "Dr A. Example (physician)")


def test_sealing_costs_what_guessing_must_cost():
    assert REAL_COST >= 1 << 17
    assert sealed.MAX_SCRYPT_N * sealed.SCRYPT_R * 128 == 1 << 30


@pytest.mark.parametrize("wrong", [b"", b"correct horse", PASSPHRASE + b"\n", PASSPHRASE.upper()])
def test_a_wrong_passphrase_opens_nothing(tmp_path, wrong):
    key = make(tmp_path, passphrase=PASSPHRASE)
    with pytest.raises(VaultError, match="wrong passphrase for the key k"):
        unlock(key, answer(wrong))


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "sealed"])
def test_a_changed_byte_anywhere_is_refused(tmp_path, passphrase):
    make(tmp_path, passphrase=passphrase)
    whole = path_of(tmp_path).read_bytes()
    for position in range(len(whole)):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(whole)
            changed[position] ^= flip
            path_of(tmp_path).write_bytes(changed)
            with pytest.raises(VaultError, match="the key file of k is damaged"):
                read_key(tmp_path, "k")


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data[: len(data) // 2],
        lambda _: b"[" * 50_000,
        lambda data: b"\xff" + data,
        lambda data: data.replace(b",", b", ", 1),
        lambda _: b"null\n",
    ],
    ids=["empty", "newline-missing", "newline-twice", "half", "deep", "not-text", "space", "null"],
)
def test_a_file_that_is_not_exactly_a_key_is_refused(tmp_path, damage):
    make(tmp_path)
    path_of(tmp_path).write_bytes(damage(path_of(tmp_path).read_bytes()))
    with pytest.raises(VaultError, match="the key file of k is damaged"):
        read_key(tmp_path, "k")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("version", 2),
        ("version", True),
        ("name", "another"),
        ("secret", base64.b64encode(bytes(31)).decode()),
        ("public", base64.b64encode(bytes(33)).decode()),
        ("label", 7),
        ("unknown", 1),
        ("scrypt", None),
        ("scrypt", {"n": 16}),
    ],
)
def test_a_well_sealed_file_that_makes_no_sense_is_refused(tmp_path, member, value):
    make(tmp_path)
    path_of(tmp_path).write_bytes(resealed({**json.loads(path_of(tmp_path).read_bytes()), member: value}))
    with pytest.raises(VaultError, match="the key file of k is damaged"):
        read_key(tmp_path, "k")


@pytest.mark.parametrize("cost", [-16, 0, 1, 15, 1 << 21, 1 << 62])
def test_a_cost_that_is_no_cost_or_would_take_all_memory_is_refused(tmp_path, cost):
    make(tmp_path, passphrase=PASSPHRASE)
    tree = json.loads(path_of(tmp_path).read_bytes())
    path_of(tmp_path).write_bytes(resealed({**tree, "scrypt": {**tree["scrypt"], "n": cost}}))
    with pytest.raises(VaultError, match="the key file of k is damaged"):
        read_key(tmp_path, "k")


def test_the_holder_is_bound_to_the_sealed_secret(tmp_path):
    """Whoever can write the file can mend its seal, but not make a sealed key sign under another name."""
    make(tmp_path, passphrase=PASSPHRASE)
    tree = json.loads(path_of(tmp_path).read_bytes())
    path_of(tmp_path).write_bytes(resealed({**tree, "label": "Dr M. Mallory"}))
    with pytest.raises(VaultError, match="wrong passphrase"):
        unlock(read_key(tmp_path, "k"), answer(PASSPHRASE))


def test_halves_that_do_not_match_are_refused(tmp_path):
    make(tmp_path)
    make(tmp_path, "other")
    tree, other = (json.loads(path_of(tmp_path, name).read_bytes()) for name in ("k", "other"))
    path_of(tmp_path).write_bytes(resealed({**tree, "public": other["public"]}))
    with pytest.raises(VaultError, match="its halves do not match"):
        unlock(read_key(tmp_path, "k"), no_passphrase)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o620, 0o601])
def test_a_key_that_others_can_reach_is_refused(tmp_path, mode):
    make(tmp_path)
    path_of(tmp_path).chmod(mode)
    with pytest.raises(VaultError, match=f"found mode {mode:04o}"):
        read_key(tmp_path, "k")


def test_a_key_is_never_overwritten(tmp_path):
    make(tmp_path)
    before = path_of(tmp_path).read_bytes()
    with pytest.raises(VaultError, match="there is a key named k already"):
        make(tmp_path)
    assert path_of(tmp_path).read_bytes() == before
    assert [path.name for path in path_of(tmp_path).parent.iterdir()] == ["k.key"]


def test_a_missing_key_is_told_with_what_to_do(tmp_path):
    with pytest.raises(VaultError, match="there is no key named k in the vault") as caught:
        read_key(tmp_path, "k")
    assert "medanchor key list" in caught.value.hint


def test_a_directory_is_no_key(tmp_path):
    path_of(tmp_path).mkdir(parents=True, mode=0o700)
    with pytest.raises(VaultError, match="is a directory"):
        read_key(tmp_path, "k")


@pytest.mark.parametrize("name", ["", ".", "..", "../k", "a/b", "A", "é", "-k", "k\n", "k\0", "x" * 65, " k"])
def test_names_that_could_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(UsageError):
        make(tmp_path, name)
    with pytest.raises(UsageError):
        read_key(tmp_path, name)


@pytest.mark.parametrize("label", ["two\nlines", "\x1b[31mred", "x" * 101, "\0", "\u202eyb dengis"])
def test_labels_that_would_spoil_a_line_are_refused(tmp_path, label):
    with pytest.raises(UsageError):
        create_key(tmp_path, "k", label, "", None)
    with pytest.raises(UsageError):
        create_key(tmp_path, "k", "", label, None)
    assert list_keys(tmp_path) == []


def test_keys_are_listed_by_name_without_what_lies_beside_them(tmp_path):
    make(tmp_path, "b")
    make(tmp_path, "a")
    (tmp_path / "keys" / ".a.key.tmp").touch()
    (tmp_path / "keys" / ".draft.key").touch()
    (tmp_path / "keys" / "notes.txt").touch()
    assert list_keys(tmp_path) == ["a", "b"]


def test_a_passphrase_can_be_set_changed_and_taken_away(tmp_path):
    public = make(tmp_path).public
    for old, new in ((None, b"one"), (b"one", b"two"), (b"two", None)):
        ask = no_passphrase if old is None else answer(old)
        change_passphrase(tmp_path, read_key(tmp_path, "k"), ask, new)
        key = read_key(tmp_path, "k")
        assert (key.locked is None) == (new is None)
        assert unlock(key, no_passphrase if new is None else answer(new)).public == public
        assert path_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_a_wrong_passphrase_changes_nothing(tmp_path):
    key = make(tmp_path, passphrase=PASSPHRASE)
    before = path_of(tmp_path).read_bytes()
    with pytest.raises(VaultError, match="wrong passphrase"):
        change_passphrase(tmp_path, key, answer(b"wrong"), b"new")
    assert path_of(tmp_path).read_bytes() == before


def test_sealing_twice_never_gives_the_same_bytes(tmp_path):
    first = make(tmp_path, passphrase=PASSPHRASE).locked
    change_passphrase(tmp_path, read_key(tmp_path, "k"), answer(PASSPHRASE), PASSPHRASE)
    second = read_key(tmp_path, "k").locked
    assert first.salt != second.salt
    assert first.nonce != second.nonce


def test_a_secret_is_never_told(tmp_path):
    plain = make(tmp_path)
    sealed = make(tmp_path, "s", PASSPHRASE)
    told = [repr(plain), str(plain), repr(unlock(plain, no_passphrase)), repr(sealed)]
    for act in (lambda: unlock(sealed, answer(WRONG)), lambda: make(tmp_path)):
        with pytest.raises(VaultError) as caught:
            act()
        told += ["".join(traceback.format_exception(caught.value)), repr(vars(caught.value))]
    for secret in (plain.secret, sealed.secret, WRONG, PASSPHRASE):
        spellings = {repr(secret), repr(secret)[2:-1], secret.hex(), base64.b64encode(secret).decode()}
        assert not [line for line in told for spelling in spellings if spelling in line]
    assert PASSPHRASE not in path_of(tmp_path, "s").read_bytes()
