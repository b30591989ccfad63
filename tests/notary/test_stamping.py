"""Stamping: what is new is stamped, what is not is left out, and the ledger holds what was signed."""

import os

import pytest
from vaulted import another_signer, in_hand, numbered, put

from medanchor.core.checkpoint import verify_checkpoint
from medanchor.core.statement import Follows, parse_envelope, verify_envelope
from medanchor.errors import UsageError
from medanchor.notary.stamp import StampRequest, stamp, would_stamp
from medanchor.vault.bundles import count_records, stamped_in, tiles_of

FOLLOWS = (Follows(0, "amendment", "correction"),)
REQUEST = StampRequest("authorship", "2026-11-21T18:04:05Z")


def outcome(result):
    return result.entry, result.records, result.unchanged


def test_a_second_stamp_of_the_same_adds_nothing(desk):
    assert outcome(desk.stamp()) == (0, 3, 0)
    assert outcome(desk.stamp()) == (None, 0, 3)
    assert desk.store.size() == 1


def test_only_what_is_new_or_changed_is_stamped(desk):
    desk.stamp()
    desk.write("letter", b"another letter")
    desk.write("new", b"new")
    assert outcome(desk.stamp()) == (1, 2, 2)
    (_, second) = stamped_in(desk.store, os.fsencode(desk.records.resolve()))
    assert second.names == [b"letter", b"new"]


def test_another_meaning_is_another_statement(desk):
    desk.stamp()
    assert outcome(desk.stamp(meaning="review")) == (1, 3, 0)
    assert outcome(desk.stamp(meaning="review")) == (None, 0, 3)
    assert outcome(desk.stamp()) == (None, 0, 3)


def test_another_key_is_another_statement(desk):
    other = another_signer(desk.store)
    desk.stamp()
    assert outcome(desk.stamp(signer=other)) == (1, 3, 0)
    assert outcome(desk.stamp(signer=other)) == (None, 0, 3)


def test_the_same_bytes_under_another_name_are_another_record(desk):
    desk.stamp()
    desk.write("copy", b"letter")
    assert outcome(desk.stamp()) == (1, 1, 3)


def test_again_means_again(desk):
    desk.stamp()
    assert outcome(desk.stamp(again=True)) == (1, 3, 0)


def test_what_follows_another_entry_says_so_and_is_stamped_whatever_was_before(desk):
    desk.stamp()
    assert outcome(desk.stamp("letter", follows=FOLLOWS)) == (1, 1, 0)
    assert parse_envelope(desk.store.envelope(1)).statement.follows == FOLLOWS


@pytest.mark.parametrize("entry", [0, 1, 1 << 62])
def test_only_an_entry_of_the_ledger_can_be_followed(desk, entry):
    with pytest.raises(UsageError, match=f"found {entry}"):
        desk.stamp(follows=(Follows(entry, "amendment", "correction"),))
    assert desk.store.size() == 0


def test_no_records_make_no_entry(desk):
    assert outcome(stamp(desk.store, desk.signer, [], REQUEST, os.urandom)) == (None, 0, 0)
    assert desk.store.size() == 0


def test_what_was_piped_in_is_known_by_its_digest(desk):
    piped, other = in_hand({b"": b"piped"}, b""), in_hand({b"": b"other"}, b"")
    assert outcome(stamp(desk.store, desk.signer, [piped], REQUEST, os.urandom)) == (0, 1, 0)
    assert outcome(stamp(desk.store, desk.signer, [piped, other], REQUEST, os.urandom)) == (1, 1, 1)


def test_what_would_be_stamped_is_what_is_stamped(desk):
    def would(**options):
        request = StampRequest(options.pop("meaning", "authorship"), REQUEST.time, **options)
        return would_stamp(desk.store, desk.signer.public, desk.in_hand(), request)

    assert would() == 3
    desk.stamp("letter")
    assert (would(), would(meaning="review"), would(again=True), would(follows=FOLLOWS)) == (2, 3, 3, 3)
    assert desk.store.size() == 1
    assert desk.stamp().records == 2


def test_entries_carry_the_signature_and_the_checkpoint_of_their_time(desk):
    for size in (1, 2, 3):
        desk.stamp(again=True)
        statement = verify_envelope(desk.store.envelope(size - 1), desk.signer.public)
        assert (statement.records, statement.ledger) == (3, desk.store.origin)
        head = verify_checkpoint(desk.store.checkpoint(size - 1), desk.signer.public)
        assert head == desk.store.head(size)


def test_salts_are_never_used_twice(desk):
    put(desk.store, in_hand(numbered(2000)))
    put(desk.store, in_hand(numbered(2000)), again=True)
    salts = [salt for entry in (0, 1) for tile in tiles_of(desk.store, entry) for salt in tile.salts()]
    assert len(set(salts)) == len(salts) == 4000


def test_a_source_of_salts_that_breaks_leaves_the_ledger_as_it_was(desk):
    def broken(_count):
        raise OSError("no randomness")

    with pytest.raises(OSError, match="no randomness"):
        stamp(desk.store, desk.signer, desk.in_hand(), REQUEST, broken)
    assert desk.store.size() == 0
    assert desk.stamp().entry == 0


def test_a_signer_that_breaks_leaves_the_ledger_as_it_was(desk):
    def broken(_message):
        raise KeyboardInterrupt

    signer = type(desk.signer)(desk.signer.public, "", "", broken)
    with pytest.raises(KeyboardInterrupt):
        desk.stamp(signer=signer)
    assert (desk.store.size(), desk.damage()) == (0, [])


def test_records_of_many_folders_fill_tiles_across_them(desk):
    folders = [in_hand(numbered(400), b"/%d" % number) for number in range(6)]
    put(desk.store, *folders)
    assert count_records(desk.store, 0) == 2400
    assert [tile.count for tile in tiles_of(desk.store, 0)] == [1024, 1024, 352]
    assert desk.damage() == []
