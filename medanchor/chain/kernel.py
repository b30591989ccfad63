"""Bitcoin Core's consensus engine, opened for one operation and closed again; all of `pbk` that chains need.

libbitcoinkernel keeps what it accepts in memory until its manager is destroyed, so whatever stays open is lost to a
kill and shuts every other process out. `pbk` has no `close()`; leaving its `with` block destroys the C++ object at
once, even while a traceback or a reference cycle still holds the Python one. Nothing that points into it may outlive
it, therefore `Kernel` hands out bytes and numbers only.

Importing `pbk` takes 0.2 s, so it is imported when an engine is opened and no sooner.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medanchor.chain.lock import ctrl_c_later
from medanchor.core.hashes import Hash
from medanchor.core.header import HEADER_LENGTH, Network
from medanchor.errors import ChainError, TransactionRefusedError

if TYPE_CHECKING:
    import pbk

_CHAIN_TYPES = {
    Network.MAINNET: "MAINNET",
    Network.TESTNET3: "TESTNET",
    Network.TESTNET4: "TESTNET_4",
    Network.SIGNET: "SIGNET",
    Network.REGTEST: "REGTEST",
}
_LOG_LINES = 200

ROOM = 80 << 20
"""Bytes free on the disk without which nothing is written: block files grow by 16 MiB at once, and undo files by 1."""

_MAGIC = bytes.fromhex("fabfb5da")  # before each block in a file; regtest's, as no other chain is kept on the disk
AFTER_REFUSAL = "is this machine's clock right? Then run the command again"
_BAD_TRANSACTION = "bad-txns-"
_ERROR_MARK = "[error] "
_MAKE_ROOM = "make room and try again; what was there before is still there"
START_AFRESH = (
    "is this machine's clock right? If it is, restore the directory from a backup, or move it away to start a new chain"
)
_EXCUSES = {
    "Resource temporarily unavailable": (
        "another program has it open",
        "is a Bitcoin Core node running there? Stop it",
    ),
    "Permission denied": ("this user may not write some of its files", "run this as the user who owns them"),
    "from the future": ("its newest block is later than this machine's clock", "set the clock right, then try again"),
}
"""What the engine logs when it cannot open databases that are sound."""


class Kernel:
    """An open chain: the best chain's blocks as bytes, and the one door by which a new block comes in."""

    def __init__(self, manager: "pbk.ChainstateManager", log: "deque[str]") -> None:
        self._manager = manager
        self._log = log
        self.changed = False

    @property
    def height(self) -> int:
        """The height of the best chain's newest block; the genesis block's is 0."""
        return int(self._manager.get_active_chain().height)

    def header(self, height: int) -> bytes:
        """Return the best chain's header (80 bytes) at `height`, from 0 to the tip's."""
        return bytes(self._entry(height).block_header)

    def txids(self, height: int) -> list[Hash]:
        """Return the hashes of the transactions in the best chain's block at `height`, read from the disk."""
        return [Hash(bytes(transaction.txid)) for transaction in self._block(height).transactions]

    def transactions(self, height: int) -> list[bytes]:
        """Return the transactions, with their witnesses, of the best chain's block at `height`, read from the disk."""
        return [bytes(transaction) for transaction in self._block(height).transactions]

    def offer(self, block: bytes) -> None:
        """Hand the engine a block. That it takes it does not make it valid: look whether it became the tip.

        Raises ChainError if the block is refused at once: its header, its form, or a block it does not follow; and
        TransactionRefusedError if a transaction in it is.
        """
        import pbk

        self._log.clear()
        self.changed = True
        try:
            self._manager.process_block(pbk.Block(block))
        except (pbk.KernelException, RuntimeError) as error:
            # Of all that can be wrong with a block, only its transactions are not of our own making.
            refused = TransactionRefusedError if _BAD_TRANSACTION in self.reason else ChainError
            raise refused(f"Bitcoin Core's rules refuse the block: {self.reason}", hint=AFTER_REFUSAL) from error

    def offer_headers(self, headers: bytes) -> tuple[int, str] | None:
        """Return which of `headers` (80 bytes each, counted from zero) is refused first, and which rule it breaks.

        None if the engine has taken them all. Each must follow one that was taken before. What cannot be judged without
        the block's transactions, as a signet block's signature, is not judged.
        """
        import pbk
        from pbk.capi import bindings as engine  # pbk's objects would cost twice what the engine does

        state = pbk.BlockValidationState()  # stays as it is until one is refused
        for index in range(len(headers) // HEADER_LENGTH):
            header = headers[HEADER_LENGTH * index : HEADER_LENGTH * (index + 1)]
            parsed = engine.btck_block_header_create(header, HEADER_LENGTH)
            refused = engine.btck_chainstate_manager_process_block_header(self._manager, parsed, state)
            engine.btck_block_header_destroy(parsed)
            if refused:
                return index, self._refusal(header)
        return None

    def _refusal(self, header: bytes) -> str:
        """Return what the engine says when a header is offered to it once more, its tongue loosened for that moment."""
        import pbk

        pbk.set_log_level_category(pbk.LogCategory.VALIDATION, pbk.LogLevel.DEBUG)
        pbk.enable_log_category(pbk.LogCategory.VALIDATION)
        self._log.clear()
        try:
            self._manager.process_block_header(pbk.BlockHeader(header))
        except (pbk.KernelException, RuntimeError):
            return "".join(self._log).rpartition(", ")[2].strip() or "no reason given"
        finally:
            pbk.disable_log_category(pbk.LogCategory.VALIDATION)
        return "refused once, then taken"

    @property
    def reason(self) -> str:
        """What the engine logged last as an error; its calls themselves say no more than that there was one."""
        return _last_error(self._log)

    def _entry(self, height: int) -> Any:  # noqa: ANN401 - pbk is untyped
        return self._manager.get_active_chain().block_tree_entries[height]

    def _block(self, height: int) -> Any:  # noqa: ANN401 - pbk is untyped
        try:
            return self._manager.blocks[self._entry(height)]
        except RuntimeError as error:
            raise ChainError(f"block {height} cannot be read: {self.reason}", hint=START_AFRESH) from error


@contextmanager
def opened(
    directory: Path,
    network: Network,
    *,
    at_least: int = 0,
    rebuild: bool = False,
    in_memory: bool = False,
    sound: Callable[[int], None] = lambda _height: None,
) -> Iterator[Kernel]:
    """Give the chain of `network` that is kept in `directory`, opened, and close it whatever happens.

    Its databases are made again from its block files if `rebuild` asks for it, if they cannot be opened, and if they
    end below the height `at_least` that the chain is known to have. `in_memory` keeps them off the disk, for a chain
    that is thrown away. On leaving, all that was accepted is on the disk. `sound` is told the height when the databases
    are known to need no rebuilding next time.

    Raises ChainError if it cannot be opened, or not up to that height, and if what it accepted could not be written.
    """
    import pbk

    log: deque[str] = deque(maxlen=_LOG_LINES)
    failures: list[str] = []
    with (
        ctrl_c_later(),
        pbk.LoggingConnection(lambda line: log.append(line)),  # noqa: PLW0108 - pbk inspects it
        ExitStack() as closing,
    ):
        options = _options(directory, _context(network, failures), in_memory=in_memory)
        manager = None if rebuild else _usable(options, at_least, closing, log)
        if manager is None and not rebuild and (excuse := _excuse(directory, log)):
            sound(at_least)
            raise excuse
        if manager is None:
            _refuse_to_rebuild(directory, at_least)
            options.set_wipe_dbs(True, True)
            manager = _usable(options, at_least, closing, log)
        if manager is None:
            damaged = ChainError(f"the chain in {directory} is damaged: {_last_error(log)}", hint=START_AFRESH)
            raise _excuse(directory, log) or damaged
        kernel = Kernel(manager, log)
        try:
            yield kernel
        finally:
            height = kernel.height
            closing.close()
            # Who only reads loses nothing when the engine, on leaving, finds no room to write nothing.
            if failures and kernel.changed:
                raise ChainError(f"the chain in {directory} could not be written: {failures[0]}", hint=_MAKE_ROOM)
            sound(height)


def refuse_if_full(directory: Path) -> None:
    """Raise ChainError unless the disk has room for what the engine writes, and for the 50 MiB it leaves free."""
    disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    if free < ROOM:
        found = f"expected at least {ROOM >> 20} MiB free on the disk of {directory}, found {free >> 20}"
        raise ChainError(found, hint=_MAKE_ROOM)


def _options(directory: Path, context: "pbk.Context", *, in_memory: bool) -> "pbk.ChainstateManagerOptions":
    import pbk

    try:
        options = pbk.ChainstateManagerOptions(context, str(directory.absolute()), str(directory.absolute() / "blocks"))
    except (RuntimeError, UnicodeEncodeError) as error:
        raise ChainError(
            f"expected a directory for a chain at {str(directory)!a}, found something else",
            hint="is a file in its place, or its name not UTF-8? Move it away, or name another",
        ) from error
    options.update_block_tree_db_in_memory(in_memory)
    options.update_chainstate_db_in_memory(in_memory)
    return options


def _context(network: Network, failures: list[str]) -> "pbk.Context":
    """Return a context for `network` that collects what goes wrong in writing, of which no call tells."""
    import ctypes

    import pbk
    from pbk.notifications import NotificationInterfaceCallbacks

    def failed(_user_data: object, message: int, length: int) -> None:
        failures.append(ctypes.string_at(message, length).decode("utf-8", "replace"))

    options = pbk.ContextOptions()
    options.set_chainparams(pbk.ChainParameters(pbk.ChainType[_CHAIN_TYPES[network]]))
    options.set_notifications(NotificationInterfaceCallbacks(flush_error=failed, fatal_error=failed))
    return pbk.Context(options)


def _usable(
    options: "pbk.ChainstateManagerOptions", at_least: int, closing: ExitStack, log: "deque[str]"
) -> "pbk.ChainstateManager | None":
    """Return the manager, for `closing` to close; None, with the cause in the log, if it does not reach `at_least`."""
    import pbk

    try:
        manager = closing.enter_context(pbk.ChainstateManager(options))
    except RuntimeError:
        return None
    # A kill between two flushes can leave blocks that are known but not connected; to import nothing connects them. To
    # import is also what makes a wiped database anew.
    manager.import_blocks([])
    height = manager.get_active_chain().height
    if height >= at_least:
        return manager
    closing.close()
    log.append(f"{_ERROR_MARK}expected a height of at least {at_least}, found {height}")
    return None


def _refuse_to_rebuild(directory: Path, at_least: int) -> None:
    """Raise ChainError if a rebuild would fail, or destroy what may still be mended by hand.

    The engine writes a genesis block over the beginning of a block file in which it finds none: over honest blocks, if
    only the key is lost with which that file is obfuscated.
    """
    refuse_if_full(directory)
    if at_least and _magic(directory / "blocks") != _MAGIC:
        raise ChainError(f"the chain in {directory} is damaged: its block file cannot be read", hint=START_AFRESH)


def _magic(blocks: Path) -> bytes:
    """Return the first four bytes of the first block file, made legible; none if it or its key is not there."""
    try:
        key = (blocks / "xor.dat").read_bytes()
        with (blocks / "blk00000.dat").open("rb") as file:
            return bytes(byte ^ mask for byte, mask in zip(file.read(len(_MAGIC)), key, strict=False))
    except FileNotFoundError:
        return b""


def _excuse(directory: Path, log: "deque[str]") -> ChainError | None:
    """Return the error for databases that cannot be opened and may be sound: to make them again would mend nothing."""
    for sign, (cause, hint) in _EXCUSES.items():
        if any(sign in line for line in log):
            return ChainError(f"the chain in {directory} cannot be opened: {cause}", hint=hint)
    return None


def _last_error(log: "deque[str]") -> str:
    """Return the engine's last line marked as an error, else its last line, without the time in front."""
    errors = [line.partition(_ERROR_MARK)[2] for line in log if _ERROR_MARK in line]
    last = errors[-1] if errors else log[-1].partition(" ")[2] if log else "no reason given"
    return last.strip().removesuffix(".")
