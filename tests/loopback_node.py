"""A Bitcoin Core node on loopback: JSON-RPC over a `Ledger`, as much of it as a notary asks; and its faults on demand.

    with LoopbackNode(tmp_path) as node:
        node.ledger.mine(3)                       # .reorg(2), .submit(raw), .fund(script, satoshi), .carrying(payload)
        rpc = Rpc(node.url, Network.REGTEST, cookie=node.cookie)
        node.plan({1: lost_answer})               # see loopback_http
        node.methods["getblockhash"] = lambda height: "00" * 32   # a lie, or a method more
        node.wallets["clinic"] = {"getbalances": ...}             # what is asked at /wallet/clinic

A method takes the call's parameters and returns its result, or raises RpcFault. Nothing is real but the consensus code.
"""

import base64
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

from loopback_http import Exchange, Fault, LoopbackServer, Reply, Request, rewrite
from loopback_ledger import Ledger, Pooled, RefusedError, Seen, parsed, txid

from medanchor.core.hashes import Hash, display
from medanchor.core.header import Header

Method = Callable[..., object]
COIN = Decimal(100_000_000)


class RpcFault(Exception):  # noqa: N818 - it is no error of the tests
    """A JSON-RPC error to be answered."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class RpcServer(LoopbackServer):
    """JSON-RPC over HTTP with the methods in `methods`, and at /wallet/NAME those in `wallets[NAME]` before them.

    `users` may ask (name → password); everybody may where it is empty. `old` answers as before Bitcoin Core 28: errors
    with HTTP 500 or 404, and no version in an answer. `calls` are the methods asked for since the last plan.
    """

    def __init__(self, methods: Mapping[str, Method] | None = None) -> None:
        super().__init__()
        self.methods: dict[str, Method] = dict(methods or {})
        self.wallets: dict[str, dict[str, Method]] = {}
        self.users: dict[str, str] = {}
        self.old = False
        self.calls: list[str] = []

    def plan(self, faults: Mapping[int, Fault] | None = None, *, always: Fault | None = None) -> None:
        super().plan(faults, always=always)
        self.calls = []

    def url_for(self, user: str) -> str:
        """The address with `user` and their password in it."""
        return f"http://{user}:{self.users[user]}@127.0.0.1:{self.port}"

    def respond(self, request: Request) -> Reply:
        if not self._admitted(request.headers.get("Authorization", "")):
            return Reply(401, b"", "text/html")
        asked = json.loads(request.body, parse_float=Decimal)
        if isinstance(asked, list):
            return self._reply(200, [self._call(request.path, one) for one in asked])
        answer = self._call(request.path, asked)
        error = answer.get("error") if "jsonrpc" not in answer else None
        return self._reply({-32601: 404, -32600: 400}.get(error["code"], 500) if error else 200, answer)

    def _reply(self, status: int, tree: object) -> Reply:
        return Reply(status, json.dumps(tree, default=float).encode() + b"\n")

    def _admitted(self, authorization: str) -> bool:
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        right = (f"{name}:{password}" for name, password in self.users.items())
        return not self.users or any(hmac.compare_digest(given, one) for one in right)

    def _call(self, path: str, asked: dict) -> dict:
        self.calls.append(asked["method"])
        try:
            method, params = self._method(path, asked["method"]), asked.get("params", [])
            result, error = (method(**params) if isinstance(params, dict) else method(*params)), None
        except RpcFault as fault:
            result, error = None, {"code": fault.code, "message": fault.message}
        except RefusedError as refused:
            result, error = None, {"code": refused.code, "message": refused.reason}
        if self.old or asked.get("jsonrpc") != "2.0":
            return {"result": result, "error": error, "id": asked.get("id")}
        return {"jsonrpc": "2.0", "id": asked.get("id"), **({"error": error} if error else {"result": result})}

    def _method(self, path: str, name: str) -> Method:
        table = self.methods
        if path.startswith("/wallet/"):
            wallet = unquote(path.removeprefix("/wallet/"))
            if wallet not in self.wallets:
                raise RpcFault(-18, "Requested wallet does not exist or is not loaded")
            table = table | self.wallets[wallet]
        if name not in table:
            raise RpcFault(-32601, "Method not found")
        return table[name]


class LoopbackNode(RpcServer):
    """A regtest node that keeps its chain in `directory`; its cookie is in the file `cookie`, as Bitcoin Core's is.

    `chain` is the network it says it is on; `syncing` whether it is in its initial block download; `txindex` whether
    it finds any transaction; `pruned_to` the first block it still has; `fee` its estimate in BTC/kvB, None if it has
    none; `warming` makes it answer -28 to so many calls.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.ledger = Ledger(directory / "chain")
        self.cookie = directory / ".cookie"
        self.rotate_cookie()
        self.chain = "regtest"
        self.syncing = False
        self.txindex = False
        self.pruned_to: int | None = None
        self.fee: Decimal | None = None
        self.warming = 0
        self.methods |= {
            name: getattr(self, f"_{name}")
            for name in (
                *("getblockchaininfo", "getblockcount", "getbestblockhash", "getblockhash", "getblockheader"),
                *("getblock", "gettxout", "getrawtransaction", "sendrawtransaction", "getrawmempool"),
                *("getmempoolentry", "getmempoolinfo", "getnetworkinfo", "estimatesmartfee"),
            )
        }

    def rotate_cookie(self) -> None:
        """Do what every start of a node does: make another cookie; the former is worth nothing."""
        self.users["__cookie__"] = secrets.token_hex(32)
        self.cookie.write_text(f"__cookie__:{self.users['__cookie__']}")

    def _call(self, path: str, asked: dict) -> dict:
        if self.warming:
            self.warming -= 1
            error = {"code": -28, "message": "Loading block index…"}
            return {"jsonrpc": "2.0", "id": asked.get("id"), "error": error}
        return super()._call(path, asked)

    def _block(self, spelled: str) -> Seen:
        if len(spelled) != 64:
            raise RpcFault(-8, f"blockhash must be of length 64 (not {len(spelled)}, for '{spelled}')")
        block = self.ledger.known.get(Hash(bytes.fromhex(spelled)[::-1]))
        if block is None:
            raise RpcFault(-5, "Block not found")
        return block

    def _pooled(self, spelled: str) -> Pooled | None:
        return self.ledger.mempool.get(Hash(bytes.fromhex(spelled)[::-1]))

    def _confirmations(self, block: Seen) -> int:
        return self.ledger.tip.height - block.height + 1 if self.ledger.holds(block) else -1

    def _getblockchaininfo(self) -> object:
        tip = self.ledger.tip
        info = {
            "chain": self.chain,
            "blocks": tip.height,
            "headers": tip.height,
            "bestblockhash": display(tip.hash),
            "verificationprogress": 1,
            "initialblockdownload": self.syncing,
            "pruned": self.pruned_to is not None,
            "warnings": [],
        }
        return info | ({"pruneheight": self.pruned_to} if self.pruned_to is not None else {})

    def _getblockcount(self) -> object:
        return self.ledger.tip.height

    def _getbestblockhash(self) -> object:
        return display(self.ledger.tip.hash)

    def _getblockhash(self, height: int) -> object:
        if not 0 <= height <= self.ledger.tip.height:
            raise RpcFault(-8, "Block height out of range")
        return display(self.ledger.best[height].hash)

    def _getblockheader(self, blockhash: str, verbose: bool = True) -> object:
        block = self._block(blockhash)
        return self._described(block) if verbose else block.header.hex()

    def _getblock(self, blockhash: str, verbosity: int = 1) -> object:
        block = self._block(blockhash)
        if self.pruned_to is not None and block.height < self.pruned_to:
            raise RpcFault(-1, "Block not available (pruned data)")
        if verbosity == 0:
            return (block.header + bytes([len(block.transactions)]) + b"".join(block.transactions)).hex()
        return self._described(block) | {"tx": [display(name) for name in block.txids]}

    def _described(self, block: Seen) -> dict:
        header = Header.parse(block.header)
        told = {
            "hash": display(block.hash),
            "confirmations": self._confirmations(block),
            "height": block.height,
            "merkleroot": display(header.merkle_root),
            "time": header.time,
            "bits": f"{header.bits:08x}",
            "nTx": len(block.txids),
            "previousblockhash": display(header.previous),
        }
        if self.ledger.holds(block) and block is not self.ledger.tip:
            told["nextblockhash"] = display(self.ledger.best[block.height + 1].hash)
        return told

    def _gettxout(self, name: str, n: int, include_mempool: bool = True) -> object:
        coin = self.ledger.coin((Hash(bytes.fromhex(name)[::-1]), n), mempool=include_mempool)
        if coin is None:
            return None
        return {
            "bestblock": display(self.ledger.tip.hash),
            "confirmations": 0 if coin.height is None else self.ledger.tip.height - coin.height + 1,
            "value": coin.value / COIN,
            "scriptPubKey": {"hex": coin.script.hex()},
            "coinbase": coin.coinbase,
        }

    def _getrawtransaction(self, name: str, verbosity: int | bool = 0, blockhash: str | None = None) -> object:
        wanted = Hash(bytes.fromhex(name)[::-1])
        if blockhash is not None:
            return self._transaction_in(self._block(blockhash), wanted, verbosity)
        if pooled := self.ledger.mempool.get(wanted):
            return self._transaction(pooled.transaction) if verbosity else pooled.transaction.hex()
        if self.txindex and (block := self.ledger.block_of(wanted)):
            return self._transaction_in(block, wanted, verbosity)
        hint = "" if self.txindex else " Use -txindex or provide a block hash to enable blockchain transaction queries."
        kind = "mempool or blockchain" if self.txindex else "mempool"
        raise RpcFault(-5, f"No such {kind} transaction.{hint} Use gettransaction for wallet transactions.")

    def _transaction_in(self, block: Seen, wanted: Hash, verbosity: int | bool) -> object:
        if self.pruned_to is not None and block.height < self.pruned_to:
            raise RpcFault(-1, "Block not available")
        if wanted not in block.txids or not block.height:
            raise RpcFault(
                -5, "No such transaction found in the provided block. Use gettransaction for wallet transactions."
            )
        raw = block.transactions[block.txids.index(wanted)]
        if not verbosity:
            return raw.hex()
        told = {"in_active_chain": self.ledger.holds(block), "blockhash": display(block.hash)}
        return self._transaction(raw) | told | {"confirmations": max(self._confirmations(block), 0)}

    def _transaction(self, raw: bytes) -> dict:
        return {"txid": display(txid(raw)), "hex": raw.hex(), "locktime": parsed(raw).nLockTime}

    def _sendrawtransaction(self, hexstring: str, maxfeerate: object = None, maxburnamount: object = None) -> object:
        del maxfeerate, maxburnamount
        try:
            return display(self.ledger.submit(bytes.fromhex(hexstring)))
        except ValueError:
            raise RpcFault(-22, "TX decode failed. Make sure the tx has at least one input.") from None

    def _getrawmempool(self) -> object:
        return [display(name) for name in self.ledger.mempool]

    def _getmempoolentry(self, name: str) -> object:
        pooled = self._pooled(name)
        if pooled is None:
            raise RpcFault(-5, "Transaction not in mempool")
        return {"vsize": pooled.size, "time": pooled.since, "fees": {"base": pooled.fee / COIN}}

    def _getmempoolinfo(self) -> object:
        least = self.ledger.min_rate * 1000 / COIN
        told = {"loaded": True, "size": len(self.ledger.mempool), "mempoolminfee": least, "minrelaytxfee": least}
        return told | {"incrementalrelayfee": least, "fullrbf": True}

    def _getnetworkinfo(self) -> object:
        return {"version": 310000, "subversion": "/Satoshi:31.0.0/", "connections": 8, "localrelay": True}

    def _estimatesmartfee(self, blocks_ahead: int, mode: str = "economical") -> object:
        del mode
        if self.fee is None:
            return {"errors": ["Insufficient data or no feerate found"], "blocks": blocks_ahead}
        return {"feerate": self.fee, "blocks": max(blocks_ahead, 2)}


