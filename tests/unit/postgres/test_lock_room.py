"""Room for the locks of a dump: what settings promise, what a try tells, and what is said where neither is enough."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
import pytest

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.lock_room import OF_CATALOGS, lock_warnings, require_lock_room

EACH, SESSIONS, USED = 64, 100, 400
SURE = EACH * SESSIONS - USED


class Answering:
    """A session of a server that holds `most` locks beside those in use."""

    def __init__(self, most: int = 0, relations: int = 0) -> None:
        self.tried: list[int] = []
        self._most = most
        self._relations = relations

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def execute(self, query: str, values: tuple[int, int] = (0, 0)) -> "Answering":
        if "advisory" in query:
            self.tried.append(values[1])
            if values[1] > self._most:
                raise psycopg.errors.OutOfMemory("out of shared memory")
        return self

    def fetchone(self) -> dict[str, Any]:
        return {"each": EACH, "sessions": SESSIONS, "used": USED, "relations": self._relations}


def require(session: Answering, needed: int) -> None:
    require_lock_room(session, needed - OF_CATALOGS)  # type: ignore[arg-type]


def test_what_the_settings_promise_is_not_tried() -> None:
    session = Answering()
    require(session, SURE)
    assert not session.tried


def test_spare_memory_is_tried_and_no_more_than_can_be_hoped_for() -> None:
    session = Answering(most=SURE + 1000)
    require(session, SURE + 1000)
    for needed in (SURE + 1001, 2 * SURE + 1001):
        with pytest.raises(OperationFailed, match="room for too few locks"):
            require(session, needed)
    assert session.tried == [SURE + 1000, SURE + 1001]


def test_what_is_said_is_enough() -> None:
    with pytest.raises(OperationFailed, match=r"max_locks_per_transaction = (\d+)`") as found:
        require(Answering(), 20_000)
    said = int(found.value.hint.split("= ")[1].split("`")[0])
    assert said * SESSIONS - USED > 20_000


def test_a_backup_warns_only_where_more_than_the_settings_promise_is_needed() -> None:
    assert not lock_warnings(Answering(relations=EACH * SESSIONS - OF_CATALOGS))  # type: ignore[arg-type]
    (warning,) = lock_warnings(Answering(relations=EACH * SESSIONS - OF_CATALOGS + 1))  # type: ignore[arg-type]
    assert "only sure to have 6400" in warning
