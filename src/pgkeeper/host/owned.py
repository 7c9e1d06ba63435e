"""Whether files are ours to change altogether."""

import os
from collections.abc import Iterator
from pathlib import Path


def not_ours(directory: Path) -> Path | None:
    """Return a file, directory or link at or below `directory` that belongs to another user; None where there is none.

    Links are not followed. What vanishes meanwhile belongs to nobody.
    """
    for path in _all_in(directory):
        try:
            if os.lstat(path).st_uid != os.geteuid():
                return Path(path)
        except FileNotFoundError:
            continue
    return None


def _all_in(directory: Path) -> Iterator[str]:
    yield str(directory.resolve())
    for parent, directories, files in os.walk(directory):
        # A million Path objects take long.
        yield from (f"{parent}/{name}" for name in (*directories, *files))
