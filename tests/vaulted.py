"""Vaults, signers and stamps, made as the command line makes them, for the tests of all that lies below it."""

import os
from pathlib import Path

from medanchor.core.commitment import COMPONENTS, Content, Kind
from medanchor.core.hashes import Hash, sha256
from medanchor.core.header import Network
from medanchor.core.merkle import node_hash
from medanchor.notary.stamp import StampRequest, stamp
from medanchor.notary.vaults import NewVault, create_vault
from medanchor.records.digest import Hashed
from medanchor.vault.keys import create_key, read_key, unlock
from medanchor.vault.store import Store
from medanchor.vault.tiles import Digests, Unsalted, join

ORIGIN = "clinic.example/ward-7"
TIME = "2026-11-21T18:04:05Z"
FOLDER = b"/records/visit"


def no_passphrase(name):
    raise AssertionError(f"nobody should ask for the passphrase of {name}")


def make_vault(directory: Path) -> Path:
    create_vault(directory, NewVault(ORIGIN, Network.REGTEST, "default", "Dr A. Example", "physician", None))
    return directory


def signer_of(store: Store, name: str = "default"):
    return unlock(read_key(store.directory, name), no_passphrase)


def another_signer(store: Store, name: str = "other"):
    create_key(store.directory, name, "Dr B. Example", "radiologist", None)
    return signer_of(store, name)


def raw_of(content: bytes) -> Hash:
    return sha256(content)


def in_hand(records: dict[bytes, bytes], folder: bytes = FOLDER) -> Hashed:
    """Records as they come from hashing: name → content."""
    return Hashed(folder, list(records), b"".join(sha256(content) for content in records.values()))


def numbered(count: int, start: int = 0) -> dict[bytes, bytes]:
    return {b"record-%06d.json" % number: b"content %d" % number for number in range(start, start + count)}


def read_as(kind: int, content: bytes, **parts: Hash) -> Content:
    """A record of any kind that was read: each part has a digest of its own, but those that are given."""
    digests = {name: sha256(b"%s of %s" % (name.encode(), content)) for name in COMPONENTS[kind]} | parts
    return Content(kind, sha256(content), tuple(digests.values()))


def in_hand_read(records: dict[bytes, Content], folder: bytes = FOLDER) -> Hashed:
    """Records as they come from reading: name → what they are. A container's folder ends in a slash."""
    contents = list(records.values())
    return Hashed(
        folder,
        list(records),
        b"".join(content.raw for content in contents),
        bytes(content.kind for content in contents) if any(content.kind for content in contents) else b"",
        b"".join(part for content in contents for part in content.components),
    )


def mixed(count: int, start: int = 0) -> dict[bytes, Content]:
    """Records of all kinds in turn."""
    kinds = list(Kind)
    return {b"%06d" % number: read_as(kinds[number % 5], b"%d" % number) for number in range(start, start + count)}


def put(store: Store, *collected: Hashed, signer=None, meaning="authorship", again=False, follows=()):
    """Stamp what is in hand and return the new entry's index, None if nothing was new."""
    request = StampRequest(meaning, TIME, follows, again)
    return stamp(store, signer or signer_of(store), collected, request, os.urandom).entry


# -- the textbook: RFC 9162, sections 2.1.1 and 2.1.3.1, word by word -------------------------------------------------


def split_at(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1


def textbook_root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    left = split_at(len(leaves))
    return node_hash(textbook_root(leaves[:left]), textbook_root(leaves[left:]))


def textbook_path(index, leaves):
    if len(leaves) == 1:
        return []
    left = split_at(len(leaves))
    if index < left:
        return [*textbook_path(index, leaves[:left]), textbook_root(leaves[left:])]
    return [*textbook_path(index - left, leaves[left:]), textbook_root(leaves[:left])]


def pack(salts, raws, names, contents=b""):
    """The tile of records with these packed `salts`."""
    unsalted = Unsalted(names, Digests(b"".join(raws), contents))
    return join(unsalted, unsalted.salted(salts))


def salts_of(tile):
    return [tile.salts[at : at + 16] for at in range(0, len(tile.salts), 16)]
