"""The command line as a whole."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from pgkeeper.cli.app import app, run


def test_the_version_is_told_without_importing_a_library() -> None:
    code = "import sys; sys.argv = ['pgkeeper', '--version']; from pgkeeper.__main__ import main; main(); print(sorted(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert output.startswith("pgkeeper ")
    assert not {"typer", "pydantic", "psycopg", "rich"} & set(output.split("'"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["backup", "--nope"],
        ["nope"],
        ["verify", "--level", "deep"],
        ["restore"],
        ["restore", "--replace"],
        ["restore", "latest", "--undo"],
        ["restore", "latest", "--replace", "--to", "x"],
        ["backup", "--wait", "5 parsecs"],
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("pgkeeper: ")
    assert error.count("\n") == 1
    assert "--help" in error


def test_with_json_a_failure_is_a_document_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pgkeeper.host.user.become_service_user", lambda: None)
    monkeypatch.setenv("PGKEEPER_ENV_FILE", str(tmp_path / "none"))
    assert run(["list", "--json"]) == 3
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["schema"] == "pgkeeper.error/1"
    assert document["error"]["exit_status"] == 3
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["backup", "-h"], ["notify", "--help"]])
def test_help_is_help_not_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    assert "Usage: " in capsys.readouterr().out


def test_an_unforeseen_error_is_one_line_without_a_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("pgkeeper.host.user.become_service_user", explode)
    assert run(["list"]) == 1
    assert capsys.readouterr().err == (
        "pgkeeper: pgkeeper failed: an unforeseen ZeroDivisionError: boom (the log holds the details; please report it)\n"
    )


def _helps(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from _helps(command, (*path, name))


def test_help_cuts_no_summary_and_names_each_default_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    for path in _helps(typer.main.get_command(app)):
        assert run([*path, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "..." not in said.replace("]...", "]"), path
        assert "[default: (" not in said, path
