"""A tree head written out and signed: C2SP tlog-checkpoint in a C2SP signed-note, with Ed25519.

Any transparency-log tool can read it. The key's name is the ledger's origin.
"""

import re

from medanchor.core.commitment import TreeHead
from medanchor.core.encoding import from_base64, number, to_base64
from medanchor.core.hashes import HASH_LENGTH, Hash, sha256
from medanchor.core.signature import SIGNATURE_LENGTH, Sign, signature_holds
from medanchor.errors import MalformedProofError, Step, VerificationError

ED25519 = b"\x01"
"""The signature type of Ed25519 in C2SP signed-note."""

KEY_ID_LENGTH = 4

_ORIGIN = re.compile(r"[A-Za-z0-9._~/-]{1,255}\Z", re.ASCII)
_NOTE = re.compile(
    r"(?P<body>(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[^\n]+)\n)\n"
    r"\u2014 (?P<name>[^\n ]+) (?P<signature>[^\n ]+)\n\Z",
    re.ASCII,
)


def check_origin(origin: str) -> str:
    """Return `origin` if it can name a ledger: 1 to 255 of A-Z a-z 0-9 . _ ~ / -, as clinic.example/ward-7.

    C2SP forbids white space and plus signs in a key's name; the rest is left out so that an origin never needs quoting
    in JSON, in a shell or in a URL. Raises MalformedProofError.
    """
    if not _ORIGIN.match(origin):
        raise MalformedProofError("expected an origin of letters, digits and . _ ~ / - such as clinic.example/ward-7")
    return origin


def checkpoint_key_id(origin: str, key: bytes) -> bytes:
    """Return the 4 bytes that name a verifier key in a signed note: SHA-256(name ‖ LF ‖ 0x01 ‖ key), truncated."""
    return sha256(origin.encode() + b"\n" + ED25519 + key)[:KEY_ID_LENGTH]


def verifier_key(origin: str, key: bytes) -> str:
    """Return the C2SP spelling of a public key (32 bytes), `name+id+key`, which other tools take."""
    data = to_base64(ED25519 + key)
    return f"{origin}+{checkpoint_key_id(origin, key).hex()}+{data}"


def checkpoint_body(head: TreeHead) -> bytes:
    """Return the signed text of a checkpoint: origin, size in decimal, root in Base64, a line each."""
    root = to_base64(head.root)
    return f"{head.origin}\n{head.size}\n{root}\n".encode("ascii")


def sign_checkpoint(head: TreeHead, key: bytes, sign: Sign) -> str:
    """Return the checkpoint of `head`, signed by `sign`, whose public key (32 bytes) is `key`."""
    body = checkpoint_body(head)
    signature = to_base64(checkpoint_key_id(head.origin, key) + sign(body))
    return f"{body.decode('ascii')}\n\u2014 {head.origin} {signature}\n"


def verify_checkpoint(note: str, key: bytes) -> TreeHead:
    """Return the tree head that the holder of `key` (an Ed25519 public key, 32 bytes) signed in `note`.

    One signature, of the origin's name, and nothing else is accepted. Raises VerificationError at step 4.
    """
    try:
        head, body, signature = _parse_note(note)
    except MalformedProofError as error:
        raise MalformedProofError(error.message, step=Step.LEDGER) from None
    if signature[:KEY_ID_LENGTH] != checkpoint_key_id(head.origin, key):
        raise VerificationError("the checkpoint names another key", step=Step.LEDGER)
    if not signature_holds(key, signature[KEY_ID_LENGTH:], body):
        raise VerificationError("the signature under the checkpoint is not of its key", step=Step.LEDGER)
    return head


def _parse_note(note: str) -> tuple[TreeHead, bytes, bytes]:
    """Return what a signed note says: its tree head, the signed bytes, and its signature after the key's id."""
    match = _NOTE.match(note)
    if not match or match["name"] != match["origin"]:
        raise MalformedProofError("expected a checkpoint with one signature by its origin")
    root = Hash(from_base64(match["root"], length=HASH_LENGTH))
    signature = from_base64(match["signature"], length=KEY_ID_LENGTH + SIGNATURE_LENGTH)
    head = TreeHead(check_origin(match["origin"]), number(int(match["size"])), root)
    return head, match["body"].encode("ascii"), signature
