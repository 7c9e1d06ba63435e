"""A real SMTP server in this process, which keeps what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from .ports import free_port


class Mailbox:
    """What came in; a handler in aiosmtpd's sense."""

    def __init__(self, port: int) -> None:
        self.messages: list[EmailMessage] = []
        self.logins: list[tuple[str, str]] = []
        self.port = port

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take a message in."""
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"

    def authenticate(
        self,
        _server: SMTP,
        _session: Session,
        _envelope: Envelope,
        _mechanism: str,
        data: Any,  # noqa: ANN401 - aiosmtpd's own looseness
    ) -> AuthResult:
        """Let everybody in, and remember as whom."""
        if isinstance(data, LoginPassword):
            self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=True)

    def body(self) -> str:
        """The text of the only message."""
        (message,) = self.messages
        part = message.get_body(("plain",)) or message.get_body(("html",))
        assert part is not None
        return str(part.get_content())

    def subject(self) -> str:
        """The subject of the only message, decoded."""
        (message,) = self.messages
        return str(message["subject"])


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Run the server on a free port of 127.0.0.1 for the length of the block."""
    mailbox = Mailbox(free_port())
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=mailbox.port,
        auth_require_tls=False,
        authenticator=mailbox.authenticate,
        ready_timeout=10,
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
