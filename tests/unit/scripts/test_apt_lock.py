"""What the scripts of the checkout do while another program holds apt's lock."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3] / "scripts/lib/checkout.sh"


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the real apt-get keeps its lists, with no sources to ask; returns their lock."""
    places = {"State::Lists": "lists", "Etc::SourceList": "none", "Etc::SourceParts": "parts", "Cache": "cache"}
    (tmp_path / "apt.conf").write_text("".join(f'Dir::{name} "{tmp_path / place}";\n' for name, place in places.items()), encoding="utf-8")
    for place in ("lists/partial", "parts", "cache/archives/partial"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return tmp_path / "lists/lock"


def update() -> subprocess.Popen[str]:
    script = f"SCRIPT=test; . {CHECKOUT}; apt_get apt-get update"
    return subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_scripts_wait_for_apts_lock_and_say_so(lists: Path) -> None:
    with lists.open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        with update() as running:
            assert running.stdout is not None
            assert "another program holds apt's lock" in running.stdout.readline()
            assert running.poll() is None
            fcntl.lockf(lock, fcntl.LOCK_UN)
            assert running.stdout.read() == ""
    assert running.returncode == 0


def test_another_failure_of_apt_is_shown_at_once(lists: Path) -> None:
    (lists.parent.parent / "none").write_text("nonsense\n", encoding="utf-8")
    with update() as running:
        assert running.stdout is not None
        assert "sources could not be read" in running.stdout.read()
    assert running.returncode == 1
