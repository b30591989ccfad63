"""Rows: the seal over one that no tree binds, so that an audit finds any changed byte; and what a damaged one says."""

from collections.abc import Iterator
from contextlib import contextmanager

from medanchor.core.hashes import Hash, sha256
from medanchor.errors import MalformedProofError, VaultError

Value = int | str | bytes | None


def seal(table: str, *values: Value) -> Hash:
    """Return the SHA-256 over a table's name and a row's values, each with its type and length.

    It finds damage, not an intruder: whoever can rewrite the row can rewrite its seal. Only what the ledger's tree and
    a block bind is evidence.
    """
    parts = [table.encode()]
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        parts.append(f"{type(value).__name__}:{len(data)}:".encode() + data)
    return sha256(b"\n".join(parts))


@contextmanager
def sound(what: str) -> Iterator[None]:
    """Turn the refusal of what a row holds into a VaultError that names it: the vault is damaged, no proof is."""
    try:
        yield
    except MalformedProofError as error:
        raise VaultError(f"{what} is damaged: {error.message}", hint="run 'medanchor audit'") from None
