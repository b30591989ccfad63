"""Which parts of one version of a document answer to which of another, and what to show of two values that differ.

Greedy rather than shortest: the time grows with the parts, not with their square, whatever the two versions hold.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence

LONGEST = 200
"""How many characters of a value are shown."""

_LEAD = 40
"""How many of them stand before the first that differs."""

Keys = Sequence[Hashable]
Pair = tuple[int | None, int | None]
"""The places of a part in the two versions; None where one of them has no such part."""


def differing_pairs(before: Sequence[Keys], after: Sequence[Keys]) -> list[Pair]:
    """Return the places of the parts that differ, in order.

    Each part has the same number of keys. The first of them makes two parts equal: those are left out. What lies
    between them is paired by the second key, as another version of the same; what lies between those by the third.
    """
    levels = len((before or after)[0]) if before or after else 0
    pairs = _pairs(before, after, range(len(before)), range(len(after)), (0, levels))
    return [(i, j) for i, j in pairs if i is None or j is None or before[i][0] != after[j][0]]


def _pairs(
    before: Sequence[Keys], after: Sequence[Keys], ours: range, theirs: range, levels: tuple[int, int]
) -> list[Pair]:
    level, end = levels
    if level == end or not ours or not theirs:
        return [*((i, None) for i in ours), *((None, j) for j in theirs)]
    pairs: list[Pair] = []
    i = j = 0
    for matched_i, matched_j in _matches([before[n][level] for n in ours], [after[n][level] for n in theirs]):
        pairs += _pairs(before, after, ours[i:matched_i], theirs[j:matched_j], (level + 1, end))
        pairs.append((ours[matched_i], theirs[matched_j]))
        i, j = matched_i + 1, matched_j + 1
    return pairs + _pairs(before, after, ours[i:], theirs[j:], (level + 1, end))


def _matches(before: Keys, after: Keys) -> Iterator[tuple[int, int]]:
    """Yield the places of equal keys, rising in both; at keys that differ, go on where the next equal one is nearer."""
    ours, theirs = _places(before), _places(after)
    i = j = 0
    while i < len(before) and j < len(after):
        if before[i] == after[j]:
            yield i, j
            i, j = i + 1, j + 1
            continue
        far = len(before) + len(after)
        come, gone = _distance(ours, after[j], i, far), _distance(theirs, before[i], j, far)
        i += come <= gone
        j += gone <= come


def _places(keys: Keys) -> dict[Hashable, list[int]]:
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return places


def _distance(places: dict[Hashable, list[int]], key: Hashable, start: int, far: int) -> int:
    """Return how far from `start` on the next such key is, `far` if there is none."""
    found = places.get(key, [])
    next_one = bisect_left(found, start)
    return found[next_one] - start if next_one < len(found) else far


def excerpts(before: str, after: str) -> tuple[str, str]:
    """Return what to show of two values: all, or, of longer ones, what stands where they begin to differ."""
    same = next((n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None)
    start = max(0, (min(len(before), len(after)) if same is None else same) - _LEAD)
    return excerpt(before, start), excerpt(after, start)


def excerpt(value: str, start: int = 0) -> str:
    """Return `value`, or LONGEST characters of it from `start` on, with an ellipsis for what is left out."""
    if len(value) <= LONGEST:
        return value
    cut = value[start : start + LONGEST]
    return ("…" if start else "") + cut + ("…" if start + LONGEST < len(value) else "")
