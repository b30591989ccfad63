"""Where two versions of any file differ: offsets and counts of bytes, never what stands there.

Without the older version nothing of this can be known: a digest does not say which part of a file it was made of.
"""

from collections.abc import Iterator

from medanchor.records.document import Difference

BLOCK_BYTES = 1 << 16

PDF_MAGIC = b"%PDF-"
PDF_END = b"%%EOF"


def differences(before: bytes, after: bytes) -> Iterator[Difference]:
    """Return the one stretch of bytes outside which both versions are the same, or nothing if there is none.

    Bytes are counted from 0. What was added to the end of a PDF is told as an incremental update (ISO 32000-1, section
    7.5.6) if it ends as one does.
    """
    if before == after:
        return
    start = _common_start(before, after)
    if start == len(before):
        yield Difference("end of file", None, f"{_appended(before, after)} appended later")
    elif start == len(after):
        yield Difference("end of file", f"{_counted(len(before) - start)} cut off later", None)
    else:
        yield _stretch(before, after, start)


def _appended(before: bytes, after: bytes) -> str:
    added = after[len(before) :]
    is_update = before.startswith(PDF_MAGIC) and added.rstrip().endswith(PDF_END)
    return _counted(len(added)) + (" (an incremental update of the PDF)" if is_update else "")


def _stretch(before: bytes, after: bytes, start: int) -> Difference:
    """Return what differs from `start` on, up to the end that both have in common."""
    kept = _common_end(before[start:], after[start:])
    old, new = before[start : len(before) - kept], after[start : len(after) - kept]
    if not old:
        return Difference(f"before byte {start}", None, f"{_counted(len(new))} inserted")
    last = start + len(old) - 1
    place = f"byte {start}" if last == start else f"bytes {start} to {last}"
    if not new:
        return Difference(place, _counted(len(old)), None)
    different = f", {_different(old, new)} of them different" if len(old) == len(new) else ""
    return Difference(place, _counted(len(old)), _counted(len(new)) + different)


def _common_start(one: bytes, other: bytes) -> int:
    """Return how many bytes are the same from the beginning on."""
    shorter = min(len(one), len(other))
    for at in range(0, shorter, BLOCK_BYTES):
        block, opposite = one[at : at + BLOCK_BYTES], other[at : at + BLOCK_BYTES]
        if block != opposite:
            pairs = enumerate(zip(block, opposite, strict=False))
            return at + next((index for index, (here, there) in pairs if here != there), min(len(block), len(opposite)))
    return shorter


def _common_end(one: bytes, other: bytes) -> int:
    """Return how many bytes are the same from the end back."""
    return _common_start(one[::-1], other[::-1])


def _different(one: bytes, other: bytes) -> int:
    """Return how many bytes differ between two of the same length."""
    count = 0
    for at in range(0, len(one), BLOCK_BYTES):
        block, opposite = one[at : at + BLOCK_BYTES], other[at : at + BLOCK_BYTES]
        changed = int.from_bytes(block, "big") ^ int.from_bytes(opposite, "big")
        count += len(block) - changed.to_bytes(len(block), "big").count(0)
    return count


def _counted(count: int) -> str:
    return f"{count} byte" if count == 1 else f"{count} bytes"
