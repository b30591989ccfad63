"""Damage: a changed byte in anything the vault keeps is found by the audit, or provably changes nothing."""

import contextlib
import random
import sqlite3

import pytest
from faulting import assert_anchored_once, copy_vault

from medanchor.core.commitment import Kind
from medanchor.errors import MedanchorError
from medanchor.notary.audit import Audit, _check_keys, audit
from medanchor.vault.store import DATABASE, Store

DOCUMENTS = {
    "export.ndjson": b'{"resourceType":"Patient","id":"1"}\n{"resourceType":"Patient","id":"2"}\n',
    "letter.txt": b"a letter\n",
    "message.hl7": b"MSH|^~\\&|LAB|WARD|||20260101||ORU^R01|1|P|2.5.1\rPID|1\r",
    "summary.xml": b"<ClinicalDocument/>",
}

FLIPS = 240
CHUNKS = 4
PLACES = 5
"""Of a long value, the bytes at so many places are changed: the first, the last and some between."""


def change_number(value):
    return [value + 1, value ^ (1 << 32), -1 - value]


def change_bytes(value):
    if not value:
        return [b"\0"]
    places = sorted({round(part * (len(value) - 1) / (PLACES - 1)) for part in range(PLACES)})
    return [value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :] for at in places]


def change_text(value):
    places = sorted({round(part * (len(value) - 1) / (PLACES - 1)) for part in range(PLACES)}) if value else []
    return [value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :] for at in places] or ["x"]


def changes(value):
    """One changed value for every place and kind of damage that a value of this type can take."""
    if value is None:
        return [b"\0", "x", 7]  # one of them is of the column's type
    return {int: change_number, bytes: change_bytes, str: change_text}[type(value)](value)


