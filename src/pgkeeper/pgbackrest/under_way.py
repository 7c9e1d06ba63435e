"""pgBackRest's processes that are at work on this host, whoever called them."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def under_way(command: str, options: Iterable[str]) -> list[int]:
    """Return the processes of a command that was given these options, with its workers (`command:local` and the like)."""
    wanted, found = set(options), []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        with suppress(OSError):
            words = os.fsdecode((process / "cmdline").read_bytes()).split("\0")
            is_it = any(word == command or word.startswith(f"{command}:") for word in words)
            if Path(words[0]).name == "pgbackrest" and is_it and wanted <= set(words):
                found.append(int(process.name))
    return found
