"""The modules: their documentation, what they hand to the command line, and what they say."""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
import yaml

MODULES = sorted(path.stem for path in (Path(__file__).parents[3] / "library").glob("*.py"))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


class Asked(Exception):
    """What a module asks Ansible for when it begins."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__()
        self.spec = spec

    @classmethod
    def begin(cls, argument_spec: dict[str, Any], **_: object) -> NoReturn:
        """In the place of AnsibleModule."""
        raise cls(argument_spec)


def real_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The options that Ansible gets to see, whatever the module calls them."""
    monkeypatch.setattr(module(name), "AnsibleModule", Asked.begin)
    with pytest.raises(Asked) as caught:
        module(name).main()
    return copy.deepcopy(caught.value.spec)


def documented(options: dict[str, Any]) -> dict[str, Any]:
    """What documentation says of options, in the words of an argument spec."""
    return {
        option: {
            **{key: value for key, value in facts.items() if key not in {"description", "suboptions", "version_added"}},
            **({"options": documented(facts["suboptions"])} if "suboptions" in facts else {}),
        }
        for option, facts in options.items()
    }


def promised(spec: dict[str, Any]) -> dict[str, Any]:
    """An argument spec without what documentation has no word for: what is kept out of logs."""
    return {
        option: {
            **{key: value for key, value in facts.items() if key not in {"no_log", "options"}},
            **({"options": promised(facts["options"])} if "options" in facts else {}),
        }
        for option, facts in spec.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_every_option_is_documented_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert documented(yaml.safe_load(module(name).DOCUMENTATION)["options"]) == promised(real_spec(name, monkeypatch))


@pytest.mark.parametrize("name", MODULES)
def test_what_is_secret_and_nothing_else_is_kept_out_of_logs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {option for option in real_spec(name, monkeypatch) if re.search("pass(word|phrase)|secret|token|key", option)}
    hidden = {option for option, facts in real_spec(name, monkeypatch).items() if facts.get("no_log")}
    assert hidden == secret


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(more={"type": "str"}),
        lambda spec: spec.pop("level"),
        lambda spec: spec["level"].update(type="int"),
        lambda spec: spec["level"].update(default="restore"),
        lambda spec: spec["level"].pop("default"),
        lambda spec: spec["level"]["choices"].append("none"),
        lambda spec: spec["level"].update(required=True),
        lambda spec: spec["level"].update(aliases=["depth"]),
        lambda spec: spec["databases"].update(elements="raw"),
        lambda spec: spec["level"].update(options={"depth": {"type": "int"}}),
    ],
    ids=["more", "fewer", "type", "default", "no default", "choices", "required", "aliases", "elements", "suboptions"],
)
def test_a_difference_between_documentation_and_options_is_noticed(
    change: Callable[[dict[str, Any]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = real_spec("pgkeeper_verify", monkeypatch)
    change(spec)
    assert documented(yaml.safe_load(module("pgkeeper_verify").DOCUMENTATION)["options"]) != promised(spec)


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
    given = {name: option.get("default") for name, option in module("pgkeeper_verify").ARGUMENTS.items()}
    command_line = module("pgkeeper_verify").command_line
    local = command_line({**given, "backup": "-x-20260301T030000Z"})
    assert local == ["verify", "--level=contents", "--from=local", "--", "-x-20260301T030000Z"]
    off_site = command_line({**given, "source": "cloud", "host": "db1"})
    assert off_site == ["verify", "--level=contents", "--from=cloud", "--host=db1", "--", "latest"]


def test_a_restore_is_asked_for_as_given() -> None:
    assert module("pgkeeper_restore").command_line(wish(database="-x", source="cloud", host="db1")) == [
        "restore",
        "--request-id=a b",
        "--database=-x",
        "--from=cloud",
        "--host=db1",
        "--",
        "latest",
    ]


def wish(**params: object) -> dict[str, Any]:
    """Parameters of pgkeeper_restore as Ansible hands them over."""
    given = {name: option.get("default") for name, option in module("pgkeeper_restore").ARGUMENTS.items()}
    return {**given, "request_id": "a b", **params}


def test_a_replacement_is_asked_for_with_the_word_that_was_given() -> None:
    assert module("pgkeeper_restore").command_line(wish(replace=True, confirmation="restore", backup="-x-20260301T030000Z")) == [
        "restore",
        "--request-id=a b",
        "--from=local",
        "--replace",
        "--confirm=restore",
        "--",
        "-x-20260301T030000Z",
    ]


def test_an_undoing_is_asked_for_without_a_backup() -> None:
    assert module("pgkeeper_restore").command_line(wish(undo=True, confirmation="RESTORE", database="app")) == [
        "restore",
        "--request-id=a b",
        "--database=app",
        "--undo",
        "--confirm=RESTORE",
    ]


def test_a_drill_is_asked_for_as_given() -> None:
    params: dict[str, Any] = {"host": None, "source": "cloud", "databases": [], "keep": False, "trust_database": False}
    command_line = module("pgkeeper_drill").command_line
    assert command_line(params) == ["drill", "run", "--from=cloud"]
    params |= {"host": "-db1", "source": "replica", "databases": ["-x"], "keep": True, "trust_database": True}
    assert command_line(params) == ["drill", "run", "--from=replica", "--host=-db1", "--database=-x", "--keep", "--trust-database"]


@pytest.mark.parametrize(
    ("keep", "stays"),
    [(False, ""), (True, "app_drill: restored from app-1\n")],
    ids=["dropped", "kept"],
)
def test_the_difference_a_drill_makes_is_its_time_and_what_stays(*, keep: bool, stays: str) -> None:
    plan = {"host": "db1", "last": None, "databases": [{"target": "app_drill", "backup_id": "app-1"}]}
    found = module("pgkeeper_drill").difference(plan, keep=keep)
    assert found["after"] == "last drill of db1: now\n" + stays
    assert found["before"] == "last drill of db1: none here\n" + ("app_drill: no such database\n" if keep else "")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, ""),
        ({"to": "copy"}, ""),
        ({"replace": True}, ""),
        ({"replace": True, "to": "copy"}, "to and replace exclude one another"),
        ({"undo": True, "to": "copy"}, "to and undo exclude one another"),
        ({"replace": True, "undo": True}, "replace and undo exclude one another"),
    ],
)
def test_what_cannot_be_had_together_is_said(params: dict[str, Any], said: str) -> None:
    assert module("pgkeeper_restore").contradiction(wish(**params)) == said


