"""Two deployments at once do not get in each other's way, and none removes what is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

# Takes the lock, starts a child that has it too, says so, and ends when its standard input does.
HOLDER = """
import subprocess, sys
sys.path.insert(0, {files!r})
import releases
from pathlib import Path
with releases.alone(Path({place!r})) as held:
    subprocess.Popen(["cat"], pass_fds=(held,))
    print("held", flush=True)
    sys.stdin.read()
"""


def release(place: Path, name: str) -> Path:
    path = place / "releases" / name
    path.mkdir(parents=True)
    (path / ".complete").touch()
    return path


def prune(releases: ModuleType, place: Path, *kept: Path, dry: bool = False) -> list[str]:
    removed: list[str] = releases.prune(place / "releases", list(kept), dry=dry)
    return [Path(path).name for path in removed]


def test_a_second_deployment_waits_and_says_so_when_it_gives_up(releases: ModuleType, tmp_path: Path) -> None:
    with releases.alone(tmp_path):
        with pytest.raises(releases.Failed, match="another deployment") as caught, releases.alone(tmp_path, seconds=1):
            pass
        assert "\n" not in str(caught.value)


def test_what_a_killed_deployment_has_started_is_waited_for(releases: ModuleType, root: Path, tmp_path: Path) -> None:
    code = HOLDER.format(files=str(root / "roles/pgkeeper/files"), place=str(tmp_path))
    reading, writing = os.pipe()
    with subprocess.Popen([sys.executable, "-c", code], stdin=reading, stdout=subprocess.PIPE) as holder:
        os.close(reading)
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait()
        with pytest.raises(releases.Failed), releases.alone(tmp_path, seconds=1):
            pass
        os.close(writing)  # the child reads the same pipe to its end
        with releases.alone(tmp_path, seconds=60):
            pass


def test_a_complete_release_is_not_made_again(releases: ModuleType, tmp_path: Path) -> None:
    assert releases.make(release(tmp_path, "1.0"), tmp_path, []) is False


def test_a_step_that_fails_leaves_no_stamp_and_says_why_in_one_line(releases: ModuleType, tmp_path: Path) -> None:
    new = tmp_path / "releases" / "2.0"
    with pytest.raises(releases.Failed, match=r"installing the locked dependencies failed: .*runtime\.lock") as caught:
        releases.make(new, tmp_path, ["--no-index"])
    assert "\n" not in str(caught.value)
    assert new.exists()
    assert not (new / ".complete").exists()


def test_older_releases_go(releases: ModuleType, tmp_path: Path) -> None:
    first, second, third = (release(tmp_path, name) for name in ("1.0", "2.0", "3.0"))
    assert prune(releases, tmp_path, third, second, dry=True) == ["1.0"]
    assert first.exists()
    assert prune(releases, tmp_path, third, second) == ["1.0"]
    assert [path.exists() for path in (first, second, third)] == [False, True, True]


def test_what_another_deployment_has_switched_to_stays(releases: ModuleType, tmp_path: Path) -> None:
    mine, before, others = (release(tmp_path, name) for name in ("2.0", "1.0", "3.0"))
    (tmp_path / "current").symlink_to("releases/3.0")
    assert prune(releases, tmp_path, mine, before) == []
    assert others.exists()


def test_a_release_that_a_process_runs_from_stays(releases: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = release(tmp_path, "1.0")
    (tmp_path / "proc" / "17").mkdir(parents=True)
    (tmp_path / "proc" / "17" / "maps").write_text(f"7f0 r-xp 0 08:01 42 {old}/lib/x.so\n")
    monkeypatch.setattr(releases, "PROC", tmp_path / "proc")
    assert prune(releases, tmp_path) == []
    (tmp_path / "proc" / "17" / "maps").write_text(f"7f0 r-xp 0 08:01 42 {old}1/lib/x.so\n")
    assert prune(releases, tmp_path) == ["1.0"]


def test_where_there_is_no_release_yet_nothing_is_removed(releases: ModuleType, tmp_path: Path) -> None:
    assert prune(releases, tmp_path) == []
