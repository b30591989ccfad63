"""What a vault's owner prefers: `config.toml` in the vault; the environment goes over it, flags go over both."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from medanchor.core.statement import MEANINGS
from medanchor.errors import UsageError, VaultError
from medanchor.vault import private

CONFIG = "config.toml"
_TEMPLATE = """\
# medanchor's configuration. MEDANCHOR_<NAME> in the environment goes over it, flags go over both.

# The key that signs, of those in keys/ (medanchor key list).
key = {key}

# What a signature means unless --meaning says otherwise: {meanings}.
meaning = {meaning}

# Blocks, the anchor's own included, that settle an anchor and whose headers it keeps; the embedded chain mines as many.
confirmations = {confirmations}

# Where blocks come from and transactions go: a Bitcoin Core node (http://127.0.0.1:48332; with user:password@ if it has
# no cookie), an Esplora server (https://HOST/api), or both, which 'verify --sources 2' compares. Nobody else is ever
# asked. With neither, regtest is the embedded chain.
node = {node}
node_cookie = {node_cookie}
esplora = {esplora}

# Who pays: "core NAME" for a wallet of the node, "own" for this vault's own (medanchor wallet create), which learns of
# its coins from wallet_sync: "esplora https://HOST/api", "electrum ssl://HOST:PORT" or "peers HOST:PORT".
wallet = {wallet}
wallet_sync = {wallet_sync}

# A transaction pays what gets it into one of confirm_target blocks; more after bump_after blocks without it. Never more
# than max_fee_rate (sat/vB) and max_fee (satoshi).
confirm_target = {confirm_target}
bump_after = {bump_after}
max_fee_rate = {max_fee_rate}
max_fee = {max_fee}

# What a bitcoin is worth, such as "90000 EUR": only to tell what anchoring costs.
bitcoin_price = {bitcoin_price}
"""

BOUNDS = {
    "confirmations": (1, 100, "6 is the custom"),
    "confirm_target": (1, 1008, "6 is about an hour"),
    "bump_after": (1, 10_000, "6 is about an hour"),
    "max_fee_rate": (1, 10_000, "100 is a busy day"),
    "max_fee": (200, 10_000_000, "20000 is 125 sat/vB"),
}
"""The least and the most that a number may be, and what a usual one is."""

_FORMS = {
    "node": (r"|https?://\S+", "an address such as http://127.0.0.1:8332"),
    "esplora": (r"|https?://\S+", "an address such as https://HOST/api"),
    "wallet": (r"|own|core \S(.*\S)?", '"core NAME" or "own"'),
    "wallet_sync": (r"|(esplora|electrum|peers) \S+", '"esplora URL", "electrum URL" or "peers HOST:PORT"'),
    "bitcoin_price": (r"|\d{1,12}(\.\d{1,2})? [A-Z]{3}", 'such as "90000 EUR"'),
}
"""What a text must look like, and how that is told."""


@dataclass(frozen=True, slots=True)
class Config:
    """The preferences, checked; docs/operations.md tells what each one does."""

    key: str
    meaning: str = MEANINGS[0]
    confirmations: int = 6
    node: str = ""
    node_cookie: str = ""
    esplora: str = ""
    wallet: str = ""
    wallet_sync: str = ""
    confirm_target: int = 6
    bump_after: int = 6
    max_fee_rate: int = 100
    max_fee: int = 20_000
    bitcoin_price: str = ""


def write_config(directory: Path, config: Config) -> None:
    """Write `config.toml` into the vault `directory`, with a word on each entry."""
    values = {field.name: json.dumps(getattr(config, field.name)) for field in fields(config)}  # TOML reads it too
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
    return checked(entries, sources)


def _read_variable(name: str, value: str) -> object:
    """Return a variable's value as the file would have it; a number that is none stays text, and is refused as such."""
    digits = value.lstrip("0") or "0"
    if name not in BOUNDS or not (value.isascii() and value.isdecimal()) or len(digits) > _DIGITS:
        return value
    return int(digits)


_DIGITS = 18
"""A number so long is out of every bound; Python itself refuses to read one of 4,301."""


def checked(entries: Mapping[str, object], sources: Mapping[str, str]) -> Config:
    """Return the preferences in `entries`. Raises VaultError for one that makes no sense, by its name in `sources`."""
    config = Config(key="")
    for name, value in entries.items():
        expected = type(getattr(config, name))
        if type(value) is not expected:
            raise VaultError(
                f"{sources[name]}: expected {name} to be {_WORDS[expected]}", hint="see docs/operations.md"
            )
        config = replace(config, **{name: value})  # type: ignore[arg-type]  # its type was compared just above
    check_meaning(config.meaning)
    for name, (least, most, hint) in BOUNDS.items():
        if not least <= (found := getattr(config, name)) <= most:
            raise VaultError(f"{sources[name]}: expected {name} from {least:,} to {most:,}, found {found}", hint=hint)
    for name, (form, told) in _FORMS.items():
        if not re.fullmatch(form, getattr(config, name)):
            raise VaultError(f"{sources[name]}: expected {name} to be {told}", hint="see docs/operations.md")
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
