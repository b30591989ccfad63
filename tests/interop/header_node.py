"""As much of a Bitcoin Core node as the genuine `ots` client asks, over any list of headers."""

from collections.abc import Callable

from loopback_node import RpcFault, RpcServer

from medanchor.core.hashes import display, sha256d


class HeaderNode(RpcServer):
    """Answers for `headers`, which gives the best chain's headers (80 bytes each) by height, asked anew each time.

    `address` has a user and a password in it, as the client wants.
    """

    def __init__(self, headers: Callable[[], list[bytes]]) -> None:
        super().__init__({"getblockcount": self._count, "getblockhash": self._hash, "getblockheader": self._header})
        self.headers = headers
        self.users["user"] = "password"
        self.address = self.url_for("user")

    def _count(self) -> object:
        return len(self.headers()) - 1

    def _hash(self, height: int) -> object:
        chain = self.headers()
        if not 0 <= height < len(chain):
            raise RpcFault(-8, "Block height out of range")
        return display(sha256d(chain[height]))

    def _header(self, wanted: str, verbose: bool = True) -> object:
        del verbose
        found = next((header for header in self.headers() if display(sha256d(header)) == wanted), None)
        if found is None:
            raise RpcFault(-5, "Block not found")
        return found.hex()
