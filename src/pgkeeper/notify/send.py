"""Sending messages through Apprise: email, Telegram, Slack and a hundred others, each named by a URL.

URLs hold secrets: whatever is said about one names only its scheme and host.
"""

import logging
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from pgkeeper.notify.messages import Message

_SILENT = logging.CRITICAL + 1


def send(message: Message, urls: Sequence[str]) -> list[str]:
    """Send `message`, with this host's name in subject and text, to each URL.

    Returns a line for each that could not be reached (nothing when all were). Apprise bounds each connection to a few seconds. What it
    logs is not passed on, since it may quote URLs.
    """
    import apprise

    logging.getLogger("apprise").setLevel(_SILENT)
    named = message.sent_by(socket.gethostname())
    problems = []
    for number, url in enumerate(urls, start=1):
        target = apprise.Apprise()
        if not target.add(url):
            problems.append(f"notification {number} ({public_name(url)}): Apprise does not know such an address")
        elif not target.notify(title=named.subject, body=named.text, body_format=apprise.NotifyFormat.TEXT):
            problems.append(f"notification {number} ({public_name(url)}): could not be delivered")
    return problems


def public_name(url: str) -> str:
    """Return scheme and host of a notification URL; some schemes (Telegram) carry secrets as host, so only mail and web keep it."""
    parts = urlsplit(url)
    if parts.scheme in ("mailto", "mailtos", "http", "https", "json", "jsons") and parts.hostname:
        return f"{parts.scheme}://{parts.hostname}"
    return f"{parts.scheme or '?'}://…"
