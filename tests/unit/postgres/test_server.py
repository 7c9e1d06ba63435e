"""Reaching a server."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgkeeper.postgres.server import Server, pinned_options


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
