"""Finds the commands that code and documentation tell people to run, and tries them on the command line's own parser."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from pgkeeper.cli.app import app

ROOT = Path(__file__).parents[2]
CLI: Any = typer.main.get_command(app)
USAGE_ERROR: Any = typer.BadParameter.__base__

_HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"
_VERBS = "|".join(sorted(CLI.commands))
_IN_TICKS = re.compile(r"`([^`]+)`")
_BARE = re.compile(rf"pgkeeper (?:{_VERBS})(?= |$)[^`;,()\n]*")


@dataclass(frozen=True)
class Printed:
    """A command in a string of the code; `holes` are the expressions that are filled in, each at a `_HOLE` of the text."""

    place: str
    text: str
    holes: tuple[ast.expr, ...]


def commands_in_code() -> Iterator[Printed]:
    """Yield each command that a string of the product holds: all in backticks that name a program of ours, and all calls of pgkeeper."""
    for path in sorted([*(ROOT / "src").rglob("*.py"), *ROOT.glob("library/*.py"), *ROOT.glob("module_utils/*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        pages = [node.value for node in tree.body if isinstance(node, ast.Assign)] if path.parent.name == "library" else []
        unsaid = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)} | {id(page) for page in pages}
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
        for node in ast.walk(tree):
            if id(node) in unsaid or id(node) in inside:
                continue
            if isinstance(node, ast.JoinedStr):
                values = node.values
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                values = [node]
            else:
                continue
            yield from _commands(f"{path.relative_to(ROOT)}:{node.lineno}", values)


def _commands(place: str, values: list[ast.expr]) -> Iterator[Printed]:
    text, holes = "", []
    for value in values:
        if isinstance(value, ast.FormattedValue):
            text += _HOLE
            holes.append(value.value)
        else:
            assert isinstance(value, ast.Constant)
            text += str(value.value)
    for start, end in _spans(text):
        first = text[:start].count(_HOLE)
        command = text[start:end].rstrip()
        # A string that is nothing but the call of a program is what it calls itself, in the server's log for one.
        if command == text and not holes:
            continue
        yield Printed(place, command, tuple(holes[first : first + command.count(_HOLE)]))


def _spans(text: str) -> Iterator[tuple[int, int]]:
    ticked = [found for found in _IN_TICKS.finditer(text) if found[1].startswith("pgkeeper ")]
    yield from (found.span(1) for found in ticked)
    for found in _BARE.finditer(text):
        if not any(tick.start() <= found.start() < tick.end() for tick in ticked):
            yield found.span()


def filled(command: Printed) -> str:
    """Return the command with a word in each hole that suits an id, a name, a store or a repository."""
    return command.text.replace(_HOLE, "cloud")


def leaves() -> dict[str, Any]:
    """Return each command by its whole name."""
    found: dict[str, Any] = {}
    pending = [("pgkeeper", CLI)]
    for name, command in pending:
        if hasattr(command, "commands"):
            pending += [(f"{name} {verb}", inner) for verb, inner in command.commands.items()]
        else:
            found[name] = command
    return found


def refused(command: str) -> str:
    """Return why the command line does not take this command, or nothing."""
    words = shlex.split(command, comments=True)
    try:
        context = CLI.make_context("pgkeeper", words[1:])
        group = CLI
        while hasattr(group, "commands"):
            rest = [*context._protected_args, *context.args]
            if not rest:
                break
            name, group, rest = group.resolve_command(context, rest)
            context = group.make_context(name, rest, parent=context)
    except typer.Exit:
        return ""
    except USAGE_ERROR as error:
        return str(error.format_message())
    return ""
