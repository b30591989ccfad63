"""Public keys as they are handed to auditors: `key export` prints one, `verify --signer` reads it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.cli.records import read_input
from medanchor.errors import MalformedProofError, UsageError

if TYPE_CHECKING:
    from medanchor.core.hashes import Hash
    from medanchor.vault.keys import KeyFile


def public_key_fields(key: "KeyFile") -> dict[str, str]:
    """Return what an auditor is handed: the public key in Base64, whose it is and what they are."""
    from medanchor.core.encoding import to_base64

    return {"key": to_base64(key.public), "name": key.label, "role": key.role}


def read_public_key(file: Path) -> "tuple[Hash, str]":
    """Return the key id and the holder's name in what `key export` printed. Raises UsageError."""
    from medanchor.cli.words import person
    from medanchor.core.encoding import from_base64, members, text
    from medanchor.core.signature import PUBLIC_KEY_LENGTH, key_id

    try:
        value: object = json.loads(read_input(file, what="key"))
        tree = members(value, "key", "name", "role", optional=("checkpoint_key",))
        holder = person(text(tree["name"]), text(tree["role"]))
        return key_id(from_base64(tree["key"], length=PUBLIC_KEY_LENGTH)), holder
    except (ValueError, RecursionError, MalformedProofError):
        raise UsageError(f"{file} is not a public key", hint="it is what 'medanchor key export' prints") from None
