"""Folders of clinical documents read by one process or by all: the same records, in order, with what is inside them."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import tracemalloc

import pytest

from medanchor.core.commitment import WIDTHS, Kind
from medanchor.core.hashes import sha256
from medanchor.records import digest as digest_module
from medanchor.records import stream as stream_module
from medanchor.records import workers as workers_module
from medanchor.records.detect import Form, Reading
from medanchor.records.digest import Hashed, digest_all, hashed_one
from medanchor.records.document import Content
from medanchor.records.walk import Group, Problem, Severity, walk

READING = Reading()
PATIENT = b'{"resourceType":"Patient","id":"p"}'
XML = b"<a>text</a>"
MESSAGE = b"MSH|^~\\&|A\rPID|1\r"
DICOM = bytes(128) + b"DICM\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00\x10\x00\x10\x00PN\x02\x00A "
SEVERAL = 40
"""So many files of each are given to processes of their own."""


def ignore(_count):
    """Nobody watches the progress of a test."""


def resource(number):
    return json.dumps({"resourceType": "Observation", "id": f"o-{number}", "valueInteger": number}).encode()


def lines(count, start=0):
    return b"".join(resource(number) + b"\n" for number in range(start, start + count))


def fill(folder, files):
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return os.fsencode(folder.resolve())


MIXED = {
    "a.json": PATIENT,
    "b.ndjson": lines(5),
    "c.xml": XML,
    "d.hl7": MESSAGE,
    "e.dcm": DICOM,
    "f.txt": b"text",
    "g.gz": gzip.compress(lines(3, 50), mtime=0),
    "h.hl7": MESSAGE * 2,
    "i.json": b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}}]}',
    "j.xml": b"<a>",
    "k": b"",
}
INSIDE = {
    "b.ndjson": [b"1", b"2", b"3", b"4", b"5"],
    "g.gz": [b"1", b"2", b"3"],
    "h.hl7": [b"1", b"2"],
    "i.json": [b"entry/0"],
}
KINDS = {"a": Kind.FHIR, "c": Kind.XML, "d": Kind.HL7, "e": Kind.DICOM, "i": Kind.FHIR}


def mixed(tmp_path):
    return fill(tmp_path / "mixed", MIXED)


def many(tmp_path):
    """Folders of many records, enough for processes of their own."""
    return [
        fill(tmp_path / folder, {f"{number:03}-{name}": data for number in range(SEVERAL) for name, data in part})
        for folder, part in (("x", [*MIXED.items()][:5]), ("y", [*MIXED.items()][5:]))
    ]


def read(paths, reading=READING, progress=ignore):
    """All records by their paths, in order, and all problems."""
    contents, problems = {}, []
    for item in digest_all(walk(paths), progress, reading):
        if isinstance(item, Problem):
            problems.append(item)
            continue
        kinds, at = item.kinds or bytes(len(item.names)), 0
        for name, raw, kind in zip(item.names, item.raw_list(), kinds, strict=True):
            end = at + WIDTHS[kind]
            path = os.path.join(item.folder, name)
            assert path not in contents
            contents[path] = (kind, raw, item.components[at:end])
            at = end
        assert at == len(item.components)
    return contents, problems


def test_files_come_first_then_what_is_inside_them(tmp_path):
    items = [item for item in digest_all(walk([mixed(tmp_path)]), ignore, READING) if isinstance(item, Hashed)]
    folder = os.fsencode(tmp_path.resolve() / "mixed")
    first, second = items[0], items[1]  # the first task has eight files
    assert (first.folder, first.inside) == (folder, False)
    assert first.names == [os.fsencode(name) for name in list(MIXED)[:8]]
    inside = {item.folder: item.names for item in items if item.inside}
    assert inside == {os.path.join(folder, os.fsencode(name), b""): names for name, names in INSIDE.items()}
    assert second.inside
    own = [name for item in items if not item.inside for name in item.names]
    assert own == [os.fsencode(name) for name in MIXED]


def test_every_record_has_its_kind_its_digest_and_its_parts(tmp_path):
    folder = mixed(tmp_path)
    contents, problems = read([folder])
    for name, data in MIXED.items():
        kind, raw, components = contents[os.path.join(folder, os.fsencode(name))]
        assert kind == KINDS.get(name[0], Kind.BYTES), name
        assert raw == sha256(data)
        assert len(components) == WIDTHS[kind]
    for number in range(5):
        kind, raw, _ = contents[os.path.join(folder, b"b.ndjson", b"%d" % (number + 1))]
        assert (kind, raw) == (Kind.FHIR, sha256(resource(number)))
    assert [(problem.path, problem.severity) for problem in problems] == [
        (os.path.join(folder, b"j.xml"), Severity.BYTES_ONLY)
    ]


def test_raw_records_stay_lean(tmp_path):
    """Where all are of kind 0, nothing is said about kinds: a million scans cost what they did."""
    (item,) = digest_all(walk([fill(tmp_path / "r", {"a": b"text", "b": b"%PDF"})]), ignore, READING)
    assert (item.kinds, item.components) == (b"", b"")


def test_without_a_reading_nothing_is_read(tmp_path):
    folder = mixed(tmp_path)
    contents, problems = read([folder], None)
    assert contents == {
        os.path.join(folder, os.fsencode(name)): (Kind.BYTES, sha256(data), b"") for name, data in MIXED.items()
    }
    assert problems == []
    assert all(not item.inside for item in digest_all(walk([folder]), ignore))


def test_a_reading_can_be_forced(tmp_path):
    folder = mixed(tmp_path)
    assert read([folder], Reading(Form.BYTES)) == read([folder], None)
    contents, problems = read([folder], Reading(Form.XML))
    assert {kind for kind, _, _ in contents.values()} == {Kind.BYTES, Kind.XML}
    assert len(problems) == len(MIXED) - 1
    assert len(contents) == len(MIXED)


def test_remarks_name_the_record_they_are_about(tmp_path):
    folder = fill(
        tmp_path / "r",
        {
            "cut.gz": gzip.compress(lines(3))[:-1],
            "lines": PATIENT + b"\n{oops\n" + PATIENT + b"\n",
            "styled": b"<?xml-stylesheet href='s'?><a/>",
            "xml": b"<a>",
        },
    )
    contents, problems = read([folder])
    assert [(problem.path.removeprefix(folder), problem.severity) for problem in problems] == [
        (b"/cut.gz", Severity.BYTES_ONLY),
        (b"/lines/2", Severity.BYTES_ONLY),
        (b"/styled", Severity.NOTED),
        (b"/xml", Severity.BYTES_ONLY),
    ]
    assert all(problem.reason for problem in problems)
    assert contents[folder + b"/lines/2"] == (Kind.BYTES, sha256(b"{oops"), b"")
    assert folder + b"/cut.gz/1" not in contents


def test_what_cannot_be_read_is_told_as_before_and_stops_nothing(tmp_path):
    folder = mixed(tmp_path)
    found = [*walk([folder]), Group(b"/nowhere", [b"a"]), Group(folder, [b"gone.ndjson", b"."])]
    items = list(digest_all(found, ignore, READING))
    problems = [item for item in items if isinstance(item, Problem) and item.severity is Severity.UNREADABLE]
    assert [problem.path for problem in problems] == [b"/nowhere/a", folder + b"/gone.ndjson", folder + b"/."]
    assert [problem.reason for problem in problems][1:] == ["no such file or directory", "is a directory"]
    assert sum(len(item.names) for item in items if isinstance(item, Hashed)) == len(MIXED) + 11


def test_progress_counts_what_is_inside_too(tmp_path):
    told = []
    contents, _ = read([mixed(tmp_path)], READING, told.append)
    assert sum(told) == len(contents) == len(MIXED) + 11


# -- by all processes ----------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch):
    """Without processes of its own, whatever there is to read."""

    def start():
        monkeypatch.setattr(digest_module, "ALONE", 1 << 30)
        monkeypatch.setattr(workers_module, "_pool", None)
        monkeypatch.setattr(sys, "platform", "darwin")

    return start


def test_one_process_and_all_of_them_give_the_same_in_the_same_order(tmp_path, alone):
    folders = many(tmp_path)
    spread = list(digest_all(walk(folders), ignore, READING))
    alone()
    by_one = list(digest_all(walk(folders), ignore, READING))
    assert spread == by_one
    assert sum(len(item.names) for item in by_one if isinstance(item, Hashed)) == SEVERAL * (len(MIXED) + 11)


@pytest.fixture
def large(monkeypatch):
    """Files of more than 2,000 bytes are read by all processes, in blocks of 500."""
    monkeypatch.setattr(digest_module, "LARGE", 2000)
    monkeypatch.setattr(stream_module, "BLOCK", 500)
    monkeypatch.setattr(stream_module, "CHUNK", 200)


LARGE = {
    "a.ndjson": lines(300),
    "b.txt": b"text",
    "c.ndjson": lines(2),
    "d.gz": gzip.compress(os.urandom(1 << 12)),
    "e.ndjson.gz": gzip.compress(
        b"".join(
            json.dumps({"resourceType": "Patient", "id": os.urandom(9).hex()}).encode() + b"\n" for _ in range(300)
        )
    ),
    "f.json": b'{"resourceType":"Binary","data":"%s"}' % (b"A" * 4000),
    "g.xml": b"<a>%s</a>" % (b"text " * 1000),
    "h.ndjson": lines(100) + b"{oops\n" + lines(100),
    "i.ndjson": lines(100),
}


def by_path(paths):
    contents, problems = read(paths)
    return contents, sorted(map(repr, problems))


def in_turn(monkeypatch, paths):
    """What is to be expected: all of it by one process, each file at one go."""
    with monkeypatch.context() as patch:
        patch.setattr(digest_module, "LARGE", 1 << 60)
        patch.setattr(stream_module, "BLOCK", 1 << 20)
        patch.setattr(workers_module, "_pool", None)
        patch.setattr(sys, "platform", "darwin")
        return by_path(paths)


@pytest.mark.usefixtures("large")
def test_a_file_that_all_processes_read_gives_what_one_would_make_of_it(tmp_path, monkeypatch):
    folder = fill(tmp_path / "large", LARGE)
    expected = in_turn(monkeypatch, [folder])
    blocks, pids = [], set()
    read_block = stream_module.read_block
    monkeypatch.setattr(digest_module, "read_block", read_block)
    original = workers_module.Workers.map_blocks

    def watched(self, work, tasks):
        assert work is read_block
        for result in original(self, work, tasks):
            blocks.append(result)
            pids.add(os.getpid())
            yield result

    monkeypatch.setattr(workers_module.Workers, "map_blocks", watched)
    assert by_path([folder]) == expected
    assert len(blocks) > 50, "in blocks, not at one go"
    assert len(expected[0]) == len(LARGE) + 300 + 2 + 1 + 300 + 201 + 100


@pytest.mark.usefixtures("large")
def test_a_large_file_among_many_others_keeps_its_place(tmp_path, monkeypatch):
    small = {f"{number:03}": b"%d" % number for number in range(SEVERAL)}
    folders = [fill(tmp_path / "x", small | LARGE), fill(tmp_path / "y", small), fill(tmp_path / "z", LARGE)]
    items = [item for item in digest_all(walk(folders), ignore, READING) if isinstance(item, Hashed)]
    assert [item.folder for item in items if not item.inside] == sorted(
        item.folder for item in items if not item.inside
    ), "the records of one folder stay together"
    assert by_path(folders) == in_turn(monkeypatch, folders)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("shortage", ["fork", "pipe"])
def test_a_large_file_is_read_where_no_process_is_to_be_had(tmp_path, monkeypatch, shortage):
    folder = fill(tmp_path / "large", LARGE)
    expected = in_turn(monkeypatch, [folder])

    def fail_to(*_arguments):
        raise BlockingIOError(11, "resource temporarily unavailable")

    monkeypatch.setattr(os, shortage, fail_to)
    assert by_path([folder]) == expected


@pytest.mark.usefixtures("large")
def test_a_worker_that_is_killed_over_a_block_costs_no_record(tmp_path, monkeypatch):
    folder = fill(tmp_path / "large", LARGE)
    expected = in_turn(monkeypatch, [folder])
    monkeypatch.setenv("PARENT", str(os.getpid()))
    monkeypatch.setenv("KILLED", str(tmp_path / "killed"))
    monkeypatch.setattr(digest_module, "read_block", deadly)
    assert by_path([folder]) == expected
    assert (tmp_path / "killed").exists()


def deadly(block, first):
    """Kill the first worker that comes here, as the kernel does when memory runs out."""
    killed = os.environ["KILLED"]
    if str(os.getpid()) != os.environ["PARENT"] and first > 40 and not os.path.exists(killed):
        open(killed, "xb").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return stream_module.read_block(block, first)


@pytest.mark.usefixtures("large")
def test_a_large_file_with_a_line_too_long_is_bytes(tmp_path, monkeypatch):
    data = lines(100) + b"x" * 6000 + b"\n" + lines(100)
    folder = fill(tmp_path / "large", {"a.ndjson": data})
    monkeypatch.setattr(stream_module, "MAX_DOCUMENT", 5000)
    contents, (problem,) = read([folder])
    assert contents == {folder + b"/a.ndjson": (Kind.BYTES, sha256(data), b"")}
    assert (problem.path, problem.reason) == (folder + b"/a.ndjson", "line 101 is longer than 0 MiB")


@pytest.mark.usefixtures("large")
def test_a_large_file_that_vanished_meanwhile_is_told(tmp_path, monkeypatch):
    folder = fill(tmp_path / "large", LARGE)
    finish = digest_module._finish

    def vanish(results, workers, reading):
        if any(isinstance(item, digest_module.Large) for item in results):
            shutil.rmtree(folder)
        return finish(results, workers, reading)

    monkeypatch.setattr(digest_module, "_finish", vanish)
    _, problems = read([folder])
    told = {problem.path: problem.reason for problem in problems if problem.severity is Severity.UNREADABLE}
    assert set(told.values()) == {"no such file or directory"}
    assert {folder + b"/a.ndjson", folder + b"/h.ndjson", folder + b"/i.ndjson"} <= told.keys()


@pytest.mark.usefixtures("large")
def test_whoever_stops_listening_in_a_large_file_stops_the_workers(tmp_path):
    folder = fill(tmp_path / "large", {"a.ndjson": lines(2000)})
    before = set(children())
    items = digest_all(walk([folder]), ignore, READING)
    next(items)
    items.close()
    assert set(children()) <= before


def children():
    told = subprocess.run(["pgrep", "-P", str(os.getpid())], check=False, capture_output=True, text=True).stdout
    return [int(number) for number in told.split()]


def test_small_files_of_lines_are_read_where_they_are_found(tmp_path, monkeypatch):
    """To hand each of a thousand small files to all processes would have them wait for one another."""
    folder = fill(tmp_path / "small", {f"{number}.ndjson": lines(5) for number in range(5)})
    monkeypatch.setattr(digest_module, "read_block", None)
    assert len(read([folder])[0]) == 30


# -- memory and imports --------------------------------------------------------------------------------------------


def test_what_is_read_stays_packed(tmp_path):
    folder = fill(tmp_path / "records", {"a.ndjson": lines(20_000)})
    list(digest_all(walk([folder]), ignore, READING))  # imports are not what is measured
    tracemalloc.start()
    items = list(digest_all(walk([folder]), ignore, READING))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(item.names) for item in items) == 20_001
    assert kept / 20_000 < 320


HEAVY = (
    "orjson",
    "msgspec",
    "pydicom",
    "xml",
    "pyexpat",
    "zipfile",
    "medanchor.records.fhir",
    "medanchor.records.archive",
)
IMPORTS = """
    import os, sys
    from medanchor.records.detect import Reading
    from medanchor.records.digest import digest_all
    from medanchor.records.walk import walk
    for reading in (None, Reading()):
        items = list(digest_all(walk([os.fsencode(sys.argv[1])]), lambda count: None, reading))
        assert sum(len(item.names) for item in items) == int(sys.argv[2]), items
    print(*sorted({name for name in sys.modules if name.startswith(tuple(sys.argv[3:]))}))