@pytest.mark.parametrize("option", ["replace", "undo"])
def test_without_the_word_nothing_is_replaced_or_undone(option: str) -> None:
    assert (option, True, ("confirmation",)) in module("pgkeeper_restore").RULES["required_if"]


@pytest.mark.parametrize(
    ("plan", "before", "after"),
    [
        ({"target": "copy", "backup_id": "b"}, "copy: no such database\n", "copy: restored from b\n"),
        ({"database": "app", "backup_id": "b"}, "app: as it is now\n", "app: restored from b\n"),
        ({"database": "app", "undone": "r"}, "app: as r left it\n", "app: as before r\n"),
    ],
    ids=["beside", "replace", "undo"],
)
def test_the_difference_is_whose_data_the_database_holds(plan: dict[str, Any], before: str, after: str) -> None:
    difference = module("pgkeeper_restore").difference
    assert difference({**plan, "would_change": True}) == {"before": before, "after": after}
    assert difference({**plan, "would_change": False}) == {"before": after, "after": after}


def recovery(**params: object) -> dict[str, Any]:
    """Parameters of pgkeeper_pitr as Ansible hands them over."""
    given = {name: option.get("default") for name, option in module("pgkeeper_pitr").ARGUMENTS.items()}
    return {**given, "request_id": "a b", **params}


def test_a_recovery_is_asked_for_as_given() -> None:
    params = recovery(
        target_time="2026-03-01 12:00+01", exclusive=True, timeline=2, backup="20260301-030002F", source="cloud", to_dir="/srv/a b",
        exports=["public.t", "-x"], database="-d",
    )  # fmt: skip
    assert module("pgkeeper_pitr").command_line(params) == [
        "pitr",
        "restore",
        "--request-id=a b",
        "--target-time=2026-03-01 12:00+01",
        "--timeline=2",
        "--backup=20260301-030002F",
        "--to-dir=/srv/a b",
        "--exclusive",
        "--from=cloud",
        "--database=-d",
        "--export=public.t",
        "--export=-x",
    ]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"target_name": "-m"}, "--target-name=-m"),
        ({"target_xid": 0}, "--target-xid=0"),
        ({"target_lsn": "0/0"}, "--target-lsn=0/0"),
        ({"immediate": True}, "--immediate"),
        ({"latest": True}, "--latest"),
    ],
)
def test_each_target_is_asked_for_as_given(params: dict[str, Any], said: str) -> None:
    command_line = module("pgkeeper_pitr").command_line
    assert command_line(recovery(**params)) == ["pitr", "restore", "--request-id=a b", said, "--from=local"]
    replacing = command_line(recovery(**params, replace=True, confirmation="restore"))
    assert replacing == ["pitr", "restore", "--request-id=a b", said, "--from=local", "--replace", "--confirm=restore"]


