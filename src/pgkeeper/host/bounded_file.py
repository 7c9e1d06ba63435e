"""Reading a small file without trusting its size."""

import errno
import os
import stat
from pathlib import Path


def read_bounded(path: Path, most: int) -> bytes:
    """Return a file's content. Raises OSError, with EFBIG for a file of more than `most` bytes, of which nothing is read.

    What is no regular file is refused as well: reading it might never end.
    """
    # A named pipe that nobody writes to would keep us waiting already while it is opened.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"it has {found.st_size} bytes, at most {most} are read", str(path))
        # It may grow while it is read; what is asked for beyond its size is memory for nothing.
        content = bytearray()
        while part := file.read(found.st_size + 1 - len(content)):
            content += part
            if len(content) > found.st_size:
                raise OSError(errno.EFBIG, "it grows while it is read", str(path))
        return bytes(content)
