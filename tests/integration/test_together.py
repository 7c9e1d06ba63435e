"""Everything at once, on two databases, for a while: nobody loses anything, and nobody says anything that isn't documented."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from .support.history import aged_copy, history, newest, settled
from .support.product import BUSY, DONE, FAILED, REFUSED, USAGE, Pgkeeper, Run

SECONDS = float(os.environ.get("PGKEEPER_STRESS_SECONDS", "60"))
DATABASES = ("left", "right")
OLD = 20
GONE = "there is no backup"


class Together:
    """The callers, what they did, and what they found wrong."""

    def __init__(self, pgkeeper: Pgkeeper, for_good: set[str]) -> None:
        self.pgkeeper = pgkeeper
        self.sources = {database: newest(pgkeeper, database) for database in DATABASES}
        self.for_good = for_good
        self.deadline = time.monotonic() + SECONDS
        self.made: list[str] = []
        self.wrong: list[str] = []
        self.done: dict[str, int] = {}
        self.number = 0
        self.lock = threading.Lock()

    def call(self, *arguments: str, allowed: tuple[int, ...]) -> Run:
        """Call the program; an exit status that is not allowed, or a traceback, is written down."""
        run = self.pgkeeper(*arguments)
        with self.lock:
            if run.exit_status == DONE:
                self.done[arguments[0]] = self.done.get(arguments[0], 0) + 1
            # A backup that goes while somebody begins to read it is not there, and nothing else.
            gone = run.exit_status == USAGE and GONE in run.stderr
            if run.exit_status not in allowed and not gone:
                self.wrong.append(run.output)
        return run

    def repeat(self, action: Callable[[random.Random], None]) -> threading.Thread:
        """A thread that does the same over and over until the time is up."""

        def loop() -> None:
            dice = random.Random(repr(action))  # noqa: S311 - no secret
            try:
                while time.monotonic() < self.deadline:
                    action(dice)
            except BaseException as error:  # noqa: BLE001 - told by the test
                self.wrong.append(repr(error))

        return threading.Thread(target=loop)

    def names(self) -> list[str]:
        """Ids of whole backups, the oldest of each database first. The directories are read while others change them."""
        while True:
            try:
                return [path.name for path in self.pgkeeper.published()]
            except FileNotFoundError:
                continue

    def some(self, dice: random.Random, *, old: bool) -> str:
        """Some published backup's id; an old one looks at least ten days old."""
        today = time.strftime("%Y%m", time.gmtime(time.time() - 10 * 86400))
        names = self.names()
        chosen = [name for name in names if not old or name.rpartition("-")[2][:6] < today]
        # Where there is none, one that isn't there must do: what is new is not to be deleted.
        return dice.choice(chosen) if chosen else "left-20000101T000000Z"

    def back_up(self, database: str) -> None:
        run = self.call("backup", "--database", database, "--json", allowed=(DONE, BUSY))
        if run.exit_status == DONE:
            with self.lock:
                self.made.append(run.outcome(database)["backup_id"])

    def verify(self, dice: random.Random) -> None:
        self.call("verify", self.some(dice, old=dice.random() < 0.5), "--level", dice.choice(["checksum", "contents"]), allowed=(DONE,))

    def restore(self, dice: random.Random) -> None:
        with self.lock:
            self.number += 1
            target = f"restored_{self.number}"
            self.pgkeeper.databases.add(target)
        which = self.some(dice, old=True) if dice.random() < 0.5 else "latest"
        database = ("--database", dice.choice(DATABASES)) if which == "latest" else ()
        run = self.call("restore", which, *database, "--to", target, allowed=(DONE, BUSY))
        if run.exit_status == DONE:
            self.pgkeeper.cluster.drop_database(target)

    def expire(self, dice: random.Random) -> None:
        self.call("expire", *dice.choice([(), ("--dry-run",), ("--wait", "2m")]), "--json", allowed=(DONE, BUSY))

    def pin(self, dice: random.Random) -> None:
        which = self.some(dice, old=True)
        if which in self.for_good:
            return
        if self.call("pin", which, "--reason", "a test", allowed=(DONE, BUSY)).exit_status != DONE:
            return
        self.call("delete", which, "--confirm", "DELETE", allowed=(REFUSED, BUSY))
        self.call("expire", allowed=(DONE, BUSY))
        if which not in self.names():
            self.wrong.append(f"{which} was pinned, and is gone")
        self.call("unpin", which, allowed=(DONE, BUSY))

    def delete(self, dice: random.Random) -> None:
        self.call("delete", self.some(dice, old=True), "--confirm", "DELETE", allowed=(DONE, BUSY, REFUSED))

    def look(self, dice: random.Random) -> None:
        run = self.call(dice.choice(["list", "status"]), "--json", allowed=(DONE, FAILED))
        if "damaged" in run.stdout.lower():
            self.wrong.append(f"one that goes is shown as damaged: {run.output}")

    def feed(self, dice: random.Random) -> None:
        """See to it that there is always something old enough to go."""
        names = self.names()
        for database, source in self.sources.items():
            if sum(name.startswith(database) for name in names) < OLD:
                aged_copy(self.pgkeeper, source, timedelta(days=dice.randrange(50, 3000), seconds=dice.randrange(86400)))
        threading.Event().wait(0.2)


@pytest.mark.timeout(600 + 3 * SECONDS)
def test_everything_at_once_costs_nothing(pgkeeper: Pgkeeper) -> None:
    pinned = []
    for database in DATABASES:
        oldest, *_ = history(pgkeeper, 400, 300, 200, database=database)
        pgkeeper("pin", oldest.name, "--reason", "for good").exits(DONE)
        pinned.append(oldest)
    settled(pgkeeper)
    together = Together(pgkeeper, {path.name for path in pinned})
    together.made += [source.name for source in together.sources.values()]
    threads = [
        together.repeat(lambda _dice: together.back_up("left")),
        together.repeat(lambda _dice: together.back_up("right")),
        *map(
            together.repeat,
            [
                together.verify,
                together.restore,
                together.expire,
                together.expire,
                together.pin,
                together.delete,
                together.look,
                together.feed,
            ],
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.wrong, "\n\n".join(together.wrong[:5])
    assert_everyone_worked(together)
    left = {path.name: path for path in pgkeeper.published()}
    for database in DATABASES:
        made = sorted(name for name in together.made if name.startswith(f"{database}-"))
        assert set(made[-3:]) <= set(left), "the newest three are there"
    assert all(path.exists() for path in pinned), "what is pinned for good is there"
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda name: pgkeeper("verify", name, "--level", "contents"), left))
    assert all(run.exit_status == DONE for run in runs), next(run.output for run in runs if run.exit_status != DONE)
    assert not pgkeeper.debris()


def assert_everyone_worked(together: Together) -> None:
    """A test in which nobody got to do anything would prove nothing."""
    if SECONDS >= 30:
        assert set(together.done) >= {"backup", "verify", "restore", "expire", "pin", "unpin", "delete", "list"}, together.done
