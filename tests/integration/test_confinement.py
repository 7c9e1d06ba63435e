"""A confined program reads everything, and writes nowhere but where it may."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pgkeeper.host.confinement import confined, confinement_problem

from .support.user import run_as_service_user
from .support.waiting import wait_until
from .support.workspace import Workspace


def shell(script: str, writable: list[Path], instead: dict[Path, Path] | None = None) -> subprocess.CompletedProcess[str]:
    return run_as_service_user(confined(["/bin/sh", "-c", script], writable, instead))


def test_it_writes_to_its_own_places_and_to_no_other(workspace: Workspace) -> None:
    assert confinement_problem() == ""
    own, other = workspace.directory("confined-own"), workspace.directory("confined-other")
    (other / "there").write_text("read me")
    done = shell(f"cat {other}/there; echo mine >{own}/file; echo not mine >{other}/file", [own])
    assert done.stdout == "read me"
    assert "Read-only file system" in done.stderr
    assert (own / "file").read_text() == "mine\n"
    assert [path.name for path in other.iterdir()] == ["there"]
    assert "Read-only" in shell(f"chmod 700 {other}", [own]).stderr


def test_in_the_stead_of_a_place_it_finds_another(workspace: Workspace) -> None:
    own, other, link = workspace.directory("stead-own"), workspace.directory("stead-other"), workspace.path / "stead-link"
    link.symlink_to(other)
    (other / "there").write_text("not to be seen")
    done = shell(f"ls {link}; echo mine >{link}/file", [], {link: own})
    assert (done.returncode, done.stdout) == (0, "")
    assert (own / "file").read_text() == "mine\n"
    assert [path.name for path in other.iterdir()] == ["there"]


def test_what_it_starts_goes_on_confined_when_it_has_ended(workspace: Workspace) -> None:
    own, other = workspace.directory("on-own"), workspace.directory("on-other")
    wait = f"until [ -e {own}/go ]; do sleep 0.05; done; echo not mine >{other}/file 2>{own}/said; echo $? >{own}/status.new"
    done = shell(f"({wait}; mv {own}/status.new {own}/status) >/dev/null 2>&1 & echo started", [own])
    assert done.stdout == "started\n"
    (own / "go").touch()
    wait_until((own / "status").exists, "the end of what goes on")
    assert (own / "status").read_text() != "0\n"
    assert list(other.iterdir()) == []
