"""FHIR Provenances to export: one for each entry, with references to what is in hand and was signed."""

import json
import os

import pytest
from desk import TIME, ignore

from medanchor.core.statement import Follows
from medanchor.errors import UsageError
from medanchor.notary.examine import examine, inside
from medanchor.notary.prove import Prover
from medanchor.notary.provenances import provenances
from medanchor.notary.reread import reread
from medanchor.notary.stamp import StampRequest, stamp
from medanchor.records.detect import Reading
from medanchor.records.digest import Hashed, digest_all
from medanchor.records.walk import walk

PATIENT = '{"resourceType":"Patient","id":"p1","meta":{"versionId":"3"},"active":true}'
DEVICE = '{"resourceType":"Device","id":"d1"}'
BUNDLE = '{"resourceType":"Bundle","type":"collection","entry":[{"resource":%s},{"fullUrl":"x"},{"resource":%s}]}'


def put(desk, *names, follows=()):
    paths = [desk.path(name) for name in names]
    hashed = [item for item in digest_all(walk(paths), ignore, Reading()) if isinstance(item, Hashed)]
    return stamp(desk.store, desk.signer, hashed, StampRequest("authorship", TIME, follows), os.urandom).entry


def made(desk, *names):
    """Name of the file → the Provenance, of all that is in hand and inside it."""
    found = list(reread(desk.store, examine(desk.store, desk.in_hand(*names)), Reading()))
    found = [each for item in found for each in (item.findings() if hasattr(item, "findings") else [item])]
    found += [each for finding in list(found) for each in inside(desk.store, finding)]
    files = provenances(desk.store, Prover(desk.store, {}), found, desk.records)
    return {desk.name(path): json.loads(content) for path, content in files.items()}


def references(tree):
    return [target.get("reference") for target in tree["target"]]


def test_a_bundle_and_what_is_in_it_are_the_targets_of_one_provenance(desk):
    desk.write("bundle.json", (BUNDLE % (PATIENT, DEVICE)).encode())
    put(desk, "bundle.json")
    (name, tree), *others = made(desk, "bundle.json").items()
    assert (name, others) == ("entry-0.provenance.json", [])
    assert sorted(map(str, references(tree))) == ["Device/d1", "None", "Patient/p1/_history/3"]
    assert tree["agent"][0]["who"]["display"] == "Dr A. Example"


def test_lines_and_bundles_on_lines_are_referred_to(desk):
    desk.write("e.ndjson", f"{PATIENT}\r\n\n{BUNDLE % (PATIENT, DEVICE)}\n{{broken\n[]\n".encode())
    put(desk, "e.ndjson")
    (tree,) = made(desk, "e.ndjson").values()
    assert sorted(filter(None, references(tree))) == ["Device/d1", "Patient/p1/_history/3", "Patient/p1/_history/3"]
    assert len(tree["target"]) == 7


def test_a_record_stands_in_every_entry_that_has_its_bytes(desk):
    desk.write("a.json", PATIENT.encode())
    desk.write("copy.json", PATIENT.encode())
    desk.write("b.json", DEVICE.encode())
    put(desk, "a.json", "b.json")
    put(desk, "b.json", follows=(Follows(0, "addendum", "new-information"),))
    put(desk, "copy.json")
    put(desk, "a.json", follows=(Follows(0, "retraction", "wrong-record"),))
    trees = made(desk, "a.json")
    assert list(trees) == [f"entry-{entry}.provenance.json" for entry in (0, 2, 3)]
    assert [tree["activity"]["coding"][0]["code"] for tree in trees.values()] == ["attest", "attest", "deprecate"]
    assert all(references(tree) == ["Patient/p1/_history/3"] for tree in trees.values())
    assert list(made(desk, "b.json")) == ["entry-0.provenance.json", "entry-1.provenance.json"]


def test_what_is_written_anew_is_a_target_without_a_reference(desk):
    desk.write("a.json", PATIENT.encode())
    put(desk, "a.json")
    desk.write("a.json", PATIENT.replace(",", " , ").encode())
    assert references(made(desk, "a.json")["entry-0.provenance.json"]) == [None]


def test_what_is_changed_or_unknown_is_in_no_provenance(desk):
    desk.write("a.json", PATIENT.encode())
    put(desk, "a.json")
    desk.write("a.json", DEVICE.encode())
    assert made(desk, "a.json", "letter") == {}


def test_what_cannot_be_read_any_more_is_referred_to_by_its_leaf_alone(desk, monkeypatch):
    desk.write("a.json", PATIENT.encode())
    put(desk, "a.json")
    monkeypatch.setattr("medanchor.notary.provenances._content", lambda _path: b"")
    assert references(made(desk, "a.json")["entry-0.provenance.json"]) == [None]


def test_a_container_that_is_broken_meanwhile_is_no_error(desk, monkeypatch):
    desk.write("bundle.json", (BUNDLE % (PATIENT, DEVICE)).encode())
    put(desk, "bundle.json")
    for broken in (b'{"entry":', b"[]", b'{"entry":[]}', b'{"entry":[1,2,3]}', b"\xff"):
        monkeypatch.setattr("medanchor.notary.provenances._content", lambda _path, data=broken: data)
        assert references(made(desk, "bundle.json")["entry-0.provenance.json"]) == [None] * 3


def test_a_file_that_went_away_is_no_error(desk):
    desk.write("a.json", PATIENT.encode())
    put(desk, "a.json")
    found = list(examine(desk.store, desk.in_hand("a.json")))
    (desk.records / "a.json").unlink()
    (content,) = provenances(
        desk.store, Prover(desk.store, {}), [each for item in found for each in item.findings()], desk.records
    ).values()
    assert references(json.loads(content)) == [None]


def test_a_container_is_read_once_for_all_that_is_in_it(desk, monkeypatch):
    desk.write("e.ndjson", "".join(DEVICE.replace("d1", f"d{number}") + "\n" for number in range(50)).encode())
    put(desk, "e.ndjson")
    seen = []
    from medanchor.notary import provenances as module

    honest = module._content
    monkeypatch.setattr(module, "_content", lambda path: seen.append(path) or honest(path))
    (tree,) = made(desk, "e.ndjson").values()
    assert (len(tree["target"]), len(seen)) == (51, 1)


def test_more_records_than_a_provenance_holds(desk, monkeypatch):
    desk.write("bundle.json", (BUNDLE % (PATIENT, DEVICE)).encode())
    put(desk, "bundle.json")
    monkeypatch.setattr("medanchor.interop.provenance.MAX_TARGETS", 2)
    with pytest.raises(UsageError, match="at most 2 records"):
        made(desk, "bundle.json")
