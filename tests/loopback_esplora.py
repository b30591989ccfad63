"""An Esplora server on loopback over a `Ledger`: Bitcoin Core's consensus code behind it, a plan of faults before it.

    with LoopbackEsplora(Ledger(directory)) as esplora:
        esplora.ledger.fund(script, 100_000)  # .mine(3), .reorg(2), .submit(raw), .carrying(payload)
        chain = EsploraChain(Server("the Esplora server", esplora.url), Network.REGTEST)
        esplora.plan({1: lost_answer})  # see loopback_http

It answers as Blockstream's electrs does; so of a transaction that nobody knows it says "not confirmed", and not 404.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from loopback_http import LoopbackServer, Reply, Request
from loopback_ledger import Ledger, Outpoint, RefusedError, Seen, inputs, parsed, txid

from medanchor.chain.blocks import branch, without_witness
from medanchor.core.hashes import Hash, display, sha256
from medanchor.core.header import Header

CHAIN_PAGE = 25
BLOCKS_PAGE = 10

TEXT, BINARY = "text/plain", "application/octet-stream"
NO_BLOCK = Reply(404, b"Block not found", TEXT)
NO_TRANSACTION = Reply(404, b"Transaction not found", TEXT)
NO_ENDPOINT = Reply(404, b"endpoint does not exist", TEXT)

Answer = Callable[..., Reply]


class Routes(dict[re.Pattern[str], Answer]):
    """Which method answers what: `:hash` stands for 32 bytes in hex, `:n` for a number."""

    def __call__(self, *paths: str) -> Callable[[Answer], Answer]:
        def register(answer: Answer) -> Answer:
            for path in paths:
                pattern = path.replace(":hash", "([0-9a-f]{64})").replace(":n", r"(\d+)")
                self[re.compile(pattern)] = answer
            return answer

        return register

    def answer(self, server: "LoopbackEsplora", request: Request) -> Reply:
        for pattern, answer in self.items():
            if found := pattern.fullmatch(f"{request.method} {request.path}"):
                body = (request.body,) if request.method == "POST" else ()
                return answer(server, *found.groups(), *body)
        return NO_ENDPOINT


@dataclass(frozen=True)
class Known:
    """A transaction, and its block in the best chain; None in the mempool."""

    raw: bytes
    block: Seen | None


class Index:
    """What a server looks up: transactions by id, and who spends which coin."""

    def __init__(self, ledger: Ledger) -> None:
        self.known: dict[Hash, Known] = {}
        self.spender: dict[Outpoint, tuple[Hash, int]] = {}
        for block in ledger.best:
            for raw, name in zip(block.transactions, block.txids, strict=True):
                self._add(name, Known(raw, block))
        for name, pooled in ledger.mempool.items():
            self._add(name, Known(pooled.transaction, None))

    def _add(self, name: Hash, known: Known) -> None:
        self.known[name] = known
        self.spender |= {coin: (name, number) for number, coin in enumerate(inputs(known.raw))}

    def spent_outputs(self, raw: bytes) -> list[object]:
        """The outputs that a transaction spends; None for a coinbase's input."""
        return [
            parsed(self.known[name].raw).vout[number] if name in self.known else None for name, number in inputs(raw)
        ]

    def history(self, script_hash: str) -> list[Known]:
        """What touches a script, the newest first."""
        return [known for known in reversed(self.known.values()) if script_hash in self._script_hashes(known.raw)]

    def _script_hashes(self, raw: bytes) -> set[str]:
        outputs = [*parsed(raw).vout, *(output for output in self.spent_outputs(raw) if output)]
        return {sha256(bytes(output.scriptPubKey)).hex() for output in outputs}


