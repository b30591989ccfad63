"""Whatever a statement says, its Provenance is sound FHIR R4: by R4's own tables, and by another's models."""

import base64
import copy
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from fhir.resources.R4B.provenance import Provenance
from hypothesis import given, settings
from hypothesis import strategies as st
from provenances import RESOURCE, entry_of, record_of

from medanchor.core.statement import FOLLOWS, MEANINGS, REASONS, Follows
from medanchor.interop.provenance import provenance, subject

MANY = 1 << 30

ELEMENTS: dict[str, dict[str, tuple[str, int, int]]] = {
    "Provenance": {
        "resourceType": ("code", 1, 1),
        "id": ("id", 0, 1),
        "target": ("Reference", 1, MANY),
        "recorded": ("instant", 1, 1),
        "policy": ("uri", 0, MANY),
        "reason": ("CodeableConcept", 0, MANY),
        "activity": ("CodeableConcept", 0, 1),
        "agent": ("Agent", 1, MANY),
        "entity": ("Entity", 0, MANY),
        "signature": ("Signature", 0, MANY),
    },
    "Agent": {
        "type": ("CodeableConcept", 0, 1),
        "role": ("CodeableConcept", 0, MANY),
        "who": ("Reference", 1, 1),
    },
    "Entity": {"role": ("code", 1, 1), "what": ("Reference", 1, 1)},
    "Signature": {
        "type": ("Coding", 1, MANY),
        "when": ("instant", 1, 1),
        "who": ("Reference", 1, 1),
        "targetFormat": ("code", 0, 1),
        "sigFormat": ("code", 0, 1),
        "data": ("base64Binary", 0, 1),
    },
    "Reference": {
        "reference": ("string", 0, 1),
        "identifier": ("Identifier", 0, 1),
        "display": ("string", 0, 1),
    },
    "Identifier": {"system": ("uri", 0, 1), "value": ("string", 0, 1)},
    "CodeableConcept": {"coding": ("Coding", 0, MANY), "text": ("string", 0, 1)},
    "Coding": {"system": ("uri", 0, 1), "code": ("code", 0, 1), "display": ("string", 0, 1)},
}
"""Of FHIR 4.0.1's definitions: type and cardinality of the elements that are used here; no others may be."""

PRIMITIVES = {
    "id": r"[A-Za-z0-9\-\.]{1,64}",
    "instant": (
        r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])"
        r"T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
    ),
    "uri": r"\S+",
    "base64Binary": r"(\s*([0-9a-zA-Z\+/=]){4}\s*)+",
    "code": r"[^\s]+(\s[^\s]+)*",
    "string": r"\S(.*\S)?",
}
"""FHIR 4.0.1's expressions; uri and string stricter: what is empty is an error elsewhere, and ours are one line."""

PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
E1762 = "urn:iso-astm:E1762-95:2013"
CODES = {
    (PARTICIPANT, "author"): "Author",
    (PARTICIPANT, "verifier"): "Verifier",
    ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"): "information recipient",
    (LIFECYCLE, "attest"): "Attest Record Lifecycle Event",
    (LIFECYCLE, "receive"): "Receive/Retain Record Lifecycle Event",
    (LIFECYCLE, "amend"): "Amend (Update) Record Lifecycle Event",
    (LIFECYCLE, "deprecate"): "Deprecate Record Lifecycle Event",
    (E1762, "1.2.840.10065.1.12.1.1"): "Author's Signature",
    (E1762, "1.2.840.10065.1.12.1.5"): "Verification Signature",
    (E1762, "1.2.840.10065.1.12.1.6"): "Validation Signature",
    (E1762, "1.2.840.10065.1.12.1.13"): "Review Signature",
    **{("urn:medanchor:meaning", meaning): None for meaning in MEANINGS},
    **{("urn:medanchor:reason", reason): None for reason in REASONS},
}
"""(system, code) → display, as the code systems that FHIR 4.0.1 was published with have them; ours have none."""

ENTITY_ROLES = {"derivation", "revision", "quotation", "source", "removal"}
REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?")
MIME = re.compile(r"application/[a-z0-9.+-]+")


def faults(kind: str, value: Any, at: str) -> list[str]:
    """What is wrong with a value of a FHIR type, each with where; nothing is, if nothing is returned."""
    if kind in PRIMITIVES:
        sound = isinstance(value, str) and re.fullmatch(PRIMITIVES[kind], value)
        return [] if sound else [f"{at}: not {kind}"]
    if not isinstance(value, dict) or not value:
        return [f"{at}: empty (ele-1)"]
    found = [f"{at}.{name}: unknown" for name in value.keys() - ELEMENTS[kind].keys()]
    for name, (inner, least, most) in ELEMENTS[kind].items():
        found += members(inner, value.get(name), (least, most), f"{at}.{name}")
    return found + rules(kind, value, at)


def members(kind: str, value: Any, bounds: tuple[int, int], at: str) -> list[str]:
    least, most = bounds
    if value is None:
        return [f"{at}: missing"] if least else []
    if most == 1:
        return faults(kind, value, at)
    if not isinstance(value, list) or not value:
        return [f"{at}: not a list of one or more"]
    return [fault for number, each in enumerate(value) for fault in faults(kind, each, f"{at}[{number}]")]


