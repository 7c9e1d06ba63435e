"""Sending messages."""

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
