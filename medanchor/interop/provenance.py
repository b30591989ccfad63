"""A ledger entry as a FHIR R4 Provenance: who signed which records, when and as what, and where that is anchored.

It tells FHIR servers about evidence and is none itself: that is the proof of each record. What is signed is the
bundle's root, not the FHIR resources named here as targets, so `targetFormat` and `policy` name the statement.

What it gives away: the ids of the resources and the time, the signer, the ledger's name and how many records the bundle
has. No names of files, and no digest that a guess at a record could be tested with: a leaf hash is salted.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from medanchor.core.commitment import Record, TreeHead
from medanchor.core.encoding import to_base64
from medanchor.core.hashes import Hash, display, sha256
from medanchor.core.merkle import leaf_hash
from medanchor.core.proof import Anchor, Position, Proof
from medanchor.core.signature import key_id
from medanchor.core.statement import PAYLOAD_TYPE, PREDICATE_TYPE, Follows, Statement, parse_envelope
from medanchor.core.transaction import txid
from medanchor.core.verify import check_anchor, check_bundle, check_evidence, check_record, ledger_root
from medanchor.errors import UsageError

Json = dict[str, object]

ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"

MAX_TARGETS = 10_000
"""That is 2.4 MB. FHIR servers take few megabytes as one resource, and more records than that nobody reads here."""

LEAF = "urn:medanchor:leaf"
ENTRY = "urn:medanchor:entry"
ANCHOR = "urn:medanchor:anchor"
KEY = "urn:medanchor:key"
"""Systems of identifiers: leaf hash, origin#index, ANCHOR:network for a transaction's id, key id (docs/format.md)."""

MEANING = "urn:medanchor:meaning"
REASON = "urn:medanchor:reason"
"""Systems of codes: the words of a statement (docs/format.md, section 3)."""


class Subject(NamedTuple):
    """A record in hand: its leaf and place in the bundle, and what `reference_of` says of its bytes."""

    record: Record
    position: Position
    reference: str = ""


class Coding(NamedTuple):
    """A code, the system that defines it, and its name there."""

    system: str
    code: str
    display: str


class Role(NamedTuple):
    """What a signer of some meaning is called in FHIR: as an agent, and by the type of the signature if one fits."""

    agent: Coding
    signature: Coding | None


def _participant(code: str, name: str) -> Coding:
    return Coding("http://terminology.hl7.org/CodeSystem/provenance-participant-type", code, name)


def _signed_as(number: int, name: str) -> Coding:
    return Coding("urn:iso-astm:E1762-95:2013", f"1.2.840.10065.1.12.1.{number}", f"{name} Signature")


def _event(code: str, name: str) -> Coding:
    return Coding("http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", code, f"{name} Record Lifecycle Event")


_VERIFIER = _participant("verifier", "Verifier")
_RECIPIENT = Coding("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient")

ROLES: Mapping[str, Role] = {
    "authorship": Role(_participant("author", "Author"), _signed_as(1, "Author's")),
    "review": Role(_VERIFIER, _signed_as(13, "Review")),
    "approval": Role(_VERIFIER, _signed_as(6, "Validation")),
    "responsibility": Role(_VERIFIER, _signed_as(5, "Verification")),
    "receipt": Role(_RECIPIENT, None),
}
"""Meaning → role. None of ASTM E1762's signatures says that something was received."""

_ATTEST = _event("attest", "Attest")
_RECEIVE = _event("receive", "Receive/Retain")
_AMEND = _event("amend", "Amend (Update)")
_DEPRECATE = _event("deprecate", "Deprecate")


def subject(proof: Proof, resource: bytes | None = None) -> Subject:
    """Return the record of `proof` as a target; `resource` is its bytes if they are a FHIR resource (JSON).

    Raises VerificationError (step 1) if they are another record's: a reference is to what was signed, or there is none.
    """
    if resource is None:
        return Subject(proof.record, proof.bundle)
    check_record(proof, sha256(resource))
    return Subject(proof.record, proof.bundle, reference_of(resource))


def reference_of(resource: bytes) -> str:
    """Return how FHIR refers to a resource (JSON) by its bytes: "Observation/123/_history/4".

    Without the version if it names none; "" if it says no type and id that R4 can refer to, or says one of them twice.
    """
    try:
        tree = json.loads(resource, object_pairs_hook=_naming, parse_int=float)  # of any length
    except (ValueError, RecursionError):
        return ""
    if not isinstance(tree, dict):
        return ""
    kind, name, meta = tree.get("resourceType"), tree.get("id"), tree.get("meta")
    if not _matches(_TYPE, kind) or not _matches(_ID, name):
        return ""
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return f"{kind}/{name}/_history/{version}" if _matches(_ID, version) else f"{kind}/{name}"


_TYPE = re.compile(r"[A-Z][A-Za-z]{0,63}")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_NAMING = frozenset({"resourceType", "id", "meta", "versionId"})


