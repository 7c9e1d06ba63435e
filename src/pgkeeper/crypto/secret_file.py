"""Files with secrets in them: only who may read them does, and only what can be such a file is read."""

import errno
import os
import stat
from pathlib import Path

from pgkeeper.model.errors import ConfigurationError
from pgkeeper.model.shell import quoted

_MAX_BYTES = 64 << 10


def read_secret_file(path: Path, variable: str) -> bytes:
    """Return the content of the file that `variable` names.

    Raises ConfigurationError (exit status 3) when it can't be read, is no file, too large, belongs to somebody else than root and us, or
    when others may read or change it.
    """
    what = f"cannot use {path}, which {variable} names"
    try:
        # Without waiting: a named pipe must not hold us up before we see what it is.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        hint = f"chown postgres {quoted(path)}" if error.errno == errno.EACCES else ""
        raise ConfigurationError(what, error.strerror or "", hint) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(what, "it is no regular file")
        if status.st_uid not in {0, os.geteuid()}:
            raise ConfigurationError(what, f"it belongs to user id {status.st_uid}, who could change it", f"chown postgres {quoted(path)}")
        if status.st_mode & 0o077:
            raise ConfigurationError(what, "others than its owner may read or change it", f"chmod 600 {path}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(what, error.strerror or "") from None
    finally:
        os.close(descriptor)
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(what, f"it is larger than {_MAX_BYTES >> 10} KiB")
    return content
