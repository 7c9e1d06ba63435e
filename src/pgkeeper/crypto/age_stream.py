"""A library that reads and writes files by itself, made to work on a stream.

It works in a thread, which never runs beside its user: either waits for the other. So what is read is read by the user's own thread, with
its errors and interruptions, and nothing is kept but one chunk and one piece.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue

_PIECE = 1 << 20


class _Stopped(Exception):
    """Nobody wants the rest."""


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class StreamFile:
    """What the library reads from and writes to."""

    def __init__(self) -> None:
        # What the library has to say: None for "I need a chunk", a piece, or that it has ended.
        self.said: SimpleQueue[bytes | _End | None] = SimpleQueue()
        # What it is answered: a chunk (or, to a piece, an empty one), None at the end of all chunks, or that it has to stop.
        self.answers: SimpleQueue[bytes | _Stopped | None] = SimpleQueue()
        self._chunk = memoryview(b"")
        self._piece = bytearray()
        self._stopped = False

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        while not self._chunk:
            chunk = self._ask(None)
            if chunk is None:
                return b""
            self._chunk = memoryview(chunk)
        found = bytes(self._chunk[:size])
        self._chunk = self._chunk[size:]
        return found

    def write(self, data: bytes) -> int:
        """Take `data`."""
        self._piece += data
        if len(self._piece) >= _PIECE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Hand over what was written."""
        if self._piece:
            piece, self._piece = bytes(self._piece), bytearray()
            self._ask(piece)

    def _ask(self, what: bytes | None) -> bytes | None:
        if not self._stopped:
            self.said.put(what)
            answer = self.answers.get()
            if not isinstance(answer, _Stopped):
                return answer
            self._stopped = True
        raise _Stopped


def streamed(chunks: Iterable[bytes], work: Callable[[StreamFile], None]) -> Iterator[bytes]:
    """Yield what `work` writes to the file while it reads `chunks` from it. Raises what `chunks` or `work` raises.

    The thread has ended when this has, however it ended.
    """
    file, source = StreamFile(), iter(chunks)
    # Were it none of Python's daemons, one left half read at the end of the process would hold that up.
    thread = threading.Thread(target=_run, args=(file, work), name="age", daemon=True)
    thread.start()
    try:
        while not isinstance(said := file.said.get(), _End):
            if said is None:
                file.answers.put(next(source, None))
            else:
                yield said
                file.answers.put(b"")
        if said.error is not None:
            raise said.error
    finally:
        file.answers.put(_Stopped())
        # Python's end waits for no such thread, and since 3.13 lets none of them run any more.
        if not sys.is_finalizing():
            thread.join()


def _run(file: StreamFile, work: Callable[[StreamFile], None]) -> None:
    try:
        work(file)
        file.flush()
    except BaseException as error:  # noqa: BLE001 - it is raised where somebody hears of it
        file.said.put(_End(error))
    else:
        file.said.put(_End(None))