def _naming(pairs: Sequence[tuple[str, object]]) -> Json:
    """Keep of an object what may name the resource: what else is in it would only take memory."""
    kept = [pair for pair in pairs if pair[0] in _NAMING]
    tree = dict(kept)
    if len(tree) != len(kept):
        raise ValueError("a member stands there twice")
    return tree


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def provenance(proof: Proof, records: Iterable[Subject], *, name: str = "", role: str = "") -> bytes:
    """Return a Provenance (FHIR R4, JSON in UTF-8) of the entry that `proof` is from, with `records` as its targets.

    `proof` may be that of any of them; `name` and `role` are whose key it is. The same arguments give the same bytes,
    whatever the order of the records. An entry without an anchor has no entity for one. Nothing is told unchecked:
    raises VerificationError if one of the steps 2 to 7 fails, also for a record that is not in the entry's bundle, and
    UsageError if there are no records, or more than MAX_TARGETS.
    """
    statement = check_evidence(proof)
    targets = _targets(proof, records)
    if not targets:
        raise UsageError("a Provenance names at least one record", hint="name records that stand in this entry")
    who = _labelled({"identifier": _identifier(KEY, key_id(proof.key).hex())}, name)
    tree: Json = {
        "resourceType": "Provenance",
        "id": leaf_hash(proof.envelope).hex(),
        "target": targets,
        "recorded": statement.time,
        "policy": [PREDICATE_TYPE],
        **_reasons(statement.follows),
        "activity": {"coding": [_activity(statement)._asdict()]},
        "agent": [_agent(statement.meaning, who, role)],
        "entity": list(_entities(proof, statement)),
        "signature": [_signature(proof, statement, who)],
    }
    return json.dumps(tree, ensure_ascii=False, indent=2).encode() + b"\n"


def _targets(proof: Proof, records: Iterable[Subject]) -> list[Json]:
    """Return what refers to each record, in the order of the bundle; one that is named twice is one target."""
    envelope = parse_envelope(proof.envelope)
    found: dict[int, tuple[str, Hash]] = {}
    for record, position, reference in records:
        check_bundle(replace(proof, record=record, bundle=position), envelope)
        target = (reference, leaf_hash(record.entry()))
        found[position.index] = max(target, found.get(position.index, target))
        if len(found) > MAX_TARGETS:
            hint = "name fewer of them; the .medproof of each says all of it"
            raise UsageError(f"expected at most {MAX_TARGETS:,} records in one Provenance, found more", hint=hint)
    return [_target(*found[index]) for index in sorted(found)]


def _target(reference: str, leaf: Hash) -> Json:
    identified: Json = {"identifier": _identifier(LEAF, leaf.hex())}
    return {"reference": reference, **identified} if reference else identified


def _identifier(system: str, value: str) -> Json:
    return {"system": system, "value": value}


def _labelled(reference: Json, label: str) -> Json:
    """Return `reference` with a display: one line of what can be printed, as a FHIR string is never blank."""
    line = _one_line(label)
    return {**reference, "display": line} if line else reference


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _reasons(follows: Sequence[Follows]) -> Json:
    """Return the member `reason`, if there is one: each reason once, in the order of the statement."""
    reasons = dict.fromkeys(item.reason for item in follows)
    return {"reason": [{"coding": [{"system": REASON, "code": reason}]} for reason in reasons]} if reasons else {}


def _activity(statement: Statement) -> Coding:
    """Return what happened; that something was retracted is told before all else, whatever the meaning."""
    kinds = {item.kind for item in statement.follows}
    if "retraction" in kinds:
        return _DEPRECATE
    if kinds:
        return _AMEND
    return _RECEIVE if statement.meaning == "receipt" else _ATTEST


def _agent(meaning: str, who: Json, role: str) -> Json:
    function = _one_line(role)
    return {
        "type": {"coding": [ROLES[meaning].agent._asdict()]},
        **({"role": [{"text": function}]} if function else {}),
        "who": who,
    }


def _entities(proof: Proof, statement: Statement) -> Iterator[Json]:
    """Return the entries that this one follows, then what the signing rests on: its own entry, and the anchor."""
    for item in statement.follows:
        role = "revision" if item.kind == "amendment" else "derivation"
        yield _entity(role, _entry(proof, item.entry), f"entry {item.entry} as {item.kind} ({item.reason})")
    yield _entity("source", _entry(proof, proof.ledger.index), f"entry {proof.ledger.index}")
    if proof.anchor:
        yield _anchored(proof, proof.anchor)


def _entity(role: str, identifier: Json, label: str) -> Json:
    return {"role": role, "what": _labelled({"identifier": identifier}, label)}


def _entry(proof: Proof, index: int) -> Json:
    return _identifier(ENTRY, f"{proof.origin}#{index}")  # no origin has a number sign in it


def _anchored(proof: Proof, anchor: Anchor) -> Json:
    header = check_anchor(anchor, TreeHead(proof.origin, proof.ledger.size, ledger_root(proof)))
    made = datetime.fromtimestamp(header.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    identifier = _identifier(f"{ANCHOR}:{anchor.network}", display(txid(anchor.transaction)))
    return _entity("source", identifier, f"transaction in block {anchor.block.height} on {anchor.network}, {made}")


def _signature(proof: Proof, statement: Statement, who: Json) -> Json:
    """Return the envelope as a Signature; its types are E1762's if one fits, and always the statement's own word."""
    standard = ROLES[statement.meaning].signature
    types = [standard._asdict()] if standard else []
    return {
        "type": [*types, {"system": MEANING, "code": statement.meaning}],
        "when": statement.time,
        "who": who,
        "targetFormat": PAYLOAD_TYPE,
        "sigFormat": ENVELOPE_TYPE,
        "data": to_base64(proof.envelope),
    }
