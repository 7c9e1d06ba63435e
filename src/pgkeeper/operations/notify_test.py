"""Find out, before it matters, whether messages reach the owner."""

from datetime import UTC, datetime

from pgkeeper.model.errors import ConfigurationError, OperationFailed
from pgkeeper.notify.messages import test_message
from pgkeeper.notify.send import send
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings


class NotifyReport(Message):
    """To how many addresses the message was handed over."""

    sent: int


def notify_test(settings: Settings) -> NotifyReport:
    """Send a test message everywhere. Raises ConfigurationError when there is nowhere, OperationFailed naming what could not be reached."""
    if not settings.notify_urls:
        raise ConfigurationError("nobody is told when a backup fails", "BACKUP_NOTIFY_URLS is empty", "set it to an address of yours")
    problems = send(test_message(settings.project_name, datetime.now(UTC)), [url.get_secret_value() for url in settings.notify_urls])
    if problems:
        raise OperationFailed("not every address was reached", "; ".join(problems), "check BACKUP_NOTIFY_URLS")
    return NotifyReport(sent=len(settings.notify_urls))