class LoopbackEsplora(LoopbackServer):
    """`fees` are its estimates by target; `precise` what mempool.space has beside them; None where it has none.

    `remembered` are transactions that it shows although nobody has them, as electrs does after a reorganisation.
    """

    routes: ClassVar[Routes] = Routes()

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        self.fees: dict[str, object] | None = {"1": 20.5, "3": 10.25, "6": 5, "144": 1.0, "1008": 1.0}
        self.fees_status = 200
        self.precise: dict[str, object] | None = None
        self.remembered: dict[Hash, bytes] = {}
        self._index: tuple[object, Index] | None = None

    @property
    def index(self) -> Index:
        state = (self.ledger.tip.hash, tuple(self.ledger.mempool))
        if self._index is None or self._index[0] != state:
            self._index = (state, Index(self.ledger))
        return self._index[1]

    def respond(self, request: Request) -> Reply:
        return self.routes.answer(self, request)

    @routes("GET /blocks/tip/hash")
    def tip_hash(self) -> Reply:
        return text(display(self.ledger.tip.hash))

    @routes("GET /blocks/tip/height")
    def tip_height(self) -> Reply:
        return text(str(self.ledger.tip.height))

    @routes("GET /block-height/:n")
    def block_hash(self, height: str) -> Reply:
        known = int(height) <= self.ledger.tip.height
        return text(display(self.ledger.best[int(height)].hash)) if known else NO_BLOCK

    @routes("GET /blocks", "GET /blocks/:n")
    def blocks(self, start: str | None = None) -> Reply:
        top = self.ledger.tip.height if start is None else int(start)
        if top > self.ledger.tip.height:
            return NO_BLOCK
        heights = range(top, max(top - BLOCKS_PAGE, -1), -1)
        return as_json([block_json(self.ledger.best[height]) for height in heights])

    @routes("GET /block/:hash")
    def block(self, name: str) -> Reply:
        block = self._block(name)
        return as_json(block_json(block)) if block else NO_BLOCK

    @routes("GET /block/:hash/header")
    def header(self, name: str) -> Reply:
        block = self._block(name)
        return text(block.header.hex()) if block else NO_BLOCK

    @routes("GET /block/:hash/status")
    def block_status(self, name: str) -> Reply:
        block = self._block(name)
        if block is None or not self.ledger.holds(block):
            return as_json({"in_best_chain": False})
        after = [display(block.hash) for block in self.ledger.best[block.height + 1 : block.height + 2]] or [None]
        return as_json({"in_best_chain": True, "height": block.height, "next_best": after[0]})

    @routes("GET /block/:hash/txids")
    def block_txids(self, name: str) -> Reply:
        block = self._block(name)
        return as_json([display(txid) for txid in block.txids]) if block else NO_BLOCK

    @routes("GET /block/:hash/txid/:n")
    def block_txid(self, name: str, index: str) -> Reply:
        block = self._block(name)
        return text(display(block.txids[int(index)])) if block and int(index) < len(block.txids) else NO_BLOCK

    @routes("GET /tx/:hash")
    def transaction(self, name: str) -> Reply:
        known = self._known(name)
        return as_json(self.transaction_json(known)) if known else NO_TRANSACTION

    @routes("GET /tx/:hash/status")
    def status(self, name: str) -> Reply:
        return as_json(status_json(self._known(name)))

    @routes("GET /tx/:hash/hex")
    def transaction_hex(self, name: str) -> Reply:
        known = self._known(name)
        return text(known.raw.hex()) if known else NO_TRANSACTION

    @routes("GET /tx/:hash/raw")
    def transaction_raw(self, name: str) -> Reply:
        known = self._known(name)
        return Reply(200, known.raw, BINARY) if known else NO_TRANSACTION

    @routes("GET /tx/:hash/merkle-proof")
    def merkle_proof(self, name: str) -> Reply:
        known = self._known(name)
        if known is None or known.block is None:
            return Reply(404, b"Transaction not found or is unconfirmed", TEXT)
        place = branch(known.block.txids, known.block.txids.index(unreversed(name)))
        path = [display(node) for node in place.path]
        return as_json({"block_height": known.block.height, "merkle": path, "pos": place.index})

    @routes("GET /tx/:hash/outspend/:n")
    def outspend(self, name: str, number: str) -> Reply:
        return as_json(self.outspend_json((unreversed(name), int(number))))

    @routes("GET /tx/:hash/outspends")
    def outspends(self, name: str) -> Reply:
        known = self._known(name)
        if known is None:
            return NO_TRANSACTION
        return as_json([self.outspend_json((unreversed(name), n)) for n in range(len(parsed(known.raw).vout))])

    @routes("POST /tx")
    def broadcast(self, body: bytes) -> Reply:
        try:
            return text(display(self.ledger.submit(bytes.fromhex(body.decode()))))
        except RefusedError as refused:
            error = json.dumps({"code": refused.code, "message": refused.reason}, separators=(",", ":"))
            return Reply(400, f"sendrawtransaction RPC error: {error}".encode(), TEXT)

    @routes("GET /scripthash/:hash/txs")
    def history(self, script_hash: str) -> Reply:
        touching = self.index.history(script_hash)
        mined = [known for known in touching if known.block][:CHAIN_PAGE]
        return self._list([*(known for known in touching if known.block is None), *mined])

    @routes("GET /scripthash/:hash/txs/mempool")
    def waiting_history(self, script_hash: str) -> Reply:
        return self._list([known for known in self.index.history(script_hash) if known.block is None])

    @routes("GET /scripthash/:hash/txs/chain", "GET /scripthash/:hash/txs/chain/:hash")
    def mined_history(self, script_hash: str, last: str | None = None) -> Reply:
        mined = [known for known in self.index.history(script_hash) if known.block]
        names = [display(txid(known.raw)) for known in mined]
        start = names.index(last) + 1 if last in names else 0
        return self._list(mined[start : start + CHAIN_PAGE])

    @routes("GET /fee-estimates")
    def fee_estimates(self) -> Reply:
        return NO_ENDPOINT if self.fees is None else Reply(self.fees_status, json.dumps(self.fees).encode())

    @routes("GET /v1/fees/precise", "GET /v1/fees/recommended")
    def fees_precise(self) -> Reply:
        return NO_ENDPOINT if self.precise is None else as_json(self.precise)

    def outspend_json(self, coin: Outpoint) -> dict[str, object]:
        if coin not in self.index.spender:
            return {"spent": False}  # so it says of coins that never were, too
        spender, number = self.index.spender[coin]
        status = status_json(self.index.known[spender])
        return {"spent": True, "txid": display(spender), "vin": number, "status": status}

    def transaction_json(self, known: Known) -> dict[str, object]:
        raw, transaction = known.raw, parsed(known.raw)
        spent = self.index.spent_outputs(raw)
        made = sum(output.nValue for output in transaction.vout)
        return {
            "txid": display(txid(raw)),
            "version": transaction.nVersion,
            "locktime": transaction.nLockTime,
            "vin": inputs_json(raw, spent),
            "vout": [output_json(output) for output in transaction.vout],
            "size": len(raw),
            "weight": 3 * len(without_witness(transaction)) + len(raw),
            "fee": 0 if transaction.is_coinbase() else sum(output.nValue for output in spent) - made,
            "status": status_json(known),
        }

    def _list(self, transactions: list[Known]) -> Reply:
        return as_json([self.transaction_json(known) for known in transactions])

    def _known(self, name: str) -> Known | None:
        wanted = unreversed(name)
        forgotten = Known(self.remembered[wanted], None) if wanted in self.remembered else None
        return self.index.known.get(wanted, forgotten)

    def _block(self, name: str) -> Seen | None:
        return self.ledger.known.get(unreversed(name))