def results(method: str, value: object) -> Fault:
    """A fault by which each call of `method` in a request gets `value` for its result."""

    def answer(exchange: Exchange) -> None:
        asked, reply = json.loads(exchange.request.body), exchange.act()
        answered, single = json.loads(reply.body), isinstance(asked, dict)
        for call, one in zip(*(([asked], [answered]) if single else (asked, answered)), strict=True):
            if call["method"] == method:
                one.pop("error", None)
                one["result"] = value
        exchange.send(Reply(200, json.dumps(answered).encode()))

    return answer


def replaced(place: int, value: object) -> Fault:
    """A fault by which `value` is the result of one call of a request: of the call at `place` (0 if it is alone)."""

    def change(answer: object) -> object:
        members = answer if isinstance(answer, list) else [answer]
        members[place].pop("error", None)
        members[place]["result"] = value
        return answer

    return rewrite(change)


def fails(code: int, message: str = "it failed") -> Fault:
    """A fault by which nothing is done, and each call in a request gets an error."""

    def answer(exchange: Exchange) -> None:
        asked = json.loads(exchange.request.body)
        error = {"code": code, "message": message}
        answers = [
            {"jsonrpc": "2.0", "id": call["id"], "error": error}
            for call in (asked if isinstance(asked, list) else [asked])
        ]
        exchange.send(Reply(200, json.dumps(answers if isinstance(asked, list) else answers[0]).encode()))

    return answer
