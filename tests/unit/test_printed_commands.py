"""Every command that pgkeeper prints can be pasted."""

import ast

import pytest

from tests.unit.printed_commands import Printed, commands_in_code, filled, refused

COMMANDS = tuple(commands_in_code())
NEED_NO_QUOTES = {"backup_id", "store", "source", "repository", "name"}
"""What is one plain word by its making: percent-encoded ids, and names of stores and repositories."""


def test_the_commands_are_found() -> None:
    assert len(COMMANDS) > 90


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.place)
def test_a_command_that_is_printed_is_one_that_the_command_line_takes(command: Printed) -> None:
    assert not refused(filled(command)), filled(command)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.holes], ids=lambda command: command.place)
def test_a_name_in_a_printed_command_is_quoted_for_the_shell(command: Printed) -> None:
    bare = [hole for hole in map(ast.unparse, command.holes) if not hole.startswith("quoted(")]
    assert {hole.rpartition(".")[2] for hole in bare} <= NEED_NO_QUOTES
