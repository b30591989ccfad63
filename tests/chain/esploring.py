"""What the tests of the Esplora source share: impatience, and what an answer or a refusal has to be like."""

from collections.abc import Callable

from loopback_esplora import LoopbackEsplora

from medanchor.chain.esplora import EsploraChain
from medanchor.core.header import Network
from medanchor.errors import ChainError, TransactionRefusedError
from medanchor.net.server import Patience, Server

PATIENT = Patience(seconds=5, attempts=2, pause=0.01)
IMPATIENT = Patience(seconds=0.2, attempts=2, pause=0.01)
"""For a server that is silent: nobody else should be so slow, but a crowded machine may be."""
PAYLOAD = b"MDA1" + bytes(range(32))
OTHER = b"MDA1" + bytes(32)
THIRD = b"MDA1" + b"\x03" * 32


def source(
    server: LoopbackEsplora, *, patience: Patience = PATIENT, network: Network = Network.REGTEST
) -> EsploraChain:
    return EsploraChain(Server("the Esplora server", server.url, patience=patience), network)


def refusal(ask: Callable[[], object]) -> ChainError | None:
    """The error that `ask` ends with, if it does: one that is told well, and does not send for a new transaction."""
    try:
        ask()
    except TransactionRefusedError as error:
        raise AssertionError("nothing here says that it can never be mined") from error
    except ChainError as error:
        told_well(error)
        return error
    return None


def told_well(error: ChainError) -> None:
    assert error.hint
    assert "http://127.0.0.1:" in error.message
    assert not error.message.endswith(".")
    assert len(error.message) < 500
    assert error.message.isprintable()


def outcome(ask: Callable[[], object]) -> object:
    """What `ask` gives, or the error that it ends with."""
    results = []
    error = refusal(lambda: results.append(ask()))
    return error or results[0]
