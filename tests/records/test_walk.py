"""Finding records in folders as people really have them: their order, links, loops, pipes."""

import os
import socket

import pytest
from folders import below, found, make, problems
from opentimestamps.core.timestamp import DetachedTimestampFile

from medanchor.records.walk import OTS_MAGIC, Problem, Severity, absolute, walk

# -- order ------------------------------------------------------------------------------------------------------------


def test_folders_come_in_one_order_each_before_those_in_it(root):
    make(root, b"b/2", b"b/1", b"a/z/1", b"a/y", b"c", b"a.b", b"B", b"\xff")
    assert found(root) == below(root, b"B", b"a.b", b"c", b"\xff", b"a/y", b"a/z/1", b"b/1", b"b/2")


def test_what_is_named_comes_first_and_only_once(root):
    make(root, b"a/1", b"a/2", b"b/3")
    expected = below(root, b"a/2", b"a/1", b"b/3")
    assert found(root, os.path.join(root, b"a/2"), os.path.join(root, b"b"), os.path.join(root, b"a/2")) == expected


def test_a_folder_within_another_that_is_named_too_is_walked_once(root):
    make(root, b"a/b/1")
    for paths in ((b"a", b"a/b"), (b"a/b", b"a"), (b"a", b"a"), (b"a", b"./a/../a")):
        assert found(*below(root, *paths)) == below(root, b"a/b/1")


def test_names_of_any_bytes_but_two_are_found(root):
    names = sorted(bytes([byte]) for byte in range(1, 256) if byte not in b"/." and byte)
    make(root, *names)
    assert found(root) == below(root, *names)


def test_proofs_are_passed_over_in_folders_and_taken_when_named(root):
    make(root, b"a", b"a.medproof", b".medproof", b"a.medproof.pdf")
    assert found(root) == below(root, b"a", b"a.medproof.pdf")
    assert found(os.path.join(root, b"a.medproof")) == below(root, b"a.medproof")


def test_opentimestamps_files_in_folders_are_no_records_and_other_files_of_that_name_are(root):
    make(root, b"a", b"a.ots", b"b.ots", b"empty.ots", b"short.ots", b"timestamp")
    content = {b"a.ots": OTS_MAGIC + b"\1", b"b.ots": b"PK a template", b"short.ots": OTS_MAGIC[:-1]}
    for name, data in (content | {b"empty.ots": b"", b"timestamp": OTS_MAGIC}).items():
        with open(os.path.join(root, name), "wb") as file:
            file.write(data)
    assert found(root) == below(root, b"a", b"b.ots", b"empty.ots", b"short.ots", b"timestamp")
    assert found(os.path.join(root, b"a.ots")) == below(root, b"a.ots")


def test_the_beginning_of_an_opentimestamps_file_is_the_library_s():
    assert OTS_MAGIC == DetachedTimestampFile.HEADER_MAGIC


OURS = b'{\n  "resourceType": "Provenance",\n  "id": "%s",\n' % (b"0a" * 32)
"""How an exported Provenance begins."""


def test_exported_provenances_are_passed_over_and_those_of_others_are_records(root):
    content = {
        b"entry-0.provenance.json": OURS,
        b"a/entry-12.provenance.json": OURS + b'"target": []}',
        b"entry-1.provenance.json": b'{"resourceType": "Provenance", "id": "123"}',
        b"entry-2.provenance.json": OURS.replace(b"Provenance", b"Observation"),
        b"entry-3.provenance.json": b"",
        b"entry-x.provenance.json": OURS,
        b"my-entry-4.provenance.json": OURS,
        b"provenance.json": OURS,
    }
    for name, data in content.items():
        make(root, name)
        with open(os.path.join(root, name), "wb") as file:
            file.write(data)
    os.mkfifo(os.path.join(root, b"entry-9.provenance.json"))  # nobody waits for what comes through it
    assert found(root) == below(root, *sorted(name for name in content if name not in list(content)[:2]))
    assert found(os.path.join(root, b"entry-0.provenance.json")) == below(root, b"entry-0.provenance.json")


def test_an_ots_that_cannot_be_read_is_left_to_whoever_hashes_it(root, monkeypatch):
    make(root, b"a.ots")

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("medanchor.records.walk.os.open", refuse)
    assert found(root) == below(root, b"a.ots")
    monkeypatch.undo()
    monkeypatch.setattr("medanchor.records.walk.os.read", refuse)
    assert found(root) == below(root, b"a.ots")


def test_an_empty_folder_has_no_records(root):
    assert list(walk([root])) == []


# -- links ------------------------------------------------------------------------------------------------------------


def test_links_met_on_the_way_are_named_and_not_followed(root):
    make(root, b"a/record", b"elsewhere/other")
    os.symlink(b"record", os.path.join(root, b"a/link"))
    os.symlink(b"../elsewhere", os.path.join(root, b"a/folder"))
    assert found(os.path.join(root, b"a")) == below(root, b"a/record")
    assert problems(os.path.join(root, b"a")) == [
        Problem(path, "it is a symbolic link", Severity.SKIPPED) for path in below(root, b"a/folder", b"a/link")
    ]


