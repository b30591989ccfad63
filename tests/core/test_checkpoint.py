"""Checkpoints: C2SP's spelling, Go's own key and note, and one signature that counts."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from making import KEY, PRIVATE, attempt, hashes, modest, mutations

from medanchor.core.checkpoint import (
    check_origin,
    checkpoint_body,
    checkpoint_key_id,
    sign_checkpoint,
    verifier_key,
    verify_checkpoint,
)
from medanchor.core.commitment import TreeHead
from medanchor.core.hashes import Hash, sha256
from medanchor.core.signature import signature_holds
from medanchor.errors import MalformedProofError, Step, VerificationError

# The key and the note in the documentation and tests of golang.org/x/mod/sumdb/note.
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SIGNER = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
SUM_GOLANG_ORG = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

# The text of C2SP tlog-checkpoint's example, without its signature.
C2SP_BODY = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

HEAD = TreeHead("records.hospital.example/ward-7", 9, sha256(b"root"))
NOTE = sign_checkpoint(HEAD, KEY, PRIVATE.sign)


def resigned(body, *, name=None, key=KEY, sign=PRIVATE.sign, after=""):
    """A note whose signature is good for `body`, whatever that is."""
    name = body.split("\n")[0] if name is None else name
    data = checkpoint_key_id(name, key) + sign(body.encode())
    return f"{body}\n\u2014 {name} {base64.b64encode(data).decode()}\n{after}"


def refused(note, key=KEY):
    with pytest.raises(VerificationError) as caught:
        verify_checkpoint(note, key)
    return caught.value


@pytest.mark.parametrize("vkey", [GO_VERIFIER, SUM_GOLANG_ORG])
def test_keys_are_named_and_spelled_as_gos_are(vkey):
    name, key_id, data = vkey.split("+", 2)
    key = base64.b64decode(data)[1:]
    assert checkpoint_key_id(name, key).hex() == key_id
    assert verifier_key(name, key) == vkey


def test_a_key_id_is_c2sps_formula():
    assert checkpoint_key_id("a.example", KEY) == hashlib.sha256(b"a.example\n\x01" + KEY).digest()[:4]


def test_gos_note_is_signed_as_ours_are():
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(GO_SIGNER)[1:])
    key = private.public_key().public_bytes_raw()
    signature = base64.b64decode(GO_SIGNATURE)
    assert signature == checkpoint_key_id("PeterNeumann", key) + private.sign(GO_TEXT)
    assert signature_holds(key, signature[4:], GO_TEXT)


def test_a_checkpoint_by_gos_key_reads_as_gos_note_does():
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(GO_SIGNER)[1:])
    key = private.public_key().public_bytes_raw()
    head = TreeHead("PeterNeumann", 20852163, sha256(b""))
    text, signature = sign_checkpoint(head, key, private.sign).split("\n\n")
    assert text + "\n" == "PeterNeumann\n20852163\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert signature.startswith("\u2014 PeterNeumann x08go")
    assert verify_checkpoint(sign_checkpoint(head, key, private.sign), key) == head


def test_the_body_is_c2sps_example():
    root = Hash(base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="))
    head = TreeHead("example.com/behind-the-sofa", 20852163, root)
    assert checkpoint_body(head) == C2SP_BODY
    assert verify_checkpoint(resigned(C2SP_BODY.decode()), KEY) == head


@given(st.from_regex(r"[A-Za-z0-9._~/-]{1,60}", fullmatch=True), st.integers(0, (1 << 63) - 1), hashes)
@modest
def test_a_signed_head_comes_back(origin, size, root):
    head = TreeHead(origin, size, root)
    note = sign_checkpoint(head, KEY, PRIVATE.sign)
    assert note == resigned(checkpoint_body(head).decode())
    assert verify_checkpoint(note, KEY) == head


@given(st.text(max_size=80) | mutations([NOTE.encode()]).map(lambda data: data.decode("utf-8", "surrogateescape")))
@modest
def test_any_text_is_refused_or_is_the_note(note):
    head = attempt(lambda: verify_checkpoint(note, KEY), Step.FORMAT, Step.LEDGER)
    assert head is None or (note, head) == (NOTE, HEAD)


def test_every_bit_of_a_note_counts():
    data = NOTE.encode()
    for at in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        refused(flipped.decode("utf-8", "surrogateescape"))


ROOT = base64.b64encode(HEAD.root).decode()
BAD_BODIES = {
    "size-with-a-zero-before": f"a.example\n09\n{ROOT}\n",
    "size-with-a-sign": f"a.example\n+9\n{ROOT}\n",
    "negative-size": f"a.example\n-9\n{ROOT}\n",
    "no-size": f"a.example\n\n{ROOT}\n",
    "size-of-20-digits": f"a.example\n{10**19}\n{ROOT}\n",
    "size-of-64-bits": f"a.example\n{1 << 63}\n{ROOT}\n",
    "size-in-arabic-digits": f"a.example\n\u0669\n{ROOT}\n",
    "root-of-31-bytes": f"a.example\n9\n{base64.b64encode(bytes(31)).decode()}\n",
    "root-of-33-bytes": f"a.example\n9\n{base64.b64encode(bytes(33)).decode()}\n",
    "root-unpadded": f"a.example\n9\n{ROOT[:-1]}\n",
    "root-with-loose-bits": f"a.example\n9\n{ROOT[:-2]}{chr(ord(ROOT[-2]) + 1)}=\n",
    "root-url-safe": f"a.example\n9\n{'_' * 42}8=\n",
    "extension-line": f"a.example\n9\n{ROOT}\nextension\n",
    "carriage-returns": f"a.example\r\n9\r\n{ROOT}\r\n",
    "line-missing": f"a.example\n{ROOT}\n",
    "line-before": f"\na.example\n9\n{ROOT}\n",
    "origin-with-a-space": f"a example\n9\n{ROOT}\n",
    "origin-with-a-plus": f"a+example\n9\n{ROOT}\n",
    "origin-with-an-umlaut": f"ä.example\n9\n{ROOT}\n",
    "origin-of-256": f"{'a' * 256}\n9\n{ROOT}\n",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_good_signature_saves_no_body_spelled_otherwise(body):
    assert isinstance(refused(resigned(body)), MalformedProofError)


def test_one_signature_and_nothing_else():
    body = checkpoint_body(HEAD).decode()
    line = NOTE.split("\n\n")[1]
    for note in (
        body, body + "\n", NOTE + line, NOTE + "\n", NOTE[:-1], resigned(body, after="\u2014 witness.example AAAA\n"),
        NOTE.replace("\u2014", "-"), NOTE.replace("\u2014", "--"), NOTE.replace("\u2014 ", "\u2014"), "\ufeff" + NOTE,
    ):  # fmt: skip
        assert refused(note).step is Step.LEDGER


def test_the_signature_is_of_the_origins_name():
    body = checkpoint_body(HEAD).decode()
    error = refused(resigned(body, name="other.example"))
    assert "one signature by its origin" in error.message
    assert error.step is Step.LEDGER


@pytest.mark.parametrize("length", [0, 3, 4, 67, 69])
def test_a_signature_of_another_length_is_refused(length):
    head, _, line = NOTE.rpartition(" ")
    data = (base64.b64decode(line) + b"\x00")[:length]
    refused(f"{head} {base64.b64encode(data).decode()}\n")


def test_another_key_and_a_false_signature_are_told_apart():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    error = refused(NOTE, other.public_key().public_bytes_raw())
    assert (error.message, error.step) == ("the checkpoint names another key", Step.LEDGER)
    error = refused(resigned(checkpoint_body(HEAD).decode(), sign=other.sign))
    assert (error.message, error.step) == ("the signature under the checkpoint is not of its key", Step.LEDGER)


@pytest.mark.parametrize("origin", ["a", "clinic.example/ward-7", "A_b~c.d-e/f0", "a" * 255])
def test_an_origin(origin):
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    "origin",
    ["", "a" * 256, "a b", "a\n", "a+b", 'a"b', "a\\b", "a\x00", "ä", "\u0660", "\ud800", "a\u2028", "a%20b", "a:b"],
)
def test_no_origin(origin):
    with pytest.raises(MalformedProofError, match="such as clinic"):
        check_origin(origin)