"""


def imported(folder, count, *names):
    command = [sys.executable, "-c", textwrap.dedent(IMPORTS), os.fsdecode(folder), str(count), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("count", [3, 60])
def test_plain_files_make_nobody_import_what_reads_documents(tmp_path, count):
    """A hundred milliseconds, for whoever stamps scans and letters."""
    files = {f"{number}.json": b"%%PDF-1.7 %d" % number for number in range(count)}
    assert imported(fill(tmp_path / "plain", files), count, *HEAVY) == []


def test_each_kind_imports_its_own_reader_only(tmp_path):
    folder = fill(tmp_path / "one", {"a": PATIENT})
    names = imported(folder, 1, "orjson", "pydicom", "pyexpat", "medanchor.records.")
    assert "orjson" in names
    assert "medanchor.records.fhir" in names
    assert not {"pydicom", "pyexpat", "medanchor.records.dicom", "medanchor.records.archive"} & set(names)


# -- records in hand -----------------------------------------------------------------------------------------------

FHIR = Content(Kind.FHIR, sha256(b"f"), tuple(sha256(b"%d" % number) for number in range(5)))
HL7 = Content(Kind.HL7, sha256(b"h"), (sha256(b"m"), sha256(b"b")))
BYTES = Content(Kind.BYTES, sha256(b"b"))


def together(*contents):
    parts = [hashed_one(b"/folder", b"%d" % number, content) for number, content in enumerate(contents)]
    return Hashed(
        b"/folder",
        [name for part in parts for name in part.names],
        b"".join(part.raws for part in parts),
        b"".join(part.kinds or b"\0" for part in parts),
        b"".join(part.components for part in parts),
    )


@pytest.mark.parametrize("chosen", [{0}, {1}, {2}, {3}, {0, 2}, {1, 3}, {0, 1, 3}, {2, 3}])
def test_chosen_records_keep_their_kinds_and_parts(chosen):
    contents = [FHIR, BYTES, HL7, FHIR]
    hashed = together(*contents)
    found = hashed.only(lambda name, _raw: int(name) in chosen)
    expected = together(*(contents[number] for number in sorted(chosen)))
    assert (found.raws, found.kinds, found.components) == (expected.raws, expected.kinds, expected.components)
    assert found.names == [b"%d" % number for number in sorted(chosen)]


def test_all_chosen_is_the_same_and_none_chosen_is_nothing():
    hashed = together(FHIR, BYTES)
    assert hashed.only(lambda _name, _raw: True) is hashed
    assert hashed.only(lambda _name, _raw: False) is None


def test_one_record_of_bytes_has_no_kinds():
    assert hashed_one(b"/f", b"n", BYTES) == Hashed(b"/f", [b"n"], BYTES.raw)
    assert hashed_one(b"/f", b"n", HL7) == Hashed(b"/f", [b"n"], HL7.raw, b"\x03", b"".join(HL7.components))


@pytest.mark.parametrize(
    ("folder", "inside"), [(b"/a/b.zip/", True), (b"/a/b", False), (b"/", False), (b"", False), (b"-/", True)]
)
def test_a_container_s_path_ends_in_a_slash(folder, inside):
    assert Hashed(folder, [], b"").inside is inside
