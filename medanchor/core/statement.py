"""Who says what about a bundle: an in-toto Statement v1 in a DSSE envelope with one Ed25519 signature.

The envelope's exact bytes are the ledger's entry: they are parsed to be read, never written again to be verified.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from medanchor.core.checkpoint import check_origin
from medanchor.core.encoding import canonical_json, from_base64, members, number, text, to_base64
from medanchor.core.hashes import Hash, hash_from_hex
from medanchor.core.signature import SIGNATURE_LENGTH, Sign, key_id, signature_holds
from medanchor.errors import MalformedProofError, Step, VerificationError

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:medanchor:stamp:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
SUBJECT_DIGEST = "rfc9162Sha256"

MEANINGS = ("authorship", "review", "approval", "responsibility", "receipt")
"""What a signature means: 21 CFR 11.50."""

FOLLOWS = ("amendment", "addendum", "late-entry", "retraction")
REASONS = ("correction", "new-information", "wrong-record", "legal-request", "administrative")
"""How a statement may follow another, and why: codes only, because what people type may hold health data."""

_TIME = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Follows:
    """The earlier entry that a statement amends, adds to or retracts: its ledger index, how, and why."""

    entry: int
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signer says about a bundle; `time` is RFC 3339 in UTC, whole seconds."""

    root: Hash
    records: int
    time: str
    ledger: str
    meaning: str
    follows: tuple[Follows, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed statement, as read from its exact bytes; the signature is 64 bytes, `key_id` the SHA-256 of the key.

    `root` is the bundle's root beside the payload, where OpenTimestamps can reach it; step 2 compares the two.
    """

    statement: Statement
    root: Hash
    key_id: Hash
    message: bytes
    signature: bytes


def sign_statement(statement: Statement, key: bytes, sign: Sign) -> bytes:
    """Return the envelope's bytes: `statement` signed by `sign`, whose public key (32 bytes) is `key`."""
    body = canonical_json(_statement_tree(statement))
    return canonical_json(
        {
            "payload": to_base64(body),
            "payloadType": PAYLOAD_TYPE,
            "records": statement.root.hex(),
            "signatures": [
                {
                    "keyid": key_id(key).hex(),
                    "sig": to_base64(sign(pre_authentication_encoding(body))),
                }
            ],
        }
    )


def pre_authentication_encoding(body: bytes) -> bytes:
    """Return the bytes that a DSSE signature signs (DSSE protocol, PAE), for a payload of the in-toto type."""
    kind = PAYLOAD_TYPE.encode("ascii")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


@lru_cache(maxsize=128)
def parse_envelope(data: bytes) -> Envelope:
    """Return the signed statement in an envelope's bytes; whether the signature holds is `verify_envelope`'s business.

    Remembered, because the records of one bundle share it. Raises MalformedProofError (step 0).
    """
    outer = members(_decode(data), "payload", "payloadType", "records", "signatures")
    if outer["payloadType"] != PAYLOAD_TYPE:
        raise MalformedProofError(f"expected the payload type {PAYLOAD_TYPE}")
    body = from_base64(outer["payload"])
    signatures = outer["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise MalformedProofError("expected exactly one signature")
    signature = members(signatures[0], "keyid", "sig")
    return Envelope(
        statement=_statement(_decode(body)),
        root=hash_from_hex(outer["records"]),
        key_id=hash_from_hex(signature["keyid"]),
        message=pre_authentication_encoding(body),
        signature=from_base64(signature["sig"], length=SIGNATURE_LENGTH),
    )


@lru_cache(maxsize=128)
def verify_envelope(data: bytes, key: bytes) -> Statement:
    """Return the statement that the holder of `key` (an Ed25519 public key, 32 bytes) signed in these exact bytes.

    Whose key that is, and whether to believe it, is the caller's business. Raises VerificationError at step 3 if the
    envelope names another key, or its signature is not of `key` (RFC 8032; DSSE), and at step 0 if it is malformed.
    """
    envelope = parse_envelope(data)
    if envelope.key_id != key_id(key):
        raise VerificationError("the statement names another key than the proof's signer", step=Step.STATEMENT)
    if not signature_holds(key, envelope.signature, envelope.message):
        raise VerificationError("the signature under the statement is not of the proof's key", step=Step.STATEMENT)
    return envelope.statement


def _decode(data: bytes) -> object:
    """Return the JSON value that `data` is the one canonical spelling of."""
    try:
        value: object = json.loads(data.decode("ascii"))
        canonical = canonical_json(value)  # it recurses a little deeper than the decoder did
    except (ValueError, RecursionError):
        raise MalformedProofError("expected JSON") from None
    if canonical != data:
        raise MalformedProofError("expected canonical JSON: keys sorted, no white space, no duplicates")
    return value


def _statement(value: object) -> Statement:
    tree = members(value, "_type", "predicate", "predicateType", "subject")
    if tree["_type"] != STATEMENT_TYPE or tree["predicateType"] != PREDICATE_TYPE:
        raise MalformedProofError(f"expected an in-toto statement v1 with the predicate {PREDICATE_TYPE}")
    predicate = members(tree["predicate"], "ledger", "meaning", "records", "time", optional=("follows",))
    return Statement(
        root=_subject_root(tree["subject"]),
        records=number(predicate["records"]),
        time=_time(predicate["time"]),
        ledger=check_origin(text(predicate["ledger"])),
        meaning=_one_of(MEANINGS, predicate["meaning"]),
        follows=_follows(predicate["follows"]) if "follows" in predicate else (),
    )


def _subject_root(value: object) -> Hash:
    if not isinstance(value, list) or len(value) != 1:
        raise MalformedProofError("expected exactly one subject")
    subject = members(value[0], "digest", "name")
    if subject["name"] != "records":
        raise MalformedProofError("expected the subject to be named records")
    return hash_from_hex(members(subject["digest"], SUBJECT_DIGEST)[SUBJECT_DIGEST])


def _time(value: object) -> str:
    try:
        if _TIME.match(text(value)) and datetime.fromisoformat(text(value)):
            return text(value)
    except ValueError:  # the thirtieth of February
        pass
    raise MalformedProofError("expected a time like 2026-11-21T18:04:05Z")


def _one_of(allowed: tuple[str, ...], value: object) -> str:
    if value not in allowed:
        raise MalformedProofError(f"expected one of {', '.join(allowed)}")
    return text(value)


def _follows(value: object) -> tuple[Follows, ...]:
    if not isinstance(value, list) or not value:
        raise MalformedProofError("expected a list of statements that this one follows")
    trees = [members(item, "entry", "kind", "reason") for item in value]
    return tuple(
        Follows(number(tree["entry"]), _one_of(FOLLOWS, tree["kind"]), _one_of(REASONS, tree["reason"]))
        for tree in trees
    )


def _statement_tree(statement: Statement) -> dict[str, object]:
    predicate: dict[str, object] = {
        "ledger": statement.ledger,
        "meaning": statement.meaning,
        "records": statement.records,
        "time": statement.time,
    }
    if statement.follows:
        predicate["follows"] = [
            {"entry": item.entry, "kind": item.kind, "reason": item.reason} for item in statement.follows
        ]
    return {
        "_type": STATEMENT_TYPE,
        "predicate": predicate,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"digest": {SUBJECT_DIGEST: statement.root.hex()}, "name": "records"}],
    }
