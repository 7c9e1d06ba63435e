"""Sending messages."""

import http.server
import json
import socket
import threading
from typing import Any

import pytest

from pgkeeper.notify.messages import Message
from pgkeeper.notify.send import public_name, send

SECRET = "s3cr3t-t0ken"
MESSAGE = Message("subject", "text")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"mailto://user:{SECRET}@smtp.example.com?to=me@example.com", "mailto://smtp.example.com"),
        (f"tgram://{SECRET}/12345", "tgram://…"),
        (f"slack://{SECRET}/b/c", "slack://…"),
        (SECRET, "?://…"),
    ],
)
def test_addresses_are_named_without_their_secrets(url: str, name: str) -> None:
    assert public_name(url) == name


def test_an_unknown_address_is_a_line_not_an_error() -> None:
    (problem,) = send(MESSAGE, [f"nosuch://{SECRET}"])
    assert "does not know" in problem
    assert SECRET not in problem


def test_one_dead_address_does_not_hide_another(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    problems = send(MESSAGE, [f"json://user:{SECRET}@127.0.0.1:9/x", f"json://127.0.0.1:9/{SECRET}"])
    assert len(problems) == 2
    captured = capfd.readouterr()
    assert SECRET not in caplog.text + captured.out + captured.err + str(problems)


def test_every_message_names_its_host_in_subject_and_text() -> None:
    received: list[dict[str, Any]] = []

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert send(MESSAGE, [f"json://127.0.0.1:{server.server_port}/"]) == []
        thread.join()
    assert received[0]["title"] == f"subject on {socket.gethostname()}"
    assert received[0]["message"].splitlines() == [f"From host: {socket.gethostname()}", "text"]
