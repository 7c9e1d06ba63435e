"""A body on its way out, which its sender watches and holds back."""

import io

from typing_extensions import Buffer

from pgkeeper.stores.bucket import Sending

_PIECE = 16 << 10  # small enough to be held back evenly


class Outgoing(io.RawIOBase):
    """Content as a file that is sent piece by piece. `error` is what `sending` raised, if it did."""

    def __init__(self, content: bytes, sending: Sending) -> None:
        super().__init__()
        self._content = memoryview(content)
        self._position = 0
        self._sending = sending
        self.error: BaseException | None = None

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes: botocore looks how long the content is."""
        return True

    def tell(self) -> int:
        """Return where the next piece begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte of the content."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._content)}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, target: Buffer) -> int:
        """Fill `target` with the next piece, when `sending` lets it go."""
        room = memoryview(target).cast("B")
        size = min(len(room), len(self._content) - self._position, _PIECE)
        if size > 0:
            try:
                self._sending(self._position, size)
            except BaseException as error:
                self.error = error
                raise
            room[:size] = self._content[self._position : self._position + size]
            self._position += size
        return max(size, 0)
