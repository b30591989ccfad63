"""A picture that looks a little like a chest X-ray and is nothing but arithmetic."""

SIDE = 64  # pixels, each way

_AIR, _TISSUE, _LUNG, _RIB, _SPINE = 12, 150, 62, 104, 214


def pixels() -> bytes:
    """Return the picture: 64 rows of 64 grey values, one byte each, 0 is black.

    Whole numbers only, so that every machine draws the same bytes.
    """
    return bytes(_grey(x, y) for y in range(SIDE) for x in range(SIDE))


def _grey(x: int, y: int) -> int:
    if abs(x - 32) <= 2:  # noqa: PLR2004 - the half width of the spine, beside the numbers it belongs with
        return _SPINE - 14 * (y % 6 == 0)
    if _inside(x, y, (20, 32), (10, 23)) or _inside(x, y, (44, 32), (10, 23)):
        return _RIB if (y + abs(x - 32) // 3) % 8 < 2 else _LUNG + y // 4  # noqa: PLR2004 - two rows of rib in eight
    if _inside(x, y, (32, 36), (29, 35)):
        return _TISSUE + y // 3
    return _AIR


def _inside(x: int, y: int, centre: tuple[int, int], radii: tuple[int, int]) -> bool:
    """Return whether a pixel lies in an upright ellipse."""
    across, down = (x - centre[0]) * radii[1], (y - centre[1]) * radii[0]
    return across * across + down * down <= (radii[0] * radii[1]) ** 2
