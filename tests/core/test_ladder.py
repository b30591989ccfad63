"""The ladder: every rung for every kind, what is named, what a reviewer may accept; and never a rung too high."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medanchor.core.commitment import COMPONENTS, Content, Kind
from medanchor.core.hashes import sha256
from medanchor.core.ladder import ABSENT, ACCEPTABLE, RUNGS, Likeness, Rung, compare

READ = (Kind.FHIR, Kind.DICOM, Kind.HL7, Kind.XML)
ONE, OTHER = sha256(b"as sent"), sha256(b"as received")


def content(kind, raw=ONE, **parts):
    """A record whose parts are all alike but those that are given."""
    return Content(kind, raw, tuple(parts.get(name, sha256(name.encode())) for name in COMPONENTS[kind]))


def rewritten(kind, *unlike):
    """The same record with other bytes, in which the parts named are unlike."""
    return content(kind, OTHER, **{name: sha256(b"other " + name.encode()) for name in unlike})


def test_the_rungs_stand_best_first():
    assert RUNGS == ("EXACT", "SAME CONTENT", "SAME VALUES", "SAME DATA", "CHANGED")


def test_absent_is_the_digest_of_nothing():
    assert ABSENT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


RUNG_OF = {
    (Kind.FHIR,): (Rung.SAME_CONTENT, ()),
    (Kind.FHIR, "narrative"): (Rung.SAME_DATA, ("narrative",)),
    (Kind.FHIR, "meta"): (Rung.SAME_DATA, ("meta",)),
    (Kind.FHIR, "id"): (Rung.SAME_DATA, ("id",)),
    (Kind.FHIR, "narrative", "meta", "id"): (Rung.SAME_DATA, ("narrative", "meta", "id")),
    (Kind.FHIR, "data"): (Rung.SAME_VALUES, ("precision",)),
    (Kind.FHIR, "data", "id"): (Rung.SAME_DATA, ("precision", "id")),
    (Kind.FHIR, "data", "narrative", "meta", "id"): (Rung.SAME_DATA, ("precision", "narrative", "meta", "id")),
    (Kind.FHIR, "data", "numeric"): (Rung.CHANGED, ()),
    (Kind.FHIR, "data", "meta", "numeric"): (Rung.CHANGED, ()),
    (Kind.FHIR, "numeric"): (Rung.CHANGED, ()),
    (Kind.FHIR, "meta", "numeric"): (Rung.CHANGED, ()),
    (Kind.DICOM,): (Rung.SAME_CONTENT, ()),
    (Kind.DICOM, "pixels"): (Rung.SAME_DATA, ("pixels",)),
    (Kind.DICOM, "dataset"): (Rung.CHANGED, ("dataset",)),
    (Kind.DICOM, "dataset", "pixels"): (Rung.CHANGED, ()),
    (Kind.HL7,): (Rung.SAME_CONTENT, ()),
    (Kind.HL7, "message"): (Rung.SAME_DATA, ("header",)),
    (Kind.HL7, "body"): (Rung.CHANGED, ()),
    (Kind.HL7, "message", "body"): (Rung.CHANGED, ()),
    (Kind.XML,): (Rung.SAME_CONTENT, ()),
    (Kind.XML, "canonical"): (Rung.SAME_DATA, ("whitespace",)),
    (Kind.XML, "text"): (Rung.CHANGED, ()),
    (Kind.XML, "canonical", "text"): (Rung.CHANGED, ()),
}


@pytest.mark.parametrize("case", RUNG_OF, ids=lambda case: "-".join([case[0].name, *case[1:]]))
def test_what_differs_decides_the_rung(case):
    kind, *unlike = case
    stamped, found = content(kind), rewritten(kind, *unlike)
    assert compare(stamped, found) == compare(found, stamped) == Likeness(*RUNG_OF[case])


@pytest.mark.parametrize("kind", READ)
def test_the_same_bytes_are_exact_whatever_else_is_said(kind):
    """Another version of medanchor may have read them otherwise, or as bytes only."""
    stamped = content(kind)
    others = [rewritten(kind, *COMPONENTS[kind])._replace(raw=ONE), *(content(each) for each in Kind)]
    assert {compare(stamped, other) for other in others} == {Likeness(Rung.EXACT)}


@pytest.mark.parametrize(("one", "other"), [pair for pair in product(Kind, Kind) if pair[0] != pair[1]])
def test_two_kinds_are_never_alike(one, other):
    """Not even where all their parts have the same digests."""
    stamped, found = Content(one, ONE, (ABSENT,) * len(COMPONENTS[one])), Content(other, OTHER)
    assert compare(stamped, found._replace(components=(ABSENT,) * len(COMPONENTS[other]))) == Likeness(Rung.CHANGED)


def test_of_mere_bytes_only_the_same_are_alike():
    assert compare(Content(Kind.BYTES, ONE), Content(Kind.BYTES, OTHER)) == Likeness(Rung.CHANGED)


def test_numbers_nobody_could_read_are_never_equal_values():
    """Two resources with different numbers beyond RFC 8785 have the same digest of their numeric form: none."""
    stamped = content(Kind.FHIR, numeric=ABSENT)
    for unlike in ({"data": OTHER}, {"data": OTHER, "meta": OTHER}):
        found = content(Kind.FHIR, OTHER, numeric=ABSENT, **unlike)
        assert compare(stamped, found) == Likeness(Rung.CHANGED)


def test_numbers_nobody_could_read_may_be_the_same_data():
    stamped = content(Kind.FHIR, numeric=ABSENT)
    assert compare(stamped, content(Kind.FHIR, OTHER, numeric=ABSENT)) == Likeness(Rung.SAME_CONTENT)
    found = content(Kind.FHIR, OTHER, numeric=ABSENT, id=OTHER)
    assert compare(stamped, found) == Likeness(Rung.SAME_DATA, ("id",))


@pytest.mark.parametrize("part", ["narrative", "meta", "id"])
def test_a_part_that_was_dropped_or_added_is_named(part):
    whole, without = content(Kind.FHIR), content(Kind.FHIR, OTHER, **{part: ABSENT})
    assert compare(whole, without) == compare(without, whole) == Likeness(Rung.SAME_DATA, (part,))


def test_two_instances_without_an_image_have_no_image_in_common():
    """Else any two reports would be "the same image with another data set", which a reviewer may accept."""
    stamped = content(Kind.DICOM, pixels=ABSENT)
    found = content(Kind.DICOM, OTHER, pixels=ABSENT, dataset=OTHER)
    assert compare(stamped, found) == Likeness(Rung.CHANGED)


def test_an_image_that_was_taken_out_is_named():
    assert compare(content(Kind.DICOM), content(Kind.DICOM, OTHER, pixels=ABSENT)).parts == ("pixels",)


# -- what a reviewer accepts ---------------------------------------------------------------------------------------

EVERYTHING = frozenset(ACCEPTABLE.values())


def test_all_that_can_be_named_can_be_accepted_and_nothing_else():
    named = {part for _, parts in RUNG_OF.values() for part in parts}
    assert named == EVERYTHING
    assert len(ACCEPTABLE) == len(EVERYTHING)


@pytest.mark.parametrize("rung", [Rung.EXACT, Rung.SAME_CONTENT])
def test_the_same_content_needs_nobody_to_accept_it(rung):
    assert Likeness(rung).within(frozenset())


def test_what_changed_without_a_name_nobody_can_accept():
    assert not Likeness(Rung.CHANGED).within(EVERYTHING)


@pytest.mark.parametrize("case", [case for case, (_, parts) in RUNG_OF.items() if parts])
def test_each_part_that_is_named_has_to_be_accepted(case):
    likeness = compare(content(case[0]), rewritten(*case))
    parts = frozenset(likeness.parts)
    assert likeness.within(parts)
    assert likeness.within(EVERYTHING)
    assert not likeness.within(frozenset())
    assert not likeness.within(EVERYTHING - parts)
    assert not any(likeness.within(EVERYTHING - {part}) for part in parts)


DIGESTS = st.sampled_from([ABSENT, sha256(b"1"), sha256(b"2")])
CONTENTS = st.sampled_from(Kind).flatmap(
    lambda kind: st.builds(Content, st.just(kind), DIGESTS, st.tuples(*[DIGESTS] * len(COMPONENTS[kind])))
)


@settings(deadline=None)
@given(CONTENTS, CONTENTS)
def test_no_comparison_hides_a_part_that_differs(one, other):
    likeness = compare(one, other)
    assert compare(other, one) == likeness
    assert (likeness.rung == Rung.EXACT) == (one.raw == other.raw)
    if likeness.rung == Rung.SAME_CONTENT:
        assert one.kind == other.kind != Kind.BYTES
        assert one.components == other.components
    if likeness.rung in (Rung.SAME_VALUES, Rung.SAME_DATA):
        assert likeness.parts
        assert one.kind == other.kind
        assert one.components != other.components
