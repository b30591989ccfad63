"""A Bitcoin peer on loopback that serves headers, compact block filters (BIP 157, 158) and blocks of a `Ledger`.

    with LoopbackPeer(Ledger(directory)) as peer:
        Way(f"peers 127.0.0.1:{peer.port}")

`broken` is what it does instead of answering a message: a name and what to do, such as {"getcfilters": None} to say
nothing, or a function of the honest answer (a list of messages) that gives another.
"""

import socketserver
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Thread

from bitcoin.core.serialize import VarIntSerializer
from loopback_ledger import Ledger, Seen, inputs, parsed

from medanchor.core.hashes import Hash, sha256d

MAGIC = bytes.fromhex("fabfb5da")
SERVICES = 1 | 8 | 64  # NODE_NETWORK, NODE_WITNESS, NODE_COMPACT_FILTERS
MASK = (1 << 64) - 1
_P, _M = 19, 784_931

Message = tuple[str, bytes]
Break = Callable[[list[Message]], list[Message]] | None


class LoopbackPeer:
    def __init__(self, ledger: Ledger, *, magic: bytes = MAGIC, services: int = SERVICES) -> None:
        self.ledger = ledger
        self.magic = magic
        self.services = services
        self.heard: list[str] = []
        self.broken: Mapping[str, Break] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]

    def __enter__(self):
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, command: str, payload: bytes) -> list[Message]:
        self.heard.append(command)
        answers = getattr(self, f"on_{command}", lambda _payload: [])(payload)
        if command not in self.broken:
            return answers
        change = self.broken[command]
        return change(answers) if change else []

    def on_version(self, _payload: bytes) -> list[Message]:
        place = struct.pack("<Q", self.services) + bytes(10) + b"\xff\xff\x7f\0\0\1" + struct.pack(">H", self.port)
        told = struct.pack("<iQq", 70016, self.services, int(time.time())) + place + place + bytes(8)
        return [
            ("version", told + b"\x0a/loopback/" + struct.pack("<i?", self.ledger.tip.height, True)),
            ("verack", b""),
        ]

    def on_ping(self, payload: bytes) -> list[Message]:
        return [("pong", payload)]

    def on_getheaders(self, payload: bytes) -> list[Message]:
        known = [payload[at : at + 32] for at in range(5, len(payload) - 32, 32)]
        places = {block.hash: block.height for block in self.ledger.best}
        start = next((places[name] for name in known if name in places), 0) + 1
        headers = [block.header + b"\0" for block in self.ledger.best[start : start + 2000]]
        return [("headers", VarIntSerializer.serialize(len(headers)) + b"".join(headers))]

    def on_getcfheaders(self, payload: bytes) -> list[Message]:
        start, blocks = self._asked(payload)
        hashes = [sha256d(self.filter(block)) for block in blocks]
        told = payload[:1] + payload[5:37] + self.filter_header(start - 1) + VarIntSerializer.serialize(len(hashes))
        return [("cfheaders", told + b"".join(hashes))]

    def on_getcfilters(self, payload: bytes) -> list[Message]:
        _, blocks = self._asked(payload)
        return [("cfilter", payload[:1] + block.hash + _sized(self.filter(block))) for block in blocks]

    def on_getdata(self, payload: bytes) -> list[Message]:
        wanted = [payload[at + 4 : at + 36] for at in range(1, len(payload), 36)]
        blocks = [self.ledger.known[Hash(name)] for name in wanted if name in self.ledger.known]
        return [("block", _block(block)) for block in blocks]

    def filter(self, block: Seen) -> bytes:
        """The block's basic filter (BIP 158)."""
        made = {bytes(output.scriptPubKey) for raw in block.transactions for output in parsed(raw).vout}
        spent = {self._script(name, number) for raw in block.transactions[1:] for name, number in inputs(raw)}
        items = {script for script in made | spent if script and not script.startswith(b"\x6a")}
        return _coded(items, block.hash[:16])

    def filter_header(self, height: int) -> bytes:
        header = bytes(32)
        for block in self.ledger.best[: height + 1]:
            header = sha256d(sha256d(self.filter(block)) + header)
        return header

    def _script(self, name: Hash, number: int) -> bytes:
        raw = next(
            block.transactions[block.txids.index(name)] for block in self.ledger.known.values() if name in block.txids
        )
        return bytes(parsed(raw).vout[number].scriptPubKey)

    def _asked(self, payload: bytes) -> tuple[int, list[Seen]]:
        start = int.from_bytes(payload[1:5], "little")
        stop = self.ledger.known[Hash(payload[5:37])].height
        return start, self.ledger.best[start : stop + 1]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, *_connection: object) -> None:
        """Whoever was tested hung up."""


def _handler(peer: LoopbackPeer) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while len(head := self.rfile.read(24)) == 24 and head[:4] == peer.magic:
                payload = self.rfile.read(int.from_bytes(head[16:20], "little"))
                for command, answer in peer.answer(head[4:16].rstrip(b"\0").decode(), payload):
                    told = struct.pack("<4s12sI4s", peer.magic, command.encode(), len(answer), sha256d(answer)[:4])
                    with suppress(BrokenPipeError):
                        self.wfile.write(told + answer)

    return Handler


def _sized(data: bytes) -> bytes:
    return VarIntSerializer.serialize(len(data)) + data


def _block(block: Seen) -> bytes:
    return block.header + VarIntSerializer.serialize(len(block.transactions)) + b"".join(block.transactions)


def _coded(items: set[bytes], key: bytes) -> bytes:
    """A Golomb-coded set (BIP 158)."""
    wide = len(items) * _M
    numbers = sorted((siphash(key, item) * wide) >> 64 for item in items)
    bits = "".join(
        "1" * (delta >> _P) + "0" + format(delta & ((1 << _P) - 1), f"0{_P}b")
        for delta in (high - low for low, high in zip([0, *numbers], numbers, strict=False))
    )
    bits += "0" * (-len(bits) % 8)
    return VarIntSerializer.serialize(len(items)) + int(f"1{bits}", 2).to_bytes(len(bits) // 8 + 1, "big")[1:]


def siphash(key: bytes, data: bytes) -> int:
    """SipHash-2-4 (64 bits)."""
    low, high = struct.unpack("<QQ", key)
    state = [low ^ 0x736F6D6570736575, high ^ 0x646F72616E646F6D, low ^ 0x6C7967656E657261, high ^ 0x7465646279746573]
    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        state[3] ^= word
        state = _round(_round(state))
        state[0] ^= word
    state[2] ^= 0xFF
    for _ in range(4):
        state = _round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _round(state: list[int]) -> list[int]:
    a, b, c, d = state
    a, c = (a + b) & MASK, (c + d) & MASK
    b, d = _left(b, 13) ^ a, _left(d, 16) ^ c
    a, c = (_left(a, 32) + d) & MASK, (c + b) & MASK
    b, d = _left(b, 17) ^ c, _left(d, 21) ^ a
    return [a, b, _left(c, 32), d]


def _left(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & MASK
