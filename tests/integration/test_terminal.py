"""Root types pgkeeper in a terminal: it works as one expects, and whoever is user postgres gets nowhere near root's shell."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from .support import typing_attack
from .support.hindrance import BULKY_SCRIPT, STALLED_SCRIPT, stalled, wait_for_stalled_session
from .support.processes import is_alive
from .support.product import Pgkeeper
from .support.terminal import ALONE, COLUMNS, IN_BACKGROUND, SHELL, Terminal, root_types
from .support.user import run_as_service_user
from .support.waiting import wait_until

ATTACK = Path(typing_attack.__file__)
TYPED = "id;\n"
IGNORING_HANGUPS = ("/usr/bin/env", "--ignore-signal=HUP")
WAYS = pytest.mark.parametrize("shell", [SHELL, ALONE], ids=["in a shell", "as the first process"])
ERRORS = {"EPERM", "EACCES"}
ERASED = "\x1b[2K"
"""How a line on a terminal is emptied, to draw another one in its place (ECMA-48)."""
NARROW = 30


def attacked(*arguments: str) -> dict[str, Any]:
    """What somebody who is user postgres achieves."""
    done = run_as_service_user([sys.executable, "-c", ATTACK.read_text(encoding="utf-8"), *arguments])
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def typing_is_possible() -> bool:
    """Whether this kernel lets a program type into its terminal at all."""
    switch = Path("/proc/sys/dev/tty/legacy_tiocsti")
    return not switch.exists() or switch.read_text(encoding="ascii").strip() == "1"


def bars_drawn_from_now_on(terminal: Terminal) -> list[str]:
    """The next bars, without what makes them colourful. What is being drawn already may still be as wide as it was to be before."""
    seen = len(terminal.shown)
    wait_until(lambda: terminal.shown.count(ERASED, seen) > 5 or None, "progress on the terminal")
    drawn = terminal.shown[seen:].split(ERASED)[2:-1]
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for one in drawn for line in one.splitlines()]
    return [line for line in lines if "━" in line]


def test_the_attack_succeeds_on_a_program_that_root_runs_as_postgres_itself() -> None:
    command = ["/usr/sbin/runuser", "--user", "postgres", "--", "/bin/sleep", "300"]
    with Terminal(command, {"PATH": "/usr/bin:/bin"}) as terminal:
        found = attacked(str(terminal.child("sleep")), TYPED)
        assert found["traced"] == 0
        assert found["terminal"] >= 0
        if typing_is_possible():
            assert found["typed"] == 0
            terminal.wait_for("id;")


@WAYS
def test_no_program_that_roots_pgkeeper_starts_can_type_into_roots_terminal(pgkeeper: Pgkeeper, shell: Sequence[str]) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling"), root_types(pgkeeper, "backup", "--database", "stalling", shell=shell) as terminal:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        found = attacked(str(terminal.child("pg_dump")), TYPED)
        # It is traced, and still has no terminal, neither open nor to open.
        assert found == {"traced": 0, "typed by 0": "ENOTTY", "typed by 1": "ENOTTY", "typed by 2": "ENOTTY", "terminal": "ENXIO"}
        assert "id;" not in terminal.shown


@WAYS
def test_roots_pgkeeper_cannot_be_traced_nor_looked_into_by_postgres(pgkeeper: Pgkeeper, shell: Sequence[str]) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling"), root_types(pgkeeper, "backup", "--database", "stalling", shell=shell) as terminal:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        pid = terminal.pgkeeper()
        assert attacked(str(pid), TYPED)["traced"] == "EPERM"
        assert {name: answer for name, answer in attacked(str(pid)).items() if answer not in ERRORS} == {}
        # Not even it has the terminal as its own, whatever may come to run in it.
        assert Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[4] == "0"
        # The same look at a program that anybody may look into succeeds.
        assert set(map(str, attacked(str(terminal.child("pg_dump"))).values())) & ERRORS == set()


@WAYS
def test_ctrl_c_ends_it_and_all_that_it_started(pgkeeper: Pgkeeper, shell: Sequence[str]) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling"), root_types(pgkeeper, "backup", "--database", "stalling", shell=shell) as terminal:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        dump = terminal.child("pg_dump")
        terminal.press("\x03")
        terminal.wait_for("stopped by SIGINT")
        terminal.wait_for("ended with 1") if shell else terminal.process.wait(60)
        assert not is_alive(dump)
        assert not pgkeeper.processes()
        assert not pgkeeper.debris()
    if not shell:
        assert terminal.process.returncode == 1


@WAYS
def test_progress_is_a_bar_drawn_again_and_again_in_its_place(pgkeeper: Pgkeeper, shell: Sequence[str]) -> None:
    pgkeeper.create_database("bulky", BULKY_SCRIPT)
    with root_types(pgkeeper, "backup", "--database", "bulky", shell=shell) as terminal:
        terminal.wait_for("ended with 0") if shell else terminal.process.wait(60)
        assert "━" in terminal.shown
        assert ERASED in terminal.shown
    assert len(pgkeeper.published()) == 1


@WAYS
def test_progress_is_drawn_as_wide_as_the_terminal_is_by_then(pgkeeper: Pgkeeper, shell: Sequence[str]) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with (
        stalled(pgkeeper.cluster, "stalling") as go_on,
        root_types(pgkeeper, "backup", "--database", "stalling", shell=shell) as terminal,
    ):
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        for columns in (COLUMNS, NARROW, COLUMNS):
            terminal.resize(columns)
            widths = {len(bar) for bar in bars_drawn_from_now_on(terminal)}
            assert max(widths) <= columns
            assert columns == NARROW or min(widths) > NARROW
        go_on()
        terminal.wait_for("ended with 0") if shell else terminal.process.wait(60)
    assert len(pgkeeper.published()) == 1


@WAYS
def test_ctrl_c_ends_it_also_after_the_terminal_was_resized(pgkeeper: Pgkeeper, shell: Sequence[str]) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with stalled(pgkeeper.cluster, "stalling"), root_types(pgkeeper, "backup", "--database", "stalling", shell=shell) as terminal:
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        for columns in (NARROW, COLUMNS, NARROW):
            terminal.resize(columns)
        dump = terminal.child("pg_dump")
        terminal.press("\x03")
        # In a narrow terminal the line is folded.
        wait_until(lambda: "stopped by SIGINT" in " ".join(terminal.shown.split()) or None, "its last word")
        terminal.wait_for("ended with 1") if shell else terminal.process.wait(60)
        assert not is_alive(dump)
        wait_until(lambda: not pgkeeper.processes() or None, "the end of all of it")
        assert not pgkeeper.debris()


def test_it_goes_on_in_the_background_of_roots_shell(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("small")
    with root_types(pgkeeper, "backup", "--database", "small", shell=IN_BACKGROUND) as terminal:
        terminal.wait_for("ended with 0")
    assert len(pgkeeper.published()) == 1


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGTERM, "stopped by SIGTERM"), (signal.SIGHUP, "stopped by SIGHUP"), (signal.SIGKILL, "")],
    ids=str,
)
def test_the_terminals_first_process_ends_with_its_work_and_the_work_with_it(pgkeeper: Pgkeeper, number: signal.Signals, said: str) -> None:
    pgkeeper.create_database("stalling", STALLED_SCRIPT)
    with (
        stalled(pgkeeper.cluster, "stalling"),
        # A hangup of the terminal, which follows the end of its first process, must not be what ends the work.
        root_types(pgkeeper, "backup", "--database", "stalling", shell=ALONE if said else IGNORING_HANGUPS) as terminal,
    ):
        wait_for_stalled_session(pgkeeper.cluster, "stalling")
        dump, work = terminal.child("pg_dump"), terminal.pgkeeper()
        os.kill(terminal.process.pid, number)
        terminal.wait_for(said)
        wait_until(lambda: (not is_alive(work) and not is_alive(dump)) or None, "the end of the work")
        terminal.process.wait(60)
        assert terminal.process.returncode == (-number if number == signal.SIGKILL else 1)
        wait_until(lambda: not pgkeeper.processes() or None, "the end of all of it")
        assert not pgkeeper.debris()
