"""Every resource of the shared data, written anew by others, lands on its rung; all of them are counted."""

import json
import random
import re
import shutil
import subprocess
from collections import Counter
from datetime import datetime

import pytest
from fhirs import bundles, content, contents, lines, needs_data, resources, respelled, rung

from medanchor.core.ladder import Likeness, Rung, compare
from medanchor.records import fhir
from medanchor.records.fhir_diff import differences

pytestmark = [needs_data("fhir-r4-bundles"), needs_data("fhir-bulk-10-patients")]

STYLES = [
    {"indent": None},
    {"indent": 1},
    {"indent": "\t"},
    {"indent": 4, "ensure_ascii": False},
    {"separators": (",", ":")},
    {"separators": (" , ", " : "), "ensure_ascii": False},
    {"sort_keys": True},
]


def shuffled(tree, dice):
    if isinstance(tree, dict):
        keys = list(tree)
        dice.shuffle(keys)
        return {key: shuffled(tree[key], dice) for key in keys}
    return [shuffled(item, dice) for item in tree] if isinstance(tree, list) else tree


def written_anew(data, dice):
    """Return `data` as the json module writes it, in some style, its keys in some order, its numbers as they were."""
    tree = json.loads(data, parse_float=lambda token: f"@@{token}@@")
    written = json.dumps(shuffled(tree, dice), **dice.choice(STYLES)).encode()
    return re.sub(rb'"@@([^@"]*)@@"', rb"\1", written)


def through_node(documents):
    """Return each of `documents` as JSON.stringify writes what JSON.parse reads of it."""
    if not shutil.which("node"):
        pytest.skip("there is no node here")
    script = "for (const line of require('fs').readFileSync(0, 'utf8').split('\\n'))"
    script += " console.log(JSON.stringify(JSON.parse(line)))"
    compact = [re.sub(rb"\n *", b"", data) for data in documents]  # strings have no line ends
    done = subprocess.run(["node", "-e", script], input=b"\n".join(compact), capture_output=True, check=True)
    return done.stdout.splitlines()


def test_the_json_module_with_other_orders_and_indents_leaves_the_same_content():
    dice = random.Random(1)  # noqa: S311 - a dice
    found = Counter(rung(data, written_anew(data, dice)) for data in resources())
    assert found == {Likeness(Rung.SAME_CONTENT): 7358}


def test_whole_bundles_with_other_orders_and_indents_are_the_same_content_and_so_are_their_entries():
    dice, counted = random.Random(2), 0  # noqa: S311 - a dice
    for data in bundles():
        before, after = fhir.read(data), fhir.read(written_anew(data, dice))
        assert compare(before.content, after.content).rung is Rung.SAME_CONTENT
        assert contents(before.contained) == contents(after.contained)
        counted += len(before.contained.names)
    assert counted == 1413


def test_an_export_with_other_orders_and_indents_has_the_same_content_on_each_line():
    dice = random.Random(3)  # noqa: S311 - a dice
    after = [re.sub(rb"[\n\t]", b" ", written_anew(line, dice)) for line in lines()]
    assert all(b"\\n" in line or b"\n" not in line for line in after)
    found = contents(fhir.read_lines(b"\r\n".join(after), 1))
    assert [inner.components for _, inner in found] == [content(line).components for line in lines()]


def test_node_leaves_the_same_values_where_it_spells_a_number_otherwise_and_else_the_same_content():
    found = Counter()
    for before, after in zip(resources(), through_node(resources()), strict=True):
        verdict = rung(before, after)
        assert verdict.parts == (("precision",) if respelled(before) else ())
        found[verdict.rung] += 1
    assert found == {Rung.SAME_VALUES: 333, Rung.EXACT: 7025}


def test_node_leaves_whole_bundles_the_same_content():
    found = Counter(rung(before, after) for before, after in zip(bundles(), through_node(bundles()), strict=True))
    assert found == {Likeness(Rung.SAME_CONTENT): 8}


def instant(text):
    return datetime.fromisoformat(json.loads(text))


@pytest.mark.parametrize(
    ("part", "exact", "same", "changed"),
    [(0, 1483, 11, 346), (1, 1484, 11, 345), (2, 1483, 12, 344), (3, 1482, 12, 345)],
)
def test_fhir_resources_leaves_the_same_content_unless_it_writes_a_time_otherwise(part, exact, same, changed):
    models = pytest.importorskip("fhir.resources.R4B")
    found = Counter()
    for data in resources()[part::4]:
        model = models.get_fhir_model_class(json.loads(data)["resourceType"])
        after = model.model_validate_json(data).model_dump_json().encode()
        verdict = rung(data, after)
        found[verdict.rung] += 1
        if verdict.rung is Rung.CHANGED:
            assert all(instant(old) == instant(new) for _, old, new in differences(data, after))
        else:
            assert verdict.rung in (Rung.EXACT, Rung.SAME_CONTENT)
    assert found == {Rung.EXACT: exact, Rung.SAME_CONTENT: same, Rung.CHANGED: changed}
