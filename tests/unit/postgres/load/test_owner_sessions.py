"""Sessions of owners are broken off by one thread while another works with them, or is just done with them."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.load import owner_sessions
from pgkeeper.postgres.load.owner_sessions import OwnerSessions
from pgkeeper.postgres.server import Session


class FakeSession:
    """A session that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_only_the_last_few_stay_open() -> None:
    opened: list[FakeSession] = []

    def connect(_owner: str | None) -> Session:
        opened.append(FakeSession())
        return cast("Session", opened[-1])

    sessions = OwnerSessions(connect)
    for owner in ("anna", "ben", "anna", "carl", "dora", "emil"):
        sessions.of(owner)
    assert [session.closed for session in opened] == [False, True, False, False, False]
    sessions.close()
    assert all(session.closed for session in opened)


def test_breaking_off_and_being_done_at_the_same_moment_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = OwnerSessions(lambda _owner: cast("Session", FakeSession()))
    for owner in ("anna", "ben", "carl"):
        sessions.of(owner)
    closing: list[threading.Thread] = []
    was_cut: list[Any] = []

    def cut(session: Session) -> None:
        # Whoever worked with it notices, and ends all the others.
        was_cut.append(session)
        closing.append(threading.Thread(target=sessions.close))
        closing[-1].start()
        closing[-1].join(0.1)

    monkeypatch.setattr(owner_sessions, "cut", cut)
    sessions.break_off()
    for thread in closing:
        thread.join()
    assert len(was_cut) == 3
    with pytest.raises(OperationFailed, match="was stopped"):
        sessions.of("anna")
