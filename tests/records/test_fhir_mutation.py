"""Ten thousand random single changes: none lands on EXACT or SAME CONTENT, and each is shown where it is."""

import copy
import json
import random
import re
from collections import Counter

import pytest
from fhirs import BUNDLE, OBSERVATION, content, contents, minified, resources, rung

from medanchor.core.ladder import Rung, compare
from medanchor.errors import MalformedRecordError
from medanchor.records import fhir
from medanchor.records.fhir_diff import differences

CHANGES = 10_000
IGNORED = ("versionId", "lastUpdated", "source")


def tree_of(data):
    """Return `data` as a tree whose numbers are "@@" and how they are spelled, without what nobody commits to."""
    tree = json.loads(data, parse_float=lambda token: "@@" + token, parse_int=lambda token: "@@" + token)
    if isinstance(tree.get("meta"), dict):
        for key in IGNORED:
            tree["meta"].pop(key, None)
    return tree


def text_of(tree):
    return re.sub(r'"@@([^"]*)"', r"\1", json.dumps(tree)).encode()


def places(tree):
    """Return all (container, key) of a tree."""
    found = []
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        found.append((tree, key))
        if isinstance(value, dict | list):
            found += places(value)
    return found


def another_scalar(value, dice):
    if isinstance(value, str) and value.startswith("@@"):
        digits = value[2:]
        zero_more = digits + "0" if "." in digits else digits + ".0"
        return "@@" + dice.choice((zero_more, str(int(digits.partition(".")[0]) + 1), digits + "1", "0.125"))
    if isinstance(value, str) and value:
        at = dice.randrange(len(value))
        new = dice.choice("xX é\u0301\u200b0-/")
        return dice.choice(
            (value[:at] + value[at + 1 :], value[:at] + new + value[at:], value[:at] + new + value[at + 1 :])
        )
    return dice.choice((None, True, False, "", "x", "@@0", "@@1", [], {}))


def change(tree, dice):
    """Change one thing in `tree`, and say what; nothing if the dice found nothing to change there."""
    container, key = dice.choice(places(tree))
    value = container[key]
    what = dice.choice(("value", "value", "remove", "add", "rename", "order", "wrap"))
    if what == "value" and not isinstance(value, dict | list):
        container[key] = another_scalar(value, dice)
    elif what == "remove":
        del container[key]
    elif what == "add" and isinstance(container, dict):
        container["x" + str(dice.randrange(9))] = copy.deepcopy(dice.choice((value, "@@1", "a", None)))
    elif what == "add":
        container.insert(dice.randrange(len(container) + 1), copy.deepcopy(dice.choice((value, "b"))))
    elif what == "rename" and isinstance(container, dict):
        container[dice.choice(("_", "x")) + key] = container.pop(key)
    elif what == "order" and isinstance(value, list):
        dice.shuffle(value)
    elif what == "wrap":
        container[key] = [value]
    return what


def samples():
    """Return resources to change: ours, and some of the shared ones where they are at hand."""
    ours = [
        OBSERVATION,
        minified(OBSERVATION),
        BUNDLE,
        b'{"resourceType":"X","a":[1,1.0,-0.5,{"b":[[2,"3"]]}],"c":null}',
    ]
    real = [data for data in resources()[::97] if len(data) < 6000]
    return ours * 6 + real


def test_no_change_to_a_document_goes_unseen():
    dice, found, same = random.Random(10), Counter(), 0  # noqa: S311 - a dice
    trees = [(data, tree_of(data)) for data in samples()]
    while found.total() < CHANGES:
        data, tree = dice.choice(trees)
        changed = copy.deepcopy(tree)
        change(changed, dice)
        after = text_of(changed)
        verdict = rung(data, after).rung if fhir.as_resource(changed) else Rung.CHANGED
        shown = list(differences(data, after))
        if changed == tree or (changed.get("meta") == {} and verdict is Rung.SAME_CONTENT):
            assert verdict in (Rung.EXACT, Rung.SAME_CONTENT)
            assert not shown
            same += 1
            continue
        assert verdict not in (Rung.EXACT, Rung.SAME_CONTENT), after
        assert shown, after
        found[verdict] += 1
    assert same < CHANGES
    assert all(found[step] > 20 for step in (Rung.SAME_VALUES, Rung.SAME_DATA, Rung.CHANGED)), found


@pytest.mark.parametrize("data", [OBSERVATION, minified(OBSERVATION)], ids=["indented", "minified"])
def test_no_changed_byte_goes_unseen(data):
    """Judged by the json module, which knows nothing of us."""
    dice, seen = random.Random(11), Counter()  # noqa: S311 - a dice
    tree = tree_of(data)
    for _ in range(CHANGES // 2):
        after = bytearray(data)
        at = dice.randrange(len(after))
        after[at] = dice.choice((dice.randrange(256), *b'0123456789 ",:')) if dice.random() < 0.7 else after[at] ^ 1
        try:
            verdict = rung(data, bytes(after)).rung
        except MalformedRecordError:
            seen["refused"] += 1
            continue
        same = fhir.as_resource(json.loads(after)) is not None and tree_of(bytes(after)) == tree
        assert (verdict in (Rung.EXACT, Rung.SAME_CONTENT)) == same, (at, after[at])
        seen[verdict] += 1
    assert seen["refused"] > 100
    assert seen[Rung.CHANGED] > 100


def test_no_change_in_an_entry_goes_unseen_in_its_record_or_in_any_other():
    dice = random.Random(12)  # noqa: S311 - a dice
    before = dict(contents(fhir.read(BUNDLE).contained))
    tree = tree_of(BUNDLE)
    changed_entries = 0
    for _ in range(1000):
        changed = copy.deepcopy(tree)
        change(changed["entry"][0]["resource"], dice)
        after = fhir.read(text_of(changed))
        if changed == tree:
            continue
        found = dict(contents(after.contained)) if after.contained else {}
        unlike = before[b"entry/0"].components != found.get(b"entry/0", content(b"{}")).components
        resource = changed["entry"][0]["resource"]
        assert unlike or resource == {**tree["entry"][0]["resource"], "meta": resource.get("meta")}
        assert before[b"entry/1"] == found[b"entry/1"]
        assert compare(content(BUNDLE), after.content).rung in (Rung.CHANGED, Rung.SAME_VALUES)
        changed_entries += unlike
    assert changed_entries > 600