def test_links_are_followed_if_asked_for(root):
    make(root, b"a/record", b"elsewhere/other")
    os.symlink(b"record", os.path.join(root, b"a/link"))
    os.symlink(b"../elsewhere", os.path.join(root, b"a/folder"))
    expected = below(root, b"a/link", b"a/record", b"elsewhere/other")
    assert found(os.path.join(root, b"a"), follow=True) == expected


def test_a_file_has_the_same_path_by_whatever_link_its_folder_is_met(root):
    """Else one that is stamped in its place, then by a link, would be stamped twice (decision 0003)."""
    make(root, b"a/b/record", b"links/z/last")
    for name in (b"x", b"y"):
        os.symlink(b"../a", os.path.join(root, b"links", name))
    expected = below(root, b"a/b/record", b"links/z/last")
    assert found(os.path.join(root, b"links"), follow=True) == expected
    named = below(root, b"a/b/record", b"links/z/last")
    assert found(os.path.join(root, b"links"), os.path.join(root, b"links/y/b/record"), follow=True) == named


def test_a_link_that_is_named_is_followed(root):
    make(root, b"a/record")
    os.symlink(b"a", os.path.join(root, b"folder"))
    os.symlink(b"a/record", os.path.join(root, b"link"))
    assert found(os.path.join(root, b"folder")) == below(root, b"a/record")
    assert found(os.path.join(root, b"link")) == below(root, b"link")


def test_a_loop_of_links_ends(root):
    make(root, b"a/b/record")
    os.symlink(b"../..", os.path.join(root, b"a/b/up"))
    os.symlink(b"b", os.path.join(root, b"a/same"))
    assert found(root, follow=True) == below(root, b"a/b/record")


@pytest.mark.parametrize("follow", [False, True])
def test_links_to_nowhere_and_to_themselves_stop_nothing(root, follow):
    make(root, b"record")
    os.symlink(b"nowhere", os.path.join(root, b"dangling"))
    os.symlink(b"self", os.path.join(root, b"self"))
    assert found(root, follow=follow) == below(root, b"record")
    severity = Severity.UNREADABLE if follow else Severity.SKIPPED
    assert [(each.path, each.severity) for each in problems(root, follow=follow)] == [
        (path, severity) for path in below(root, b"dangling", b"self")
    ]


def test_hard_links_are_records_of_their_own(root):
    make(root, b"a")
    os.link(os.path.join(root, b"a"), os.path.join(root, b"b"))
    assert found(root) == below(root, b"a", b"b")


def test_two_dots_after_a_link_mean_what_the_operating_system_means(root):
    make(root, b"far/away/place/x", b"far/away/record", b"record")
    os.symlink(b"far/away/place", os.path.join(root, b"link"))
    path = os.path.join(root, b"link/../record")
    with open(path, "rb") as file:
        assert file.read() == b"far/away/record"
    assert absolute(path) == os.path.join(root, b"far/away/record")
    assert found(path) == below(root, b"far/away/record")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"a/record", b"a/record"),
        (b"./a//record", b"a/record"),
        (b"a/../a/record", b"a/record"),
        (b"link", b"link"),
        (b"folder/record", b"a/record"),
        (b"a/gone/../record", b"a/record"),
        (b"gone", b"gone"),
        (b"a/", b"a"),
        (b"a/.", b"a"),
        (b"a/..", b""),
        (b".", b""),
        (b"", b""),
    ],
)
def test_one_file_has_one_path(root, monkeypatch, path, expected):
    make(root, b"a/record")
    os.symlink(b"a", os.path.join(root, b"folder"))
    os.symlink(b"a/record", os.path.join(root, b"link"))
    monkeypatch.chdir(root)
    full = os.path.join(root, expected) if expected else root
    assert absolute(path) == full
    assert absolute(os.path.join(root, path)) == full


# -- what is no record ------------------------------------------------------------------------------------------------


def test_special_files_are_named_and_passed_over(root, monkeypatch):
    make(root, b"record")
    os.mkfifo(os.path.join(root, b"pipe"))
    monkeypatch.chdir(root)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        expected = [("pipe", "it is a named pipe, not a record"), ("socket", "it is a socket, not a record")]
        assert [(os.path.basename(each.path).decode(), each.reason) for each in problems(root)] == expected
        assert {each.severity for each in problems(root)} == {Severity.SKIPPED}
        assert found(root) == below(root, b"record")


def test_a_device_that_is_named_is_no_record():
    assert problems(b"/dev/null") == [Problem(b"/dev/null", "it is a device, not a record", Severity.SKIPPED)]


def test_what_is_not_there_is_told(root):
    assert problems(os.path.join(root, b"nowhere"), root + b"/nowhere\xff/\xfe") == [
        Problem(path, "no such file or directory", Severity.UNREADABLE)
        for path in below(root, b"nowhere", b"nowhere\xff/\xfe")
    ]


def test_folders_that_are_excluded_are_not_entered_by_any_path(root):
    make(root, b"vault/keys/default.key", b"record")
    os.symlink(b"vault", os.path.join(root, b"link"))
    exclude = below(root, b"vault")
    assert found(root, follow=True, exclude=exclude) == below(root, b"record")
    assert found(os.path.join(root, b"link"), exclude=exclude) == []
