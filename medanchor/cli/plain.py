"""Text and paths taken from the command line as they are, without the validation library that Typer loads for all.

Measured (benchmarks/): importing it takes a third of the time that verifying one proof takes from start to end.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

CONVERSIONS: dict[object, Callable[[str], object]] = {str: str, list[str]: str, Path: Path, list[Path]: Path}
"""Annotation → how one word becomes a value. Whatever is not here, such as numbers, Typer converts as ever."""


class Plain:
    """Stands where Typer keeps a parameter's conversion, and makes that one only if it is needed."""

    def __init__(self, of_typer: Callable[[], Any], convert: Callable[[str], object] | None) -> None:
        self._of_typer = of_typer
        self._convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> object:  # noqa: ANN401 - Typer's own signature
        """Return `value`, one word or several, converted; nothing given stays nothing."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if self._convert is None:
            return self._of_typer().coerce(value, param=param, ctx=ctx)
        return self._convert(value) if isinstance(value, str) else [self._convert(word) for word in value]


def convert_plainly(parameters: list[Any]) -> None:
    """Make a command's `parameters` convert plain text and paths themselves."""
    for parameter in parameters:
        of_typer = getattr(parameter, "get_runtime_param", None)
        if of_typer is not None:  # else it is of another version of Typer, which knows best
            plain = Plain(of_typer, CONVERSIONS.get(parameter.type_descriptor.annotation))
            parameter.get_runtime_param = partial(_same, plain)


def _same(plain: Plain) -> Plain:
    return plain
