#!/usr/bin/env python3
"""Make a release on the host, or remove those nobody needs. Only one deployment at a time does either; another one waits.

releases.py make JSON     `release`: where it will be; `source`: where its wheel and runtime.lock are; `pip`: arguments for pip
releases.py prune JSON    `releases`: their directory; `kept`: paths of those to keep; `dry`: only say what would be removed

A virtual environment cannot be moved, so it is made where it will stay. Only the stamp `.complete`, written last, makes it valid.
`prune` prints a JSON list of what it removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

SECONDS_TO_WAIT = 1800
STAMP = ".complete"
PROC = Path("/proc")


class Failed(Exception):
    """What went wrong, in one line."""


@contextmanager
def alone(releases: Path, seconds: int = SECONDS_TO_WAIT) -> Iterator[int]:
    """Hold the directory's lock; gives the descriptor to hand to children, so that those of a killed holder keep it until they end."""
    held = os.open(releases, os.O_RDONLY | os.O_DIRECTORY)

    def give_up(*_: object) -> None:
        raise Failed("another deployment has been at work on this host for %d minutes: run this again when it is done" % (seconds // 60))

    try:
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(seconds)
        fcntl.flock(held, fcntl.LOCK_EX)
        signal.alarm(0)
        yield held
    finally:
        os.close(held)


def run(what: str, command: list[str], source: Path, held: int) -> None:
    """Run one step of making a release. Raises Failed with what it said."""
    done = subprocess.run(command, cwd=source, pass_fds=(held,), check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failed("%s failed: %s" % (what, " ".join(done.stdout.split()) or "exit status %d" % done.returncode))


def make(release: Path, source: Path, pip: list[str]) -> bool:
    """Make a release, and see it safely on disk; False when it is complete already. Raises Failed."""
    release.parent.mkdir(parents=True, exist_ok=True)
    with alone(release.parent) as held:
        if (release / STAMP).exists():
            return False
        if release.exists():
            shutil.rmtree(release)
        install = [str(release / "bin/python"), "-m", "pip", "install", *pip]
        wheels = [str(path) for path in source.glob("pgkeeper-*.whl")]
        run("making the virtual environment", ["/usr/bin/python3", "-m", "venv", str(release)], source, held)
        run("installing the locked dependencies", [*install, "--require-hashes", "--requirement", "runtime.lock"], source, held)
        run("installing pgkeeper", [*install, "--no-deps", *wheels], source, held)
        run("trying the release", [str(release / "bin/pgkeeper"), "--version"], source, held)
        run("writing to disk", ["sync", "--file-system", str(release)], source, held)
        (release / STAMP).touch()
    return True


def in_use(release: Path) -> bool:
    """Whether a process runs from this release."""
    return any(_maps(process, os.fsencode("%s/" % release)) for process in PROC.glob("[0-9]*"))


def _maps(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "maps").read_bytes()
    except OSError:  # it ended meanwhile
        return False


def prune(releases: Path, kept: list[Path], *, dry: bool) -> list[str]:
    """Remove all releases but those to keep and those in use, and return their paths. Raises Failed."""
    if not releases.is_dir():
        return []
    with alone(releases):
        # Another deployment may have switched since this one looked.
        linked = [] if dry else [(releases.parent / name).resolve() for name in ("current", "previous")]
        doomed = [path for path in sorted(releases.iterdir()) if path not in (*kept, *linked) and not in_use(path)]
        for path in doomed:
            if not dry:
                shutil.rmtree(path)
    return [str(path) for path in doomed]


def main() -> int:
    """Do what the arguments say, or print one line about why not."""
    verb, wanted = sys.argv[1], json.loads(sys.argv[2])
    os.umask(0o022)  # the connection's may be stricter, and user postgres has to read all this
    try:
        sys.stdout.write(answer(verb, wanted))
    except (Failed, OSError) as error:
        sys.stderr.write("%s\n" % error)
        return 1
    return 0


def answer(verb: str, wanted: dict[str, Any]) -> str:
    """Do what is wanted, and return what to print."""
    if verb == "make":
        made = make(Path(wanted["release"]), Path(wanted["source"]), wanted["pip"])
        return "made\n" if made else "another deployment has made it meanwhile\n"
    removed = prune(Path(wanted["releases"]), [Path(path) for path in wanted["kept"]], dry=wanted["dry"])
    return json.dumps(removed)


if __name__ == "__main__":
    sys.exit(main())
