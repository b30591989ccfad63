"""ZIP archives written by hand, so that they can lie: what the standard library would never write."""

import zlib
from dataclasses import dataclass, field
from struct import pack

FULL, SHORT_FULL = 0xFFFFFFFF, 0xFFFF


@dataclass
class Member:
    """One member; `local` and `listed` change fields of its local header and of its line in the directory."""

    name: bytes
    content: bytes = b""
    method: int = 8
    flags: int = 0
    mode: int = 0
    packed: bytes | None = None
    after: bytes = b""
    local: dict = field(default_factory=dict)
    listed: dict = field(default_factory=dict)

    def fields(self, changes: dict) -> dict:
        packed = self.packed_bytes()
        usual = {"name": self.name, "flags": self.flags, "method": self.method, "crc": zlib.crc32(self.content)}
        usual |= {"packed": len(packed), "size": len(self.content), "extra": b"", "mode": self.mode, "comment": b""}
        return usual | changes

    def packed_bytes(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.content) if self.method == 8 else self.content

    def local_header(self) -> bytes:
        it = self.fields(self.local)
        head = pack("<4s5H", b"PK\3\4", 20, it["flags"], it["method"], 0, 0x21)
        sums = pack("<3L2H", it["crc"], it["packed"], it["size"], len(it["name"]), len(it["extra"]))
        return head + sums + it["name"] + it["extra"]

    def line(self, offset: int) -> bytes:
        it = self.fields({"offset": offset} | self.listed)
        head = pack("<4s6H", b"PK\1\2", 0x031E, 20, it["flags"], it["method"], 0, 0x21)
        sums = pack("<3L3H", it["crc"], it["packed"], it["size"], len(it["name"]), len(it["extra"]), len(it["comment"]))
        places = pack("<2H2L", 0, 0, it["mode"] << 16, it["offset"])
        return head + sums + places + it["name"] + it["extra"] + it["comment"]


def deflated(content: bytes) -> bytes:
    state = zlib.compressobj(9, wbits=-15)
    return state.compress(content) + state.flush()


def descriptor(content: bytes, packed: bytes, *, wide: bool = False, magic: bool = True) -> bytes:
    lengths = pack("<2Q" if wide else "<2L", len(packed), len(content))
    return (b"PK\7\x08" if magic else b"") + pack("<L", zlib.crc32(content)) + lengths


def archive(
    *members: Member, front: bytes = b"", gap: bytes = b"", comment: bytes = b"", wide: bool = False, **end: int
) -> bytes:
    """Return an archive of `members`; `gap` stands before the directory, `end` changes fields of its last record."""
    body, lines = bytearray(front), bytearray()
    for member in members:
        lines += member.line(len(body))
        body += member.local_header() + member.packed_bytes() + member.after
    body += gap
    start = len(body)
    it = {"disk": 0, "first": 0, "here": len(members), "count": len(members), "size": len(lines), "start": start} | end
    numbers = (it["here"], it["count"], it["size"], it["start"])
    if wide:
        record = pack("<4sQ2H2L4Q", b"PK\6\6", it.get("length", 44), 45, 45, 0, 0, *numbers)
        parts = it.get("part", 0), it.get("parts", 1)
        record += pack("<4sLQL", b"PK\6\7", parts[0], it.get("at", start + len(lines)), parts[1])
        numbers = it.get("narrow", (SHORT_FULL, SHORT_FULL, FULL, FULL))
    else:
        record = b""
    last = pack("<4s4H2LH", b"PK\5\6", it["disk"], it["first"], *numbers, it.get("comment", len(comment)))
    return bytes(body + lines) + record + last + comment
