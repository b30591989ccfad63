"""Records whose bytes nobody stamped, read again: which stamped record they are, and what that says of a container."""

import json
import os

import pytest
from desk import TIME, Desk, ignore

from medanchor.core.ladder import Rung
from medanchor.notary.examine import Finding, Verdict, examine, inside
from medanchor.notary.missing import missing
from medanchor.notary.reread import RUNGS, VERDICTS, reread
from medanchor.notary.stamp import PIPED, StampRequest, stamp
from medanchor.records import digest
from medanchor.records.detect import Form, Reading
from medanchor.records.digest import Hashed, digest_all, hashed_one
from medanchor.records.stream import read_file
from medanchor.records.walk import walk
from medanchor.vault.bundles import Place


def resource(number: int, **more) -> str:
    return json.dumps({"resourceType": "Device", "id": f"d{number}", "lotNumber": str(number), **more})


def anew(line: str) -> str:
    return json.dumps(dict(reversed(json.loads(line).items())), indent=None, separators=(" , ", " : "))


def lines(*written: str) -> bytes:
    return "\n".join(written).encode() + b"\n"


A, B, C = (resource(number) for number in range(3))


class Clinic:
    """A desk where records are read as what they are."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        for name in ("image", "letter", "results"):
            (desk.records / name).unlink()

    def stamp(self, *names: str, form: Form | None = None) -> None:
        paths = [self.desk.path(name) for name in names] or [os.fsencode(self.desk.records)]
        hashed = [item for item in digest_all(walk(paths), ignore, Reading(form)) if isinstance(item, Hashed)]
        stamp(self.desk.store, self.desk.signer, hashed, StampRequest("authorship", TIME), os.urandom)

    def found(self, *names: str) -> list[Finding]:
        seen = list(reread(self.desk.store, examine(self.desk.store, self.desk.in_hand(*names)), Reading()))
        return [each for item in seen for each in (item.findings() if not isinstance(item, Finding) else [item])]

    def verdicts(self, *names: str) -> list[tuple[str, str]]:
        return [(self.desk.name(finding.path), finding.verdict.value) for finding in self.found(*names)]

    def missing(self) -> list[str]:
        folder = os.fsencode(self.desk.records.resolve())
        return [self.desk.name(each.path) for each in missing(self.desk.store, folder, self.found(), set())]


@pytest.fixture
def clinic(desk):
    return Clinic(desk)


def test_every_rung_has_a_verdict():
    assert set(VERDICTS) == set(Rung) == set(RUNGS)


def test_what_is_unchanged_or_moved_is_not_read_again(clinic, monkeypatch):
    clinic.desk.write("a.json", A.encode())
    clinic.desk.write("b.json", B.encode())
    clinic.stamp()
    (clinic.desk.records / "b.json").rename(clinic.desk.records / "c.json")
    monkeypatch.setattr("medanchor.notary.reread.read_file", lambda *_: pytest.fail("it was read"))
    assert clinic.verdicts() == [("a.json", "unchanged"), ("c.json", "renamed")]


def test_what_cannot_be_read_again_has_the_verdict_on_its_bytes(clinic, monkeypatch):
    clinic.desk.write("a.json", A.encode())
    clinic.stamp()
    clinic.desk.write("a.json", anew(A).encode())

    def refuse(*_how):
        raise OSError("it went away")

    monkeypatch.setattr("medanchor.notary.reread.read_file", refuse)
    assert clinic.verdicts() == [("a.json", "changed")]


def test_an_earlier_version_written_anew_is_told_from_the_newest(clinic):
    for number in ("1", "2", "3"):
        clinic.desk.write("a.json", resource(0, status=number).encode())
        clinic.stamp()
    for number, later in (("1", 2), ("2", 2), ("3", None)):
        clinic.desk.write("a.json", anew(resource(0, status=number)).encode())
        (found,) = clinic.found()
        assert (found.verdict, found.place, found.later) == (Verdict.SAME_CONTENT, Place(int(number) - 1, 0), later)


def test_of_versions_with_one_content_the_newest_is_meant(clinic):
    for content in (A, anew(A)):
        clinic.desk.write("a.json", content.encode())
        clinic.stamp()
    clinic.desk.write("a.json", f" {A}".encode())
    (found,) = clinic.found()
    assert (found.verdict, found.place, found.later) == (Verdict.SAME_CONTENT, Place(1, 0), None)


def test_a_known_name_with_the_content_of_another_record_is_changed(clinic):
    clinic.desk.write("a.json", A.encode())
    clinic.desk.write("b.json", B.encode())
    clinic.stamp()
    clinic.desk.write("a.json", anew(B).encode())
    clinic.desk.write("b.json", A.encode())
    assert clinic.verdicts() == [("a.json", "changed"), ("b.json", "changed")]


def test_records_of_two_kinds_are_not_alike(clinic):
    clinic.desk.write("a.json", A.encode())
    clinic.stamp(form=Form.BYTES)
    clinic.desk.write("a.json", anew(A).encode())
    clinic.desk.write("b.json", anew(A).encode())
    assert clinic.verdicts() == [("a.json", "changed"), ("b.json", "unknown")]


def test_a_container_stamped_as_bytes_does_not_become_the_same_by_what_others_stamped(clinic):
    clinic.desk.write("e.ndjson", lines(A, B))
    clinic.stamp(form=Form.BYTES)
    clinic.desk.write("other.ndjson", lines(A, B, C))
    clinic.stamp("other.ndjson")
    clinic.desk.write("e.ndjson", lines(B, C))
    assert clinic.verdicts("e.ndjson") == [("e.ndjson", "changed")]


def test_twins_inside_a_container_are_met_one_by_one(clinic):
    clinic.desk.write("e.ndjson", lines(A, A, B))
    clinic.stamp()
    clinic.desk.write("e.ndjson", lines(anew(A), B, A))
    assert clinic.verdicts() == [("e.ndjson", "same-content")]
    clinic.desk.write("e.ndjson", lines(B, anew(A)))
    assert clinic.verdicts() == [("e.ndjson", "changed"), ("e.ndjson/2", "missing")]
    clinic.desk.write("e.ndjson", lines(B, A, anew(A), anew(A)))
    assert clinic.verdicts() == [("e.ndjson", "changed"), ("e.ndjson/4", "same-content")]
    assert [found.added for found in clinic.found()] == [False, True]


def test_what_came_from_another_container_was_added(clinic):
    clinic.desk.write("e.ndjson", lines(A, B))
    clinic.desk.write("f.ndjson", lines(C, resource(4)))
    clinic.stamp()
    clinic.desk.write("e.ndjson", lines(A, B, anew(C)))
    assert clinic.verdicts("e.ndjson") == [("e.ndjson", "changed"), ("e.ndjson/3", "same-content")]
    found = clinic.found("e.ndjson")[1]
    assert (found.added, found.stands(), found.stamped_as) == (True, False, clinic.desk.path("f.ndjson/1"))
    clinic.desk.write("e.ndjson", lines(A, C))
    verdicts = [("e.ndjson", "changed"), ("e.ndjson/2", "unchanged"), ("e.ndjson/2", "missing")]
    assert clinic.verdicts("e.ndjson") == verdicts


def test_an_added_record_cannot_be_accepted(clinic):
    clinic.desk.write("e.ndjson", lines(A, B))
    clinic.desk.write("c.json", C.encode())
    clinic.stamp()
    clinic.desk.write("e.ndjson", lines(A, B, resource(2, text={"div": "new"})))
    whole, added = clinic.found("e.ndjson")
    assert (whole.verdict, added.verdict, added.parts) == (Verdict.CHANGED, Verdict.SAME_DATA, ("narrative",))
    assert not added.stands(frozenset({"narrative"}))


def test_a_container_differs_in_all_that_its_records_differ_in(clinic):
    decimal = '{"resourceType":"Basic","id":"x","value":1.%s}'
    clinic.desk.write("e.ndjson", lines(A, decimal % "50", C))
    clinic.stamp()
    clinic.desk.write("e.ndjson", lines(A, decimal % "5", C))
    whole, _ = clinic.found()
    assert (whole.verdict, whole.parts, whole.inside) == (Verdict.SAME_VALUES, ("precision",), 3)
    clinic.desk.write("e.ndjson", lines(A, decimal % "5", resource(2, meta={"tag": []})))
    whole, *rest = clinic.found()
    assert (whole.verdict, whole.parts, len(rest)) == (Verdict.SAME_DATA, ("precision", "meta"), 2)
    assert whole.stands(frozenset({"precision", "meta"}))
    assert not whole.stands(frozenset({"meta"}))
    clinic.desk.write("e.ndjson", lines(A, decimal % "6", resource(2, meta={"tag": []})))
    assert [(found.verdict, found.parts) for found in clinic.found()] == [
        (Verdict.CHANGED, ()),
        (Verdict.CHANGED, ()),
        (Verdict.SAME_DATA, ("meta",)),
    ]


def test_a_resource_is_known_inside_its_container_by_its_id(clinic):
    clinic.desk.write("e.ndjson", lines(A, B, C))
    clinic.stamp()
    clinic.desk.write("e.ndjson", lines(resource(2, lotNumber="x"), resource(0, lotNumber="y"), B))
    assert [(found.verdict, found.place) for found in clinic.found()[1:]] == [
        (Verdict.CHANGED, Place(0, 3)),
        (Verdict.CHANGED, Place(0, 1)),
    ]


def test_what_has_no_id_is_known_inside_its_container_by_where_it_stands(clinic):
    one, two, other = (f'{{"resourceType":"Basic","n":{number}}}' for number in range(3))
    clinic.desk.write("e.ndjson", lines(one, two, "[1]"))
    clinic.stamp()
    clinic.desk.write("e.ndjson", lines(one, other, "[2]"))
    verdicts = [("e.ndjson", "changed"), ("e.ndjson/2", "changed"), ("e.ndjson/3", "changed")]
    assert clinic.verdicts() == verdicts
    clinic.desk.write("e.ndjson", lines(two, other, "[1]"))  # where `other` stands, one stood that is there
    assert clinic.verdicts() == [("e.ndjson", "changed"), ("e.ndjson/2", "unknown"), ("e.ndjson/1", "missing")]


def test_a_container_of_unknown_records_was_never_stamped(clinic):
    clinic.desk.write("a.json", A.encode())
    clinic.stamp()
    clinic.desk.write("e.ndjson", lines(B, C))
    assert clinic.verdicts("e.ndjson") == [("e.ndjson", "unknown")]
    clinic.desk.write("e.ndjson", lines(B, A))
    assert clinic.verdicts("e.ndjson") == [
        ("e.ndjson", "regrouped"),
        ("e.ndjson/1", "unknown"),
        ("e.ndjson/2", "unchanged"),
    ]


def test_a_container_whose_records_are_in_others_now_is_not_missing(clinic):
    clinic.desk.write("e.ndjson", lines(A, B))
    clinic.desk.write("copy.ndjson", lines(B, A))
    clinic.stamp()
    (clinic.desk.records / "e.ndjson").unlink()
    assert clinic.missing() == ["e.ndjson"]
    clinic.desk.write("new.ndjson", lines(A, C, anew(B)))
    assert clinic.missing() == []
    (clinic.desk.records / "copy.ndjson").unlink()
    assert len(clinic.missing()) == 1  # what was met once excuses one of the two
    clinic.desk.write("more.ndjson", lines(B, C, A))
    assert clinic.missing() == []


def test_a_bundle_is_more_than_what_is_inside_it(clinic):
    entries = '{"resourceType":"Bundle","type":"batch","entry":[{"resource":%s,"request":{"method":"%s"}}]}'
    clinic.desk.write("b.json", (entries % (A, "PUT")).encode())
    clinic.stamp()
    clinic.desk.write("b.json", (entries % (anew(A), "PUT")).encode())
    assert clinic.verdicts() == [("b.json", "same-content")]
    clinic.desk.write("b.json", (entries % (A, "DELETE")).encode())
    assert clinic.verdicts() == [("b.json", "changed")]
    clinic.desk.write("b.json", (entries % (resource(0, text={"div": "x"}), "PUT")).encode())
    assert clinic.verdicts() == [("b.json", "changed"), ("b.json/entry/0", "same-data")]


def test_the_records_of_a_container_are_those_of_the_version_in_hand(clinic):
    versions = (lines(A, B), lines(C, B, A), lines(A, resource(7)))
    for content in versions:
        clinic.desk.write("e.ndjson", content)
        clinic.stamp()
    for entry, content in enumerate(versions):
        clinic.desk.write("e.ndjson", content)
        (found,) = clinic.found()
        places = [(clinic.desk.name(each.path), each.place) for each in inside(clinic.desk.store, found)]
        count = content.count(b"\n")
        assert places == [(f"e.ndjson/{number}", Place(entry, number)) for number in range(1, count + 1)]


def test_what_was_piped_in_is_known_by_its_entry(clinic):
    paths = []
    for number, content in enumerate((lines(A, B), lines(C, A))):
        clinic.desk.write(f"{number}.ndjson", content)
        paths.append(clinic.desk.path(f"{number}.ndjson"))
        whole = read_file(paths[-1], Reading())
        piped = [hashed_one(b"", b"", whole.document.content), *digest.inside(PIPED, whole)]
        stamp(clinic.desk.store, clinic.desk.signer, piped, StampRequest("authorship", TIME), os.urandom)
    first, second = clinic.found()
    assert (first.verdict, first.place, second.place) == (Verdict.RENAMED, Place(0, 0), Place(1, 0))
    assert [each.place for each in inside(clinic.desk.store, first)] == [Place(0, 1), Place(0, 2)]
    assert [each.path for each in inside(clinic.desk.store, second)] == [paths[1] + b"/1", paths[1] + b"/2"]


def test_what_is_no_container_has_nothing_inside(clinic):
    clinic.desk.write("a.json", A.encode())
    clinic.stamp()
    (found,) = clinic.found()
    assert list(inside(clinic.desk.store, found)) == []
