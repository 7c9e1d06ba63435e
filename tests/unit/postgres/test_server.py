"""Reaching a server."""

import signal
import socket
import threading
from types import FrameType

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.server import RecoveryConflictError, Server, pinned_options, told


@pytest.mark.parametrize("name", ["app", "host=/x", "a b", "it's", "back\\slash", 'Ü"; rm -rf', "-x", "..", "postgresql://evil/"])
def test_a_database_name_never_becomes_a_connection_string(name: str) -> None:
    assert conninfo_to_dict(Server({}).target(name)) == {"dbname": name}


def test_programs_get_nothing_of_our_environment_but_where_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKUP_NOTIFY_URLS", "secret")
    environment = Server({"PGHOST": "/run", "PGDATESTYLE": "SQL", "PGOPTIONS": "-c role=x", "PGDATABASE": "x"}).environment(15)
    assert environment["PGHOST"] == "/run"
    assert not {"BACKUP_NOTIFY_URLS", "PGDATESTYLE", "PGDATABASE"} & set(environment)
    assert environment["PGOPTIONS"] == pinned_options(15)


def test_only_settings_the_server_knows_are_pinned() -> None:
    assert "transaction_timeout" not in pinned_options(16)
    assert "transaction_timeout" in pinned_options(17)
    assert "session_replication_role" not in pinned_options(17, ordinary=True)


def test_what_a_standbys_replay_ended_may_be_tried_again_and_says_what_to_set() -> None:
    with pytest.raises(RecoveryConflictError, match=r"looking failed: .*hot_standby_feedback = on"), told("looking"):
        raise psycopg.errors.SerializationFailure("terminating connection due to conflict with recovery")
    with pytest.raises(OperationFailed) as found, told("looking"):
        raise psycopg.errors.SerializationFailure("could not serialize access due to concurrent update")
    assert not isinstance(found.value, RecoveryConflictError)


def test_a_login_that_is_interrupted_is_over_at_once() -> None:
    """Not only when whoever handles the interruption is done: what it does may wait for the session's end."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with socket.create_server(("127.0.0.1", 0)) as silent:
        before = signal.signal(signal.SIGUSR1, interrupt)
        main = threading.main_thread().ident
        assert main is not None
        said: list[bytes] = []
        lines: list[socket.socket] = []

        def serve() -> None:
            line, _address = silent.accept()
            lines.append(line)
            said.append(line.recv(1024))
            signal.pthread_kill(main, signal.SIGUSR1)

        server = threading.Thread(target=serve)
        server.start()
        try:
            Server({"PGHOST": "127.0.0.1", "PGPORT": str(silent.getsockname()[1]), "PGSSLMODE": "disable"}).connect("app")
        except KeyboardInterrupt:
            lines[0].settimeout(10)
            assert lines[0].recv(1024) == b""
        finally:
            signal.signal(signal.SIGUSR1, before)
            server.join()
            lines[0].close()
        assert said
