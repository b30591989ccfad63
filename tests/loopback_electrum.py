"""An Electrum server on loopback (protocol 1.4, JSON lines over TCP or TLS) over a `Ledger`.

    with LoopbackElectrum(Ledger(directory)) as server:
        Way(f"electrum tcp://127.0.0.1:{server.port}")

`broken` is what it does at the n-th request from now (from 0): a function of the honest answer (bytes of a line) that
gives other bytes, or None to say nothing and keep the connection open.
"""

import itertools
import json
import socketserver
import ssl
from collections.abc import Callable, Iterator, Mapping
from threading import Event, Lock, Thread

from loopback_esplora import Index
from loopback_ledger import Ledger, parsed, txid

from medanchor.chain.blocks import branch
from medanchor.core.hashes import Hash, display

HEADER_BATCH = 2016

Break = Callable[[bytes], bytes | Iterator[bytes]] | None


class LoopbackElectrum:
    def __init__(self, ledger: Ledger, *, tls: ssl.SSLContext | None = None) -> None:
        self.ledger = ledger
        self.tls = tls
        self.requests: list[str] = []
        self.broken: Mapping[int, Break] = {}
        self.closing = Event()
        self.turn = Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]

    def __enter__(self):
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def plan(self, broken: Mapping[int, Break] | None = None) -> None:
        self.requests, self.broken = [], broken or {}

    def answer(self, line: bytes) -> tuple[Break | bool, bytes]:
        asked = json.loads(line)
        with self.turn:
            self.requests.append(asked["method"])
            name = asked["method"].replace(".", "_")
            try:
                told = {"result": getattr(self, name)(*asked.get("params", []))}
            except LookupError as error:
                told = {"error": {"code": 1, "message": f"{asked['method']}: {error}"}}
            answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], **told}).encode() + b"\n"
            return self.broken.get(len(self.requests) - 1, False), answer

    def server_version(self, *_names: object) -> list[str]:
        return ["loopback 1", "1.4"]

    def server_features(self) -> dict[str, object]:
        names = {"server_version": "loopback 1", "protocol_min": "1.4", "protocol_max": "1.4", "pruning": None}
        return {"genesis_hash": display(self.ledger.best[0].hash), "hash_function": "sha256", "hosts": {}, **names}

    def server_ping(self) -> None:
        return None

    def blockchain_headers_subscribe(self) -> dict[str, object]:
        return {"height": self.ledger.tip.height, "hex": self.ledger.tip.header.hex()}

    def blockchain_block_header(self, height: int) -> str:
        return self.ledger.best[height].header.hex()

    def blockchain_block_headers(self, start: int, count: int) -> dict[str, object]:
        headers = [block.header.hex() for block in self.ledger.best[start : start + count]]
        return {"count": len(headers), "hex": "".join(headers), "max": HEADER_BATCH}

    def blockchain_scripthash_get_history(self, script_hash: str) -> list[dict[str, object]]:
        index = Index(self.ledger)
        touching = list(reversed(index.history(bytes.fromhex(script_hash)[::-1].hex())))
        mined = [{"tx_hash": display(txid(one.raw)), "height": one.block.height} for one in touching if one.block]
        waiting = [
            {"tx_hash": display(txid(one.raw)), "height": 0, "fee": self.ledger.mempool[txid(one.raw)].fee}
            for one in touching
            if one.block is None
        ]
        return mined + waiting

    def blockchain_transaction_get(self, name: str, _verbose: bool = False) -> str:
        return Index(self.ledger).known[_hash(name)].raw.hex()

    def blockchain_transaction_get_merkle(self, name: str, height: int) -> dict[str, object]:
        block = self.ledger.best[height]
        place = branch(block.txids, block.txids.index(_hash(name)))
        return {"block_height": height, "pos": place.index, "merkle": [display(node) for node in place.path]}

    def blockchain_scripthash_listunspent(self, script_hash: str) -> list[dict[str, object]]:
        wanted = bytes.fromhex(script_hash)[::-1].hex()
        known = Index(self.ledger).history(wanted)
        return [
            {"tx_hash": display(txid(one.raw)), "tx_pos": 0, "value": parsed(one.raw).vout[0].nValue} for one in known
        ]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, *_connection: object) -> None:
        """Whoever was tested hung up."""


def _handler(server: LoopbackElectrum) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            if server.tls:
                self.request = server.tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def handle(self) -> None:
            for line in self.rfile:
                broken, answer = server.answer(line)
                if broken is None:
                    server.closing.wait(20)
                    return
                told = broken(answer) if callable(broken) else answer
                for piece in [told] if isinstance(told, bytes) else told:
                    if server.closing.is_set():
                        return
                    self.wfile.write(piece)
                if callable(broken) and not (isinstance(told, bytes) and told.endswith(b"\n")):
                    return

    return Handler


def endless(_answer: bytes) -> Iterator[bytes]:
    return itertools.repeat(b"0" * 65536)


def drip(answer: bytes) -> Iterator[bytes]:
    """A byte now and then: a socket's own time-out never comes."""
    for byte in answer:
        Event().wait(0.05)
        yield bytes([byte])


def half(answer: bytes) -> bytes:
    return answer[: len(answer) // 2].rstrip(b"\n")


def hang_up(_answer: bytes) -> bytes:
    return b""


def garbage(_answer: bytes) -> bytes:
    return b"\xff\xfe not JSON at all\n"


def rewritten(value: object) -> Callable[[bytes], bytes]:
    """The same answer, with another result in it."""
    return lambda answer: json.dumps({**json.loads(answer), "result": value}).encode() + b"\n"


def refused(answer: bytes) -> bytes:
    told = {"jsonrpc": "2.0", "id": json.loads(answer)["id"], "error": {"code": -101, "message": "excessive use"}}
    return json.dumps(told).encode() + b"\n"


def _hash(name: str) -> Hash:
    return Hash(bytes.fromhex(name)[::-1])