def test_undoing_a_recovery_is_asked_for_without_a_target() -> None:
    assert module("pgkeeper_pitr").command_line(recovery(undo=True, confirmation="RESTORE")) == [
        "pitr",
        "undo",
        "--request-id=a b",
        "--confirm=RESTORE",
    ]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"latest": True}, ""),
        ({"target_xid": 0}, ""),
        ({"undo": True}, ""),
        ({}, "say to which moment: one of target_time, target_name, target_xid, target_lsn, immediate, latest"),
        ({"target_time": ""}, "say to which moment: one of target_time, target_name, target_xid, target_lsn, immediate, latest"),
        ({"latest": True, "target_name": "m"}, "target_name and latest exclude one another"),
        ({"undo": True, "latest": True, "replace": True}, "undo excludes latest and replace"),
        ({"undo": True, "exports": ["t"]}, "undo excludes exports"),
        ({"latest": True, "replace": True, "to_dir": "/x"}, "replace excludes to_dir"),
    ],
)
def test_what_cannot_be_recovered_so_is_said(params: dict[str, Any], said: str) -> None:
    assert module("pgkeeper_pitr").contradiction(recovery(**params)) == said


@pytest.mark.parametrize("option", ["replace", "undo"])
@pytest.mark.parametrize("word", [None, "", "restore", "yes"])
def test_without_the_word_no_cluster_is_replaced_or_put_back(option: str, word: str | None) -> None:
    unconfirmed = module("pgkeeper_pitr").unconfirmed
    assert option in unconfirmed(recovery(**{option: True}, confirmation=word))
    assert unconfirmed(recovery(**{option: True}, confirmation="RESTORE")) == ""
    assert unconfirmed(recovery(confirmation=word)) == ""


@pytest.mark.parametrize(
    ("plan", "before", "after"),
    [
        ({"directory": "/d", "target": "T"}, "/d: no cluster\n", "/d: the cluster, recovered to T\n"),
        ({"data_directory": "/p", "target": "T"}, "production: as it is now\n", "production: recovered to T\n"),
        ({"data_directory": "/p", "undone": "r"}, "production: as r left it\n", "production: as before r\n"),
    ],
    ids=["beside", "replace", "undo"],
)
def test_the_difference_is_what_directory_or_production_hold(plan: dict[str, Any], before: str, after: str) -> None:
    difference = module("pgkeeper_pitr").difference
    assert difference({**plan, "would_change": True}) == {"before": before, "after": after}
    assert difference({**plan, "would_change": False}) == {"before": after, "after": after}


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


def test_what_fails_besides_the_databases_is_said_last() -> None:
    error = {"what": "the bucket changed", "why": "", "hint": "", "exit_status": 4}
    report = {"outcomes": [{"database": "b", "status": "done"}], "error": error}
    assert module("ansible.module_utils.pgkeeper_module").failures(report) == "the bucket changed"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"archived": True, "archive_problem": "", "backup": "20260301-030002F"}, ""),
        ({"archived": False, "archive_problem": "no space left", "backup": "20260301-030002F"}, "is not archived: no space left"),
        ({"archived": True, "archive_problem": "", "backup": None}, "there is no full backup"),
    ],
)
def test_a_cluster_that_cannot_be_recovered_again_is_a_failure(facts: dict[str, Any], said: str) -> None:
    failures = module("ansible.module_utils.pgkeeper_module").failures
    for changed in (True, False):
        assert said in failures({**facts, "changed": changed})
        assert bool(failures({**facts, "changed": changed})) == bool(said)


def test_a_failure_in_a_repository_is_said_with_its_name() -> None:
    error = {"what": "cannot be used", "why": "", "hint": "", "exit_status": 1}
    report = {"outcomes": [{"repository": "cloud", "error": error}, {"repository": "local", "error": None}]}
    assert module("ansible.module_utils.pgkeeper_module").failures(report) == "cloud: cannot be used"


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["verify", "--level=contents", "--", "-x-1"], ["verify", "--job", "a", "--json", "--level=contents", "--", "-x-1"]),
        (["drill", "run", "--from=cloud"], ["drill", "run", "--job", "a", "--json", "--from=cloud"]),
        (["drill", "run"], ["drill", "run", "--job", "a", "--json"]),
    ],
    ids=["one word", "two words", "words alone"],
)
def test_a_detached_job_is_named_after_the_commands_words(arguments: list[str], called: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shared = module("ansible.module_utils.pgkeeper_module")
    commands: list[list[str]] = []

    class Begun(Exception):
        """The command would have been started."""

    def start(_job_id: str, command: list[str], _complaints: object) -> NoReturn:
        commands.append(command)
        raise Begun

    monkeypatch.setattr(shared, "_job", lambda _module, _job_id: (None, ""))
    monkeypatch.setattr(shared, "_start", start)
    asking = type("Asking", (), {"params": {"job": "a"}})()
    with pytest.raises(Begun):
        shared.run_detached(asking, arguments)
    assert commands[0][1:] == called


def test_a_failure_is_said_as_the_command_line_says_it() -> None:
    error = {"what": "cannot connect", "why": "refused", "hint": "start it", "exit_status": 1}
    report = {"outcomes": [{"database": "app", "status": "failed", "error": error}, {"database": "b", "status": "done"}]}
    assert module("ansible.module_utils.pgkeeper_module").failures(report) == "app: cannot connect: refused (start it)"
