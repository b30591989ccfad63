"""As much of a Bitcoin Core node as the genuine `ots` client asks: JSON-RPC on loopback, over any chain of headers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from medanchor.core.hashes import display, sha256d

OUT_OF_RANGE = {"code": -8, "message": "Block height out of range"}
NOT_FOUND = {"code": -5, "message": "Block not found"}
NO_METHOD = {"code": -32601, "message": "Method not found"}


class Node:
    """Answers for `headers`, which gives the best chain's headers (80 bytes each) by height, asked anew each time."""

    def __init__(self, headers: Callable[[], list[bytes]]) -> None:
        self.headers = headers
        self.asked: list[str] = []

    def call(self, method: str, params: list[object]) -> dict[str, object]:
        self.asked.append(method)
        chain = self.headers()
        if method == "getblockcount":
            return {"result": len(chain) - 1, "error": None}
        if method == "getblockhash":
            (height,) = params
            known = 0 <= height < len(chain)
            return {
                "result": display(sha256d(chain[height])) if known else None,
                "error": None if known else OUT_OF_RANGE,
            }
        if method == "getblockheader":
            found = next((header for header in chain if display(sha256d(header)) == params[0]), None)
            return {"result": found and found.hex(), "error": None if found else NOT_FOUND}
        return {"result": None, "error": NO_METHOD}


@contextmanager
def serving(node: Node) -> Iterator[str]:
    """Give the address under which `node` answers, with a user and a password in it as the client wants."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps({"id": asked["id"], **node.call(asked["method"], asked["params"])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://user:password@127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
