"""An embedded chain whose engine stays open from one operation to the next, as a node's does.

To open it takes longer than nearly all that tests ask of it, thousands of times. Whoever uses one has its directory
alone, and closes it before anybody else looks inside.
"""

import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock

import pbk

from medanchor.chain.embedded import EmbeddedChain
from medanchor.chain.kernel import Kernel, _context, _options


class StandingChain(EmbeddedChain):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory, now=lambda: int(time.time()), confirmations=1)
        self._turn = Lock()
        self._kernel: Kernel | None = None
        self._closing = ExitStack()
        weakref.finalize(self, self._closing.close)

    def close(self) -> None:
        """Write everything to the disk; the next operation opens it again."""
        with self._turn:
            self._kernel = None
            self._closing.close()

    @contextmanager
    def _opened(self) -> Iterator[Kernel]:
        with self._turn:
            if self._kernel is None:
                with super()._opened():
                    pass
                self._kernel = self._stands()
            yield self._kernel

    def _stands(self) -> Kernel:
        """Open the engine without what `opened` does for users: Ctrl-C is not held back all the while."""
        log: deque[str] = deque(maxlen=200)
        self._closing.enter_context(pbk.LoggingConnection(lambda line: log.append(line)))  # noqa: PLW0108 - pbk inspects it
        options = _options(self._data, _context(self.network, []), in_memory=False)
        manager = self._closing.enter_context(pbk.ChainstateManager(options))
        manager.import_blocks([])
        return Kernel(manager, log)