def rules(kind: str, value: dict[str, Any], at: str) -> list[str]:
    return [f"{at}: a rule of {kind}"] if kind in RULES and not RULES[kind](value) else []


RULES: dict[str, Callable[[dict[str, Any]], object]] = {
    "Provenance": lambda it: it.get("resourceType") == "Provenance",
    "Entity": lambda it: it.get("role") in ENTITY_ROLES,
    "Coding": lambda it: CODES.get((it.get("system"), it.get("code")), "unknown") == it.get("display"),
    "Reference": lambda it: REFERENCE.fullmatch(it.get("reference", "Basic/1")) and it.keys() != {"display"},
    "Identifier": lambda it: {"system", "value"} <= it.keys(),
    "Signature": lambda it: all(MIME.fullmatch(it.get(name, "")) for name in ("targetFormat", "sigFormat")),
}
"""What R4 says as bindings, invariants (ref-1) and in prose rather than as types."""


def statements():
    """Every kind of statement, with the records it is about: resources, files, one or many."""
    resource = st.builds(
        lambda name, version: json.dumps(
            {"resourceType": "Basic", "id": name, "meta": {"versionId": version}}
        ).encode(),
        st.text(max_size=70) | st.from_regex(PRIMITIVES["id"], fullmatch=True),
        st.text(max_size=70) | st.from_regex(PRIMITIVES["id"], fullmatch=True),
    )
    return st.fixed_dictionaries(
        {
            "records": st.lists(resource | st.binary(), min_size=1, max_size=5, unique=True),
            "meaning": st.sampled_from(MEANINGS),
            "time": st.datetimes(datetime(1, 1, 1)).map(lambda at: f"{at.replace(microsecond=0).isoformat()}Z"),  # noqa: DTZ001 - the Z is written
            "follows": st.lists(
                st.builds(Follows, st.integers(0, 2**63 - 1), st.sampled_from(FOLLOWS), st.sampled_from(REASONS)),
                max_size=4,
            ),
            "anchored": st.booleans(),
            "name": st.text(max_size=30),
            "role": st.text(max_size=30),
        }
    )


def written(records, name="", role="", **statement):
    proofs = entry_of([record_of(data) for data in records], **statement)
    subjects = [subject(proof, data) for proof, data in zip(proofs, records, strict=True)]
    return provenance(proofs[-1], subjects, name=name, role=role)


@settings(max_examples=150, deadline=None)
@given(statements())
def test_whatever_a_statement_says_its_provenance_is_sound_r4(choice):
    tree = json.loads(written(**choice))
    assert faults("Provenance", tree, "Provenance") == []
    assert len(tree["target"]) == len(choice["records"])
    assert tree["agent"][0]["who"] == tree["signature"][0]["who"]  # the signer should match an agent
    assert tree["recorded"] == tree["signature"][0]["when"] == choice["time"]  # it should agree with what is signed
    assert base64.b64decode(tree["signature"][0]["data"], validate=True)


@settings(max_examples=60, deadline=None)
@given(statements())
def test_the_models_of_another_take_it_and_give_it_back(choice):
    data = written(**choice)
    model = Provenance.model_validate_json(data)
    again = json.loads(model.model_dump_json())
    assert again == json.loads(data)


SAMPLE = json.loads(
    written([RESOURCE, b"%PDF"], "Dr A. Example", "physician", follows=[Follows(0, "retraction", "correction")])
)
DAMAGE = {
    "no target": lambda tree: tree.pop("target"),
    "targets none": lambda tree: tree["target"].clear(),
    "target is one": lambda tree: tree.update(target=tree["target"][0]),
    "target empty": lambda tree: tree["target"][0].clear(),
    "target named only": lambda tree: tree["target"].append({"display": "a record"}),
    "target contained": lambda tree: tree["target"][0].update(reference="#1"),
    "target is a file": lambda tree: tree["target"][0].update(reference="Anna Muster.json"),
    "no time": lambda tree: tree.pop("recorded"),
    "a date": lambda tree: tree.update(recorded="2026-11-21"),
    "id too long": lambda tree: tree.update(id="i" * 65),
    "no agent": lambda tree: tree.pop("agent"),
    "agent without who": lambda tree: tree["agent"][0].pop("who"),
    "agent's own words": lambda tree: tree["agent"][0]["type"]["coding"][0].update(code="signer"),
    "display of another code": lambda tree: tree["activity"]["coding"][0].update(display="Attest"),
    "blank role": lambda tree: tree["agent"][0]["role"][0].update(text=" "),
    "entity of no role": lambda tree: tree["entity"][0].update(role="retraction"),
    "entity of nothing": lambda tree: tree["entity"][0].pop("what"),
    "identifier of no system": lambda tree: tree["entity"][0]["what"]["identifier"].pop("system"),
    "signature of no type": lambda tree: tree["signature"][0]["type"].clear(),
    "signature unreadable": lambda tree: tree["signature"][0].update(data="abc"),
    "policy with a space": lambda tree: tree.update(policy=["urn: medanchor"]),
    "element of R5": lambda tree: tree.update(occurredDateTime="2026"),
    "not a Provenance": lambda tree: tree.update(resourceType="AuditEvent"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_tables_find_what_is_wrong(name):
    tree = copy.deepcopy(SAMPLE)
    assert not faults("Provenance", tree, "Provenance")
    DAMAGE[name](tree)
    assert faults("Provenance", tree, "Provenance")
