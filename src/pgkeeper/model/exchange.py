"""The exchange of a cluster's files for others: renames, in an order that no crash makes a mixture of.

The data directory goes first and comes last, so a server that is started between finds none, and does not run on half of each.
"""

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Place(BaseModel):
    """One directory of a cluster: where production has it, where the coming one waits, and where production's will be kept.

    `lost`: production has none any more that could be kept.
    """

    model_config = ConfigDict(frozen=True)

    used: str
    coming: str
    kept: str
    lost: bool = False


class Move(BaseModel):
    """A rename."""

    model_config = ConfigDict(frozen=True)

    source: str
    target: str

    @property
    def back(self) -> "Move":
        """The rename that takes it back."""
        return Move(source=self.target, target=self.source)


def exchange(data: Place, tablespaces: Sequence[Place]) -> tuple[Move, ...]:
    """Return the renames that put what is coming in the place of what is used."""
    inner = [move for place in tablespaces for move in (*_out(place), _in(place))]
    return (*_out(data), *inner, _in(data))


def _out(place: Place) -> tuple[Move, ...]:
    return () if place.lost else (Move(source=place.used, target=place.kept),)


def _in(place: Place) -> Move:
    return Move(source=place.coming, target=place.used)


Stand = Literal["before", "between", "after"]


def stand(moves: Sequence[Move], exists: Callable[[str], bool]) -> tuple[Stand, int]:
    """Return how far an exchange came, and how many of its renames are done.

    They are taken one after the other, so those that are done are the first ones. Raises ValueError when the directories are not as any of
    them left them: somebody else was there.
    """
    for done in range(len(moves), -1, -1):
        if all(exists(path) == there for path, there in _after(moves, done).items()):
            return ("before" if done == 0 else "after" if done == len(moves) else "between"), done
    raise ValueError("directories are missing, or there are some that should not be")


def _after(moves: Sequence[Move], done: int) -> dict[str, bool]:
    """Return which paths are there once so many renames are done."""
    there: dict[str, bool] = {}
    for move in moves:
        there.setdefault(move.source, True)
        there.setdefault(move.target, False)
    for move in moves[:done]:
        there[move.source], there[move.target] = False, True
    return there


def kept_directory(data: str, stamp: str, kind: Literal["before", "after", "next"]) -> str:
    """Return where a data directory is kept, or waits: beside production's, so that a rename is enough."""
    path = PurePath(data)
    return str(path.with_name(f"{path.name}.{kind}-{stamp}"))


def kept_tablespace(location: str, stamp: str, kind: Literal["before", "after", "next"]) -> str:
    """Return where a tablespace's files are kept, or wait: within its location, since its parent may be somebody else's."""
    return str(PurePath(location) / f".pgkeeper-{kind}-{stamp}")


def kept_by(moves: Sequence[Move]) -> tuple[str, ...]:
    """Return where the renames of an exchange have put what production used before: the data directory's place first, where it had one."""
    filled = {move.target for move in moves}
    return tuple(move.target for move in moves if move.source in filled)
