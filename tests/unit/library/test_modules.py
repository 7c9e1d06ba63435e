"""The modules: their documentation, what they hand to the command line, and what they say."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
import yaml

MODULES = ["pgkeeper_backup", "pgkeeper_info", "pgkeeper_restore", "pgkeeper_verify"]


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_every_option_is_documented_as_it_is(name: str) -> None:
    documented = yaml.safe_load(module(name).DOCUMENTATION)["options"]
    described = {option: {key: value for key, value in facts.items() if key != "description"} for option, facts in documented.items()}
    assert described == module(name).ARGUMENTS


@pytest.mark.parametrize("name", MODULES)
def test_examples_and_results_are_documented(name: str) -> None:
    assert all(name in task for task in yaml.safe_load(module(name).EXAMPLES)[:1])
    for entry in yaml.safe_load(module(name).RETURN).values():
        assert {"description", "returned", "type"} <= entry.keys()


@pytest.mark.parametrize("name", MODULES)
def test_check_and_diff_mode_are_declared(name: str) -> None:
    attributes = yaml.safe_load(module(name).DOCUMENTATION)["attributes"]
    assert attributes["check_mode"]["support"] == "full"
    assert attributes["diff_mode"]["support"] == ("none" if name == "pgkeeper_info" else "full")


def test_a_backup_is_asked_for_as_given() -> None:
    params: dict[str, Any] = {"databases": ["-x", "a b"], "max_age": "24h", "wait": "2h"}
    assert module("pgkeeper_backup").command_line(params) == [
        "backup",
        "--wait=2h",
        "--if-older-than=24h",
        "--database=-x",
        "--database=a b",
    ]


def test_a_check_is_asked_for_as_given() -> None:
    params: dict[str, Any] = {"backup": "-x-20260301T030000Z", "databases": [], "level": "contents", "max_age": None}
    assert module("pgkeeper_verify").command_line(params) == ["verify", "--level=contents", "--", "-x-20260301T030000Z"]


def test_a_restore_is_asked_for_as_given() -> None:
    params = {"backup": "latest", "database": "-x", "to": None, "request_id": "a b", "trust_database": False}
    assert module("pgkeeper_restore").command_line(params) == ["restore", "--request-id=a b", "--database=-x", "--", "latest"]


def job(**values: object) -> dict[str, Any]:
    return {"state": "running", "phase": "dump of app", "done_bytes": 0, "total_bytes": None, **values}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"phase": ""}, "starting"),
        ({}, "dump of app"),
        ({"done_bytes": 1500}, "dump of app, 2 kB"),
        ({"done_bytes": 420_000_000, "total_bytes": 1_000_000_000}, "dump of app, 42 % of 1.0 GB"),
        ({"done_bytes": 3000, "total_bytes": 2000}, "dump of app, 99 % of 2 kB"),
        ({"done_bytes": 0, "total_bytes": 0}, "dump of app"),
        ({"state": "failed"}, "failed"),
    ],
)
def test_progress_is_one_line_for_people(values: dict[str, Any], said: str) -> None:
    assert module("pgkeeper_info").progress(job(**values)) == said


def test_news_is_an_end_a_phase_or_a_tenth() -> None:
    is_news = module("pgkeeper_info").is_news
    before = job(done_bytes=11, total_bytes=100)
    assert not is_news(before, job(done_bytes=19, total_bytes=100))
    assert is_news(before, job(done_bytes=20, total_bytes=100))
    assert is_news(before, job(phase="read back app"))
    assert is_news(before, job(done_bytes=11, total_bytes=100, state="done"))


def test_a_failure_is_said_as_the_command_line_says_it() -> None:
    error = {"what": "cannot connect", "why": "refused", "hint": "start it", "exit_status": 1}
    report = {"outcomes": [{"database": "app", "status": "failed", "error": error}, {"database": "b", "status": "done"}]}
    assert module("ansible.module_utils.pgkeeper_module").failures(report) == "app: cannot connect: refused (start it)"
