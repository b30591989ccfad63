"""What a vault's owner prefers: `config.toml` in the vault; the environment goes over it, flags go over both."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from medanchor.core.statement import MEANINGS
from medanchor.errors import UsageError, VaultError
from medanchor.vault import private

CONFIG = "config.toml"
MAX_CONFIRMATIONS = 100

_TEMPLATE = """\
# medanchor's configuration. MEDANCHOR_<NAME> in the environment goes over it, flags go over both.

# The key that signs, of those in keys/ (medanchor key list).
key = "{key}"

# What a signature means unless --meaning says otherwise: {meanings}.
meaning = "{meaning}"

# Blocks, the anchor's own included, whose headers an anchor keeps; the embedded chain mines as many.
confirmations = {confirmations}
"""


@dataclass(frozen=True, slots=True)
class Config:
    """The preferences, checked."""

    key: str
    meaning: str = MEANINGS[0]
    confirmations: int = 6


def write_config(directory: Path, config: Config) -> None:
    """Write `config.toml` into the vault `directory`, with a word on each entry."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    private.write_file(directory / CONFIG, _TEMPLATE.format(**values, meanings=", ".join(MEANINGS)).encode())


def read_config(directory: Path, environment: Mapping[str, str]) -> Config:
    """Return the preferences of the vault in `directory`, with `environment`'s over the file's.

    Raises VaultError naming the entry that is unknown or makes no sense, and where it stands.
    """
    path = directory / CONFIG
    try:
        entries: dict[str, object] = dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        entries = {}
    except (ValueError, RecursionError, OSError) as error:
        raise VaultError(
            f"{path} cannot be read: {error}", hint="mend that line; docs/operations.md has an example"
        ) from None
    names = [field.name for field in fields(Config)]
    if unknown := sorted(set(entries) - set(names)):
        raise VaultError(f"{path} has an unknown entry: {unknown[0]}", hint=f"it may hold {', '.join(names)}")
    sources = dict.fromkeys(names, str(path))
    for name in names:
        variable = f"MEDANCHOR_{name.upper()}"
        if value := environment.get(variable):
            entries[name], sources[name] = _read_variable(name, value), f"{variable} in the environment"
    return _checked(entries, sources)


def _read_variable(name: str, value: str) -> object:
    """Return a variable's value as the file would have it; a number that is none stays text, and is refused as such."""
    digits = value.lstrip("0") or "0"
    if name != "confirmations" or not (value.isascii() and value.isdecimal()) or len(digits) > _DIGITS:
        return value
    return int(digits)


_DIGITS = 18
"""A number so long is out of every bound; Python itself refuses to read one of 4,301."""


def _checked(entries: Mapping[str, object], sources: Mapping[str, str]) -> Config:
    config = Config(key="")
    for name, value in entries.items():
        expected = type(getattr(config, name))
        if type(value) is not expected:
            raise VaultError(
                f"{sources[name]}: expected {name} to be {_WORDS[expected]}", hint="see docs/operations.md"
            )
        config = replace(config, **{name: value})  # type: ignore[arg-type]  # its type was compared just above
    check_meaning(config.meaning)
    if not 1 <= config.confirmations <= MAX_CONFIRMATIONS:
        raise VaultError(
            f"{sources['confirmations']}: expected confirmations from 1 to {MAX_CONFIRMATIONS},"
            f" found {config.confirmations}",
            hint="6 is the custom",
        )
    return config


_WORDS = {str: "text in quotes", int: "a whole number"}


def check_meaning(meaning: str) -> str:
    """Return `meaning` if 21 CFR 11.50's list has it. Raises UsageError."""
    if meaning not in MEANINGS:
        raise UsageError(
            f"expected a meaning out of {', '.join(MEANINGS)}, found {meaning}",
            hint="name one with --meaning, or in config.toml",
        )
    return meaning
