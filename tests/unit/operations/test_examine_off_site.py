"""A store off site is tried within a minute, whatever it does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pgkeeper.operations import examine_off_site as operation
from pgkeeper.operations.examine_off_site import examine_off_site
from pgkeeper.settings import load_settings

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n"


@contextmanager
def server(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """Serve every connection in a thread for the length of the block, and yield the address."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connections.append(listener.accept()[0])
                    threading.Thread(target=answer, args=(connections[-1],), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with suppress(OSError):
                connection.recv(65536)
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                connection.close()


def says_nothing(_connection: socket.socket) -> None:
    time.sleep(30)


def trickles_headers(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def trickles_a_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 500 no\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("serve", "doing"), [(says_nothing, "ask for the time"), (trickles_headers, "ask for the time"), (trickles_a_body, "write an object")]
)
def test_a_store_that_does_not_come_to_an_end_is_told_in_time(
    serve: Callable[[socket.socket], object], doing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "_SECONDS", 3.0)
    (tmp_path / "state").mkdir()
    with server(serve) as address:
        settings = load_settings({
            "PGKEEPER_ENV_FILE": "/dev/null", "BACKUP_DIR": str(tmp_path / "backups"), "BACKUP_STATE_DIR": str(tmp_path / "state"),
            "BACKUP_CLOUD_ENABLED": "true", "BACKUP_CLOUD_PROVIDER": "backblaze", "BACKUP_CLOUD_ENDPOINT_URL": address,
            "BACKUP_ENCRYPTION_KEY": "Zq3vX9kL0pWm7RtYb2Nc5HsJd8Gf1Ae4UoQiBxTzMw=",
            "BACKBLAZE_BUCKET_NAME": "copies", "BACKBLAZE_KEY_ID": "id", "BACKBLAZE_APPLICATION_KEY": "key",
        })  # fmt: skip
        began = time.monotonic()
        (finding,) = examine_off_site(settings)
        assert time.monotonic() - began < 10
    assert (finding.level, finding.subject) == ("problem", "cloud")
    assert f"copies at {address} did not answer within 3 seconds: {doing}" in finding.text