def as_json(value: object) -> Reply:
    return Reply(200, json.dumps(value).encode())


def text(value: str) -> Reply:
    return Reply(200, value.encode(), TEXT)


def unreversed(name: str) -> Hash:
    return Hash(bytes.fromhex(name)[::-1])


def status_json(known: Known | None) -> dict[str, object]:
    if known is None or known.block is None:
        return {"confirmed": False}
    time = Header.parse(known.block.header).time
    return {
        "confirmed": True,
        "block_height": known.block.height,
        "block_hash": display(known.block.hash),
        "block_time": time,
    }


def inputs_json(raw: bytes, spent: list[object]) -> list[dict[str, object]]:
    transaction = parsed(raw)
    witnesses = [[bytes(item).hex() for item in one.scriptWitness.stack] for one in transaction.wit.vtxinwit]
    return [
        {
            "txid": display(Hash(bytes(spend.prevout.hash))),
            "vout": spend.prevout.n,
            "prevout": output and output_json(output),
            "scriptsig": bytes(spend.scriptSig).hex(),
            "scriptsig_asm": "",
            "witness": witness,
            "is_coinbase": transaction.is_coinbase(),
            "sequence": spend.nSequence,
        }
        for spend, output, witness in zip(transaction.vin, spent, witnesses or [[]] * len(spent), strict=True)
    ]


def output_json(output: object) -> dict[str, object]:
    return {"scriptpubkey": bytes(output.scriptPubKey).hex(), "scriptpubkey_asm": "", "value": output.nValue}


def block_json(block: Seen) -> dict[str, object]:
    header = Header.parse(block.header)
    size = len(block.header) + 1 + sum(len(raw) for raw in block.transactions)
    return {
        "id": display(block.hash),
        "height": block.height,
        "version": int.from_bytes(block.header[:4], "little"),
        "timestamp": header.time,
        "tx_count": len(block.txids),
        "size": size,
        "weight": 4 * size,
        "merkle_root": display(header.merkle_root),
        "previousblockhash": display(header.previous) if block.height else None,
        "mediantime": header.time,
        "nonce": int.from_bytes(block.header[76:], "little"),
        "bits": header.bits,
        "difficulty": 4.656542373906925e-10,
    }
