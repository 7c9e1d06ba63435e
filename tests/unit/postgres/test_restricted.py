r"""Of psql's commands only `\restrict` and its end stand in a dump."""

from collections import deque

import pytest

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.dump_reader import DumpReader
from pgkeeper.postgres.restricted import Restricted
from tests.unit.postgres.dumps import HEAD, TAIL, chunks


def take(*commands: bytes) -> None:
    restricted = Restricted()
    for command in commands:
        restricted.take(command)


@pytest.mark.parametrize("commands", [(), (b"\\restrict aB3\n",), (b"\\restrict aB3\n", b"\\unrestrict aB3\n"), (b"\\restrict a\r\n",)])
def test_what_pg_dump_writes_is_taken(commands: tuple[bytes, ...]) -> None:
    take(*commands)


@pytest.mark.parametrize(
    "commands",
    [
        (b"\\! id\n",),
        (b"\\connect other\n",),
        (b"\\copy t from program 'id'\n",),
        (b"\\restrict a \\! id\n",),
        (b"\\restrict\n",),
        (b"\\unrestrict a\n",),
        (b"\\restrict a\n", b"\\unrestrict b\n"),
        (b"\\restrict a\n", b"\\restrict a\n"),
        (b"\\restrict a\n", b"\\unrestrict a\n", b"\\restrict a\n"),
    ],
)
def test_any_other_command_is_refused(commands: tuple[bytes, ...]) -> None:
    with pytest.raises(IntegrityError, match="a psql command stands"):
        take(*commands)


@pytest.mark.parametrize("command", [b"\\! id\n", b"\\connect other\n", b"\\unrestrict AbC123\n\\! id\n", b"\\! " + b"x" * 100_000 + b"\n"])
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_a_dump_with_another_command_is_not_understood(command: bytes, size: int) -> None:
    reader = DumpReader()
    with pytest.raises(IntegrityError, match="a psql command stands"):
        deque(event for piece in chunks(HEAD + command + TAIL, size) for event in reader.feed(piece))


def test_a_command_at_the_very_end_is_not_passed_over() -> None:
    reader = DumpReader()
    list(reader.feed(HEAD + TAIL + b"\\! id"))
    with pytest.raises(IntegrityError, match="a psql command stands"):
        reader.finish()
