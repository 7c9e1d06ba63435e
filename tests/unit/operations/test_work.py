"""What a command does for each backup does not grow with their number: with 20,000, whatever looks at all of them for each takes hours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COUNTS = (40, 80, 160)
Counted = dict[int, dict[str, dict[str, int]]]
COMMANDS = pytest.mark.parametrize("command", ["list", "status", "expire --dry-run", "doctor", "sync"])


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """The work of each command, by the number of backups."""
    found = {}
    for count in COUNTS:
        directory = tmp_path_factory.mktemp(f"work-{count}")
        done = subprocess.run(
            [sys.executable, "-m", "tests.unit.operations.work_counted", str(directory), str(count)],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found[count] = json.loads(done.stdout)
    return found


@COMMANDS
@pytest.mark.parametrize("kind", ["files", "directories", "calls", "requests"])
def test_twice_as_many_backups_are_no_more_than_twice_the_work(counted: Counted, command: str, kind: str) -> None:
    few, some, many = (counted[count][command].get(kind, 0) for count in COUNTS)
    # Whatever is done once for all falls out of the differences: of work for each backup the second is twice the first, of its square four
    # times.
    assert many - some <= 2.2 * (some - few) + 10, f"{kind}: {few}, {some}, {many} for {COUNTS} backups"


@COMMANDS
def test_no_backup_takes_many_files(counted: Counted, command: str) -> None:
    few, _, many = (counted[count][command].get("files", 0) for count in COUNTS)
    assert many - few <= 20 * (COUNTS[-1] - COUNTS[0])


@COMMANDS
def test_the_bucket_is_listed_and_not_asked_for_each_copy(counted: Counted, command: str) -> None:
    few, _, many = (counted[count][command].get("requests", 0) for count in COUNTS)
    assert many - few <= 2, "five objects a copy: these are three pages at most"


def test_something_is_counted(counted: Counted) -> None:
    for command, work in counted[COUNTS[-1]].items():
        assert work["calls"] > COUNTS[-1], command
        assert work["files"] > 0, command
    assert counted[COUNTS[-1]]["status"]["files"] >= COUNTS[-1]
    assert counted[COUNTS[-1]]["sync"]["requests"] > 0