def tables(database):
    names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    return {name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")] for name in names}


def values(database):
    """Every value of the database: table, column, the row by all its values, the value."""
    for table, columns in tables(database).items():
        for row in database.execute(f"SELECT * FROM {table}").fetchall():  # noqa: S608 - our own tables
            for column, value in zip(columns, row, strict=True):
                yield table, columns, row, column, value


def cases(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return [
            (table, columns, row, column, changed)
            for table, columns, row, column, value in values(database)
            for changed in changes(value)
        ]


def damage(vault):
    """What an audit says is damaged; an error in medanchor's own words counts, and any other exception is a failure."""
    try:
        with Store(vault) as store:
            return audit(store, None, sweep=False, progress=lambda _count: None).damage
    except MedanchorError as error:
        return [error.message]


@pytest.fixture(scope="module")
def vault(runner, scene, tmp_path_factory):
    """Three entries, the last one of records of other kinds, and an anchor; at rest: no log beside the database."""
    vault = copy_vault(scene.unanchored, tmp_path_factory.mktemp("damage") / "vault")
    documents = tmp_path_factory.mktemp("documents")
    for name, content in DOCUMENTS.items():
        (documents / name).write_bytes(content)
    runner.run(vault, "stamp", documents).expect()
    with contextlib.closing(sqlite3.connect(vault / DATABASE)) as database:
        ((kinds,),) = database.execute(f"SELECT substr(contents, 1, {len(DOCUMENTS) + 2}) FROM content")  # noqa: S608 - ours
    assert set(kinds) == {Kind.BYTES, Kind.FHIR, Kind.HL7, Kind.XML}
    assert not damage(vault)
    return vault


def test_every_value_of_every_table_is_watched(vault):
    """No column is left out, and each of the kinds of value was met."""
    database = vault / DATABASE
    sound = database.read_bytes()
    met, missed = set(), []
    for table, columns, row, column, changed in cases(database):
        where = " AND ".join(f"{name} IS ?" for name in columns)
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("PRAGMA synchronous = OFF")
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (changed, *row))  # noqa: S608 - ours
            except sqlite3.IntegrityError:
                continue  # this change would make two rows one: the database itself refuses it
        met.add((table, column))
        if not damage(vault):
            missed.append((table, column, changed))
        database.write_bytes(sound)
    assert not missed
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert met == {(table, column) for table, columns in tables(connection).items() for column in columns}


@pytest.mark.parametrize(
    "table", ["entry", "node", "tile", "content", "folder", "span", "digest", "signer", "anchor", "sending", "vault"]
)
@pytest.mark.parametrize("end", ["first", "last"])
def test_a_row_that_is_gone_is_missed(vault, table, end):
    database = vault / DATABASE
    sound = database.read_bytes()
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own tables
        where = " AND ".join(f"{name} IS ?" for name in tables(connection)[table])
        connection.execute(f"DELETE FROM {table} WHERE {where}", rows[0 if end == "first" else -1])  # noqa: S608 - ours
    found = damage(vault)
    database.write_bytes(sound)
    # The newest anchor hangs on nothing after it: a vault without it is the vault before it, which is a sound one.
    assert found or (table == "anchor" and end == "last") or (table == "anchor" and len(rows) == 1)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_flipped_bit_of_the_database_file_changes_no_answer_unseen(scene, tmp_path, chunk):
    """Free space in pages may change unseen, as it says nothing; every value may not."""
    vault = copy_vault(scene.unanchored, tmp_path / "vault")
    database = vault / DATABASE
    sound = database.read_bytes()
    before = dump(database)
    chance = random.Random(chunk)  # noqa: S311 - the same damage every time
    seen = 0
    for _ in range(FLIPS // CHUNKS):
        bit = chance.randrange(len(sound) * 8)
        changed = bytearray(sound)
        changed[bit // 8] ^= 1 << bit % 8
        database.write_bytes(changed)
        found = damage(vault)
        seen += bool(found)
        assert found or dump(database) == before, f"bit {bit} of the database"
        for leftover in vault.glob(f"{DATABASE}-*"):
            leftover.unlink()
    assert seen


def dump(path):
    """Every value in the database file, as a mere reader sees it, or None where it cannot be read."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return sorted(map(repr, values(database)))
        except sqlite3.Error:
            return None


def test_every_byte_of_a_key_file_is_watched(runner, scene, tmp_path):
    vault = copy_vault(scene.empty, tmp_path / "vault")
    (tmp_path / "passphrase").write_text("correct horse\n")
    (tmp_path / "passphrase").chmod(0o600)
    runner.run(vault, "key", "new", "sealed", "--passphrase-file", tmp_path / "passphrase").expect()
    with Store(vault) as store:
        for path in (vault / "keys").iterdir():
            sound = path.read_bytes()
            for changed in (*flipped_anywhere(sound), sound[:-1], sound[:1], b"", sound + b"\n"):
                path.write_bytes(changed)
                found = Audit()
                found.check(lambda: _check_keys(store))
                assert found.damage, changed
            path.write_bytes(sound)
    assert not damage(vault)


def flipped_anywhere(data):
    """Return `data` with one byte changed, in three ways, at every place."""
    for place in range(len(data)):
        for flip in (1, 0x20, 0x80):
            yield data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]


def test_the_command_tells_damage_in_its_own_words(runner, scene, tmp_path):
    """The command line over what the tests above find: an exit code that says so, and never a traceback."""
    vault = copy_vault(scene.unanchored, tmp_path / "vault")
    database = vault / DATABASE
    sound = database.read_bytes()
    chance = random.Random(7)  # noqa: S311 - the same damage every time
    written = [place for place, byte in enumerate(sound) if byte]  # most of a small database is free space
    codes = set()
    for _ in range(24):
        changed = bytearray(sound)
        for _ in range(40):
            changed[chance.choice(written)] ^= 0xFF
        database.write_bytes(changed)
        codes.add(runner.run(vault, "audit").expect(4, 5).code)
        runner.run(vault, "status").expect(0, 4, 5)
        runner.run(vault, "log").expect(0, 4, 5)
        runner.run(vault, "verify", scene.records).expect(3, 4, 5, 8)
    assert codes <= {4, 5}
    database.write_bytes(sound)
    runner.run(vault, "anchor").expect()
    assert_anchored_once(vault)
