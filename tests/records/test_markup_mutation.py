"""Single changes to XML, thousands of them: none may pass for the same content."""

import copy
import random
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from lxml import etree
from markups import SMALL, parsed, real_documents

from medanchor.core.ladder import Rung, compare
from medanchor.errors import MalformedRecordError
from medanchor.records import markup
from medanchor.records.markup_diff import differences


def elements(tree):
    return list(tree.iter(etree.Element))


def change_attribute(tree, choice):
    element = choice.choice([each for each in elements(tree) if each.attrib])
    name = choice.choice(element.keys())
    element.set(name, changed_text(element.get(name), choice))


def remove_attribute(tree, choice):
    element = choice.choice([each for each in elements(tree) if each.attrib])
    del element.attrib[choice.choice(element.keys())]


def add_attribute(tree, choice):
    choice.choice(elements(tree)).set(f"n{choice.randrange(1000)}", "")


def change_text(tree, choice):
    texts = [(each, "text") for each in elements(tree) if each.text and each.text.strip()]
    element, where = choice.choice(texts + [(each, "tail") for each in elements(tree) if (each.tail or "").strip()])
    setattr(element, where, changed_text(getattr(element, where), choice))


def changed_text(text, choice):
    place, character = choice.randrange(len(text) + 1), choice.choice("xé0\u0430&<\"'\u00a0\u200b")
    after = choice.choice([text[:place] + character + text[place:], text[:place] + text[place + 1 :]])
    return after if after.strip() != text.strip() else text + character


def remove_element(tree, choice):
    element = choice.choice(elements(tree)[1:])
    element.getparent().remove(element)


def double_element(tree, choice):
    element = choice.choice(elements(tree)[1:])
    element.addnext(copy.deepcopy(element))


def swap_elements(tree, choice):
    one, other = choice.sample(elements(tree)[1:], 2)
    while shown(one) == shown(other) or one in other.iterancestors() or other in one.iterancestors():
        one, other = choice.sample(elements(tree)[1:], 2)
    place = etree.Element("place")
    one.getparent().replace(one, place)
    other.getparent().replace(other, copy.deepcopy(one))
    place.getparent().replace(place, copy.deepcopy(other))


def rename_element(tree, choice):
    element = choice.choice(elements(tree))
    element.tag = choice.choice([element.tag + "x", "{urn:x}" + etree.QName(element).localname])


def add_instruction(tree, choice):
    choice.choice(elements(tree)).append(etree.ProcessingInstruction("show", "no"))


def shown(element):
    return etree.tostring(element, method="c14n", with_tail=False)


CHANGES = [
    change_attribute, change_attribute, change_text, change_text, remove_attribute, add_attribute, remove_element,
    double_element, swap_elements, rename_element, add_instruction,
]  # fmt: skip


def mutated(tree, choice):
    tree = copy.deepcopy(tree)
    choice.choice(CHANGES)(tree, choice)
    return etree.tostring(tree, encoding=choice.choice(["UTF-8", "US-ASCII", "UTF-16"]))


def rungs(document, number, seed):
    """On which rungs so many single changes to a document land."""
    choice, tree, stamped = random.Random(seed), parsed(document), markup.read(document).content  # noqa: S311 - a test's
    changed = (mutated(tree, choice) for _ in range(number))
    return Counter(compare(stamped, markup.read(each).content).rung for each in changed)


def test_ten_thousand_single_changes_all_show():
    assert rungs(SMALL, 10_000, seed=1) == {Rung.CHANGED: 10_000}


@pytest.mark.skipif(not real_documents(), reason="the real documents are not here")
def test_single_changes_to_real_documents_all_show():
    for document in real_documents().values():
        assert rungs(document, 3, seed=2) == {Rung.CHANGED: 3}


def test_every_single_change_is_told():
    choice, tree = random.Random(3), parsed(SMALL)  # noqa: S311 - a test's choice
    for _ in range(500):
        assert list(differences(SMALL, mutated(tree, choice)))


def test_changed_bytes_are_the_same_content_only_where_another_program_says_so():
    """The standard library judges; none of the changes makes a comment in a text or a prefix in a value."""
    choice = random.Random(4)  # noqa: S311 - a test's choice
    counts, expected, stamped = Counter(), ET.canonicalize(SMALL), markup.read(SMALL).content
    for _ in range(10_000):
        place = choice.randrange(len(SMALL))
        written = choice.choice([b"", bytes([choice.choice(b" \n'\"/>ax1;\xc3")])])
        after = SMALL[:place] + written + SMALL[place + choice.randrange(2) :]
        try:
            same = stamped.components[0] == markup.read(after).content.components[0]
        except MalformedRecordError:
            counts["refused"] += 1
            continue
        counts[same] += 1
        assert same == (ET.canonicalize(after) == expected)
    assert counts["refused"] > 2_000
    assert counts[False] > 2_000
    assert counts[True] > 200
