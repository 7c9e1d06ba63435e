"""What the preflight says before anything changes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def postgresql() -> Iterator[int]:
    """Something that answers the question about TLS as PostgreSQL does; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"N" if connection.recv(8)[4:] == (80877103).to_bytes(4, "big") else b"?")

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


def test_a_server_that_answers_is_no_problem(probe: ModuleType, postgresql: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "user", object)
    assert list(probe.about_postgresql({"pg_host": "127.0.0.1", "pg_port": postgresql})) == []


def test_a_host_without_the_user_is_told_how_to_make_it(probe: ModuleType, postgresql: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "user", lambda: None)
    (line,) = probe.about_postgresql({"pg_host": "127.0.0.1", "pg_port": postgresql})
    assert "postgresql-common" in line


def test_no_server_is_said_in_one_line_with_what_to_do(probe: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "local_ports", list)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        (line,) = probe.about_postgresql({"pg_host": "127.0.0.1", "pg_port": reserved.getsockname()[1]})
    assert line.startswith("no PostgreSQL server answers at 127.0.0.1 port ")
    assert "apt install postgresql" in line
    assert "\n" not in line


def test_a_server_on_another_port_is_pointed_at(probe: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(probe, "local_ports", lambda: [5433])
    (line,) = probe.about_postgresql({"pg_host": str(tmp_path), "pg_port": 5432})
    assert "5433: set pgkeeper_pg_port" in line


def test_something_else_on_the_port_is_no_postgresql(probe: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(8)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert not probe.answers("127.0.0.1", server.getsockname()[1])


@pytest.mark.parametrize("path", ["/", "/home", "/var", "/var/backups", "/var/lib/postgresql", "/tmp", "/etc"])
def test_a_directory_of_the_system_is_not_taken_over(probe: ModuleType, path: str) -> None:
    (line,) = probe.about_a_directory(path)
    assert "belongs to the system" in line


@pytest.mark.parametrize("path", ["backups", "/srv/../etc", "/srv/backups/", "", "/srv//backups"])
def test_only_plain_absolute_paths_are_taken(probe: ModuleType, path: str) -> None:
    (line,) = probe.about_a_directory(path)
    assert "is not a plain absolute path" in line


def test_a_link_to_a_directory_of_the_system_is_not_taken_over(probe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert "belongs to the system" in next(probe.about_a_directory(str(tmp_path / "link")))


def test_a_data_directory_of_postgresql_is_no_place_for_backups(probe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("15\n")
    assert "no place" in next(probe.about_a_directory(str(tmp_path / "backups")))


def test_somebody_elses_files_are_not_taken_over(probe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "user", lambda: type("Account", (), {"pw_uid": os.getuid() + 1}))
    monkeypatch.setattr(probe, "user_can_enter", lambda _path: True)
    assert list(probe.about_a_directory(str(tmp_path))) == []
    (tmp_path / "letter").touch()
    assert "holds files" in next(probe.about_a_directory(str(tmp_path)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as another user")
def test_a_parent_that_postgres_cannot_pass_is_named(probe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    monkeypatch.setattr(probe, "USER", "nobody")
    monkeypatch.setattr(probe, "user", lambda: pwd.getpwnam("nobody"))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for parent in [tmp_path, *tmp_path.parents[:-2]]:
        parent.chmod(parent.stat().st_mode | 0o001)
    (line,) = probe.about_a_directory(str(closed / "backups"))
    assert line.startswith(f"user postgres cannot pass through {closed} ")
    closed.chmod(0o711)
    assert list(probe.about_a_directory(str(closed / "backups"))) == []


def test_directories_inside_one_another_are_refused(probe: ModuleType, tmp_path: Path) -> None:
    wanted = {"directories": [str(tmp_path / "a"), str(tmp_path / "a/b"), str(tmp_path / "c")]}
    lines = [line for line in probe.about_directories(wanted) if "in one another" in line]
    assert len(lines) == 1


def test_too_little_space_is_said_with_what_was_asked_for(probe: ModuleType, tmp_path: Path) -> None:
    lines = list(probe.about_room({"directories": [str(tmp_path / "not/there/yet")], "min_free": 1 << 60}))
    assert "pgkeeper_min_free" in lines[0]


@pytest.mark.parametrize(("version", "fits"), [((3, 9), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_the_python_must_be_one_that_pgkeeper_runs_on(
    probe: ModuleType, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], *, fits: bool
) -> None:
    monkeypatch.setattr(probe.sys, "version_info", version)
    said = [line for line in probe.about_the_system() if "Python" in line]
    assert (said == []) == fits
