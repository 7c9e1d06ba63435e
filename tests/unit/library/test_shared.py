"""What all modules share: getting into the payload, or saying that there is none, and asking it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

from pgkeeper.model.errors import RefusedError
from pgkeeper.settings import Settings


class Ended(Exception):
    """The module has ended."""


class FakeModule:
    """As much of AnsibleModule as is needed here."""

    def __init__(self, *, check_mode: bool = False, **params: object) -> None:
        self.check_mode = check_mode
        self.params = params
        self.result: dict[str, object] = {}
        self.warnings: list[str] = []

    def exit_json(self, **result: object) -> NoReturn:
        self.result = result
        raise Ended

    fail_json = exit_json

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    module = importlib.import_module("ansible.module_utils.pgkeeper_module")
    monkeypatch.setattr(module, "CURRENT", tmp_path / "current")
    monkeypatch.setattr("pgkeeper.host.user.become_service_user", lambda: None)
    monkeypatch.setattr("pgkeeper.settings.load_settings", lambda: Settings(state_dir=tmp_path))
    return module


def test_a_host_without_pgkeeper_is_an_error_that_names_the_playbook(shared: ModuleType) -> None:
    module = FakeModule()
    with pytest.raises(Ended):
        shared.enter(module, would="back up app", changed=True)
    assert "playbooks/deploy.yml" in str(module.result["msg"])
    assert module.result["exit_status"] == 3


def test_in_check_mode_it_says_what_would_be_done(shared: ModuleType) -> None:
    module = FakeModule(check_mode=True)
    with pytest.raises(Ended):
        shared.enter(module, would="back up app", changed=True)
    assert module.result["changed"] is True
    assert str(module.result["msg"]).endswith("would back up app")


def test_the_release_is_entered_and_not_the_link_to_it(shared: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "releases/1/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    shared.CURRENT.symlink_to("releases/1")
    entered: list[str] = []

    def respawn(path: str) -> NoReturn:
        entered.append(path)
        raise Ended

    monkeypatch.setattr(shared, "respawn_module", respawn)
    with pytest.raises(Ended):
        shared.enter(FakeModule(), would="", changed=False)
    assert entered == [str(python)]


def test_the_answer_comes_from_a_child_process(shared: ModuleType) -> None:
    answer = shared.ask(FakeModule(), lambda settings: {"pid": os.getpid(), "state": str(settings.state_dir)})
    assert answer["pid"] != os.getpid()


def test_what_the_payload_prints_does_not_get_into_the_modules_result(shared: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    def work(_settings: Settings) -> dict[str, Any]:
        os.write(1, b"noise")
        return {}

    shared.ask(FakeModule(), work)
    assert capfd.readouterr().out == ""


def test_an_error_of_pgkeeper_ends_the_module_with_its_line_and_status(shared: ModuleType) -> None:
    def work(_settings: Settings) -> dict[str, Any]:
        raise RefusedError("a database app exists", "a restore never overwrites one", "choose another name")

    module = FakeModule()
    with pytest.raises(Ended):
        shared.ask(module, work)
    assert module.result == {
        "msg": "a database app exists: a restore never overwrites one (choose another name)",
        "exit_status": 6,
    }


def test_an_unforeseen_error_is_named_without_its_text(shared: ModuleType) -> None:
    def work(_settings: Settings) -> dict[str, Any]:
        raise ValueError("password=hunter2")

    module = FakeModule()
    with pytest.raises(Ended):
        shared.ask(module, work)
    assert "ValueError in test_shared.py line" in str(module.result["msg"])
    assert "hunter2" not in str(module.result)


def test_a_child_that_dies_is_noticed(shared: ModuleType) -> None:
    module = FakeModule()
    with pytest.raises(Ended):
        shared.ask(module, lambda _settings: os._exit(9))
    assert "without an answer" in str(module.result["msg"])


WORK = """
import sys
from pathlib import Path
from pydantic import BaseModel
from pgkeeper.model.progress import NullProgress
from pgkeeper.operations.jobs import as_job
from pgkeeper.settings import Settings

class Report(BaseModel):
    pass

def work(progress):
    progress.phase("dump of app")
    sys.stdin.read()
    return Report()

as_job(Settings(state_dir=Path(sys.argv[1])), "backup", "j1", Report, NullProgress(), work)
"""


@contextmanager
def starting(shared: ModuleType, monkeypatch: pytest.MonkeyPatch, *command: str) -> Iterator[None]:
    """Let this be started as the detached job; it ends with the block."""
    started: list[subprocess.Popen[bytes]] = []

    def start(_job_id: str, _command: list[str], complaints: int) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=complaints))
        return started[0]

    monkeypatch.setattr(shared, "_start", start)
    try:
        yield
    finally:
        for process in started:
            process.communicate()


def test_a_detached_job_is_followed_by_the_catalog(shared: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = FakeModule(job="j1")
    with starting(shared, monkeypatch, sys.executable, "-c", WORK, str(tmp_path)):
        first = shared.run_detached(module, ["backup"])
        assert (first["changed"], first["job"]["state"]) == (True, "running")
        assert shared.run_detached(module, ["backup"])["changed"] is False
    again = shared.run_detached(module, ["backup"])
    assert (again["changed"], again["job"]["state"]) == (False, "done")


def test_detached_work_goes_on_unfollowed_without_a_catalog(shared: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "catalog.db").mkdir()
    module = FakeModule(job="j1")
    began = time.monotonic()
    with starting(shared, monkeypatch, "cat"):
        answer = shared.run_detached(module, ["backup"])
    assert time.monotonic() - began < 20
    assert answer["changed"] is True
    assert "job" not in answer
    assert "the work of j1 goes on, but it cannot be followed" in answer["msg"]
    assert module.warnings == [answer["msg"]]


def test_detached_work_that_cannot_start_says_why_also_without_a_catalog(
    shared: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "catalog.db").mkdir()
    module = FakeModule(job="j1")
    with starting(shared, monkeypatch, "bash", "-c", "echo no such option >&2; exit 2"), pytest.raises(Ended):
        shared.run_detached(module, ["backup"])
    assert module.result == {"msg": "the job j1 did not start: no such option", "exit_status": 2}
