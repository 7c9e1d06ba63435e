"""Where a path really lies: on which file system, and under which name there, whatever it is mounted as (proc(5), mountinfo)."""

import re
from pathlib import Path, PurePosixPath

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def place_of(path: Path) -> tuple[str, PurePosixPath] | None:
    """Return the device and the name on it of a path, which need not exist; None where the kernel does not say.

    Two paths are the same place when both are equal, also where one of them is reached through a bind mount.
    """
    resolved = path.resolve()
    found: tuple[str, PurePosixPath] | None = None
    longest = -1
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        device, root, point = line.split(" ")[2:5]
        mounted = Path(_plain(point))
        # Of mounts over one another the last one is seen.
        if mounted in (resolved, *resolved.parents) and len(mounted.parts) >= longest:
            longest = len(mounted.parts)
            found = device, PurePosixPath(_plain(root)) / resolved.relative_to(mounted)
    return found


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda code: chr(int(code[1], 8)), text)
