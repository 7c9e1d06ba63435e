"""Whether PostgreSQL itself answers, or a pooler before it."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from pgkeeper.model.errors import ConfigurationError
from pgkeeper.postgres.pooler import is_refusal, require_server, settings_in
from pgkeeper.postgres.server import pinned_options

OPTIONS = pinned_options(18) + r' -c search_path="$user",\ public'


@dataclass
class Answering:
    """A session that shows settings, from a process of the server."""

    shown: dict[str, str]
    pid: int = 7
    info: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(backend_pid=7))

    def execute(self, _query: str, values: tuple[list[str]]) -> "Answering":
        self.names = values[0]
        return self

    def fetchone(self) -> dict[str, Any]:
        return {"pid": self.pid, "shown": [self.shown[name] for name in self.names]}


def test_the_last_of_a_name_counts_and_blanks_are_unescaped() -> None:
    found = settings_in(OPTIONS)
    assert found["search_path"] == '"$user", public'
    assert found["default_transaction_isolation"] == "read committed"
    assert found["session_preload_libraries"] == ""


def test_a_server_that_keeps_what_was_asked_for_is_one() -> None:
    require_server(Answering({**settings_in(OPTIONS), "DateStyle": "ISO, DMY"}), OPTIONS, "here")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", settings_in(OPTIONS))
def test_each_setting_that_does_not_hold_is_named(name: str) -> None:
    session = Answering({**settings_in(OPTIONS), name: "else"})
    with pytest.raises(ConfigurationError, match=f"here is a connection pooler.*do not hold: {name} "):
        require_server(session, OPTIONS, "here")  # type: ignore[arg-type]


def test_another_process_than_the_one_that_was_reached_is_a_poolers() -> None:
    with pytest.raises(ConfigurationError, match="set PGHOST and PGPORT"):
        require_server(Answering(settings_in(OPTIONS), pid=8), OPTIONS, "here")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "poolers"),
    [
        ("FATAL: unsupported startup parameter: options", True),
        ("FATAL: unsupported startup parameter in options: bytea_output", True),
        ("FATAL: no such database: app", True),
        ('FATAL: database "app" does not exist', False),
        ('FATAL: unrecognized configuration parameter "pooler"', False),
    ],
)
def test_a_poolers_refusal_is_told_from_postgresqls(words: str, poolers: bool) -> None:
    assert is_refusal(words) is poolers
