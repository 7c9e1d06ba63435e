"""What the owner reads: subject and text of each message, in the strategy's templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from pgkeeper.model.counts import count
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import ErrorInfo, IntegrityError
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.shell import quoted
from pgkeeper.model.sizes import format_size

_TIME = "%Y-%m-%d %H:%M:%S UTC"
_templates = Environment(  # noqa: S701 - plain text, nothing to escape
    loader=PackageLoader("pgkeeper.notify"), undefined=StrictUndefined, keep_trailing_newline=True
)


@dataclass(frozen=True)
class Message:
    """One message: a subject line and plain text."""

    subject: str
    text: str

    def sent_by(self, host: str) -> "Message":
        """Return the message with the host that it comes from in subject and text: several hosts may share a project's name."""
        return Message(f"{self.subject} on {host}", f"From host: {host}\n{self.text}")


def backup_failed(
    project: str,
    console_url: str,
    failures: Mapping[str, ErrorInfo],
    tried: int,
    last_good: Sequence[Manifest],
    now: datetime,
) -> Message:
    """Return the strategy's "Backup Alert".

    `failures` maps databases to their errors, of `tried` databases in all; `last_good` holds the manifests of the newest good backup and
    the one before it, as far as there are any.
    """
    hints = dict.fromkeys(error.hint for error in failures.values() if error.hint)
    text = _templates.get_template("backup_failed.txt.j2").render(
        databases=list(failures),
        tried=tried,
        now=now.astimezone(UTC).strftime(_TIME),
        errors=[error.model_copy(update={"hint": ""}) for error in failures.values()],
        last_backup=_age(last_good, now),
        size=_size(last_good),
        action="; ".join(hints) or "Check the log of pgkeeper and run `pgkeeper doctor`",
        link=_link(console_url),
    )
    return Message(f"⚠️ {project} - Backup Alert", text)


def check_failed(project: str, console_url: str, failures: Mapping[str, ErrorInfo], now: datetime) -> Message:
    """Return the alert about backups that failed a check, or could not be checked; `failures` maps their ids to what was found."""
    damaged = any(error.exit_status == IntegrityError.exit_status for error in failures.values())
    hints = dict.fromkeys(error.hint for error in failures.values() if error.hint)
    text = _templates.get_template("check_failed.txt.j2").render(
        backups=list(failures),
        damaged=damaged,
        now=now.astimezone(UTC).strftime(_TIME),
        errors=[error.model_copy(update={"hint": ""}) for error in failures.values()],
        action="; ".join(hints) or "Check the log of pgkeeper and run `pgkeeper doctor`",
        link=_link(console_url),
    )
    return Message(f"⚠️ {project} - Backup Check Alert", text)


def sync_failed(project: str, console_url: str, store: str, problems: Sequence[str], now: datetime) -> Message:
    """Return the alert about copies that could not be made in `store`, or are not there any more."""
    text = _templates.get_template("sync_failed.txt.j2").render(
        store=store, problems=problems, now=now.astimezone(UTC).strftime(_TIME), link=_link(console_url)
    )
    return Message(f"⚠️ {project} - Cloud Sync Alert", text)


def pitr_failed(project: str, console_url: str, problems: Sequence[str], hours_left: float | None, now: datetime) -> Message:
    """Return the alert about recovery to any second: what endangers it, and in how many hours the log's disk is full, if it fills."""
    text = _templates.get_template("pitr_failed.txt.j2").render(
        problems=problems,
        hours=format_duration(hours_left * 3600) if hours_left is not None else "",
        now=now.astimezone(UTC).strftime(_TIME),
        link=_link(console_url),
    )
    return Message(f"⚠️ {project} - Point-in-Time Recovery Alert", text)


def database_replaced(project: str, database: str, backup_id: str, kept_as: str, downtime: float, rows: int, now: datetime) -> Message:
    """Return the notice that a database was replaced by a backup; `downtime` in seconds."""
    return Message(
        f"✅ {project} - Restore Completed",
        f"Database: {database}\n\n"
        f"Status: ✅ RESTORED\n"
        f"Time: {now.astimezone(UTC).strftime(_TIME)}\n"
        f"Backup: {backup_id}, {count(rows, 'row')}\n"
        f"Downtime: {format_duration(downtime)}\n\n"
        f"The database as it was before is kept as {kept_as}.\n"
        f"To go back: pgkeeper restore --undo --database {quoted(database)} --confirm RESTORE\n",
    )


def drill_done(
    project: str,
    what: tuple[str, str, str],
    databases: Mapping[str, ErrorInfo | None],
    error: ErrorInfo | None,
    times: tuple[float | None, float | None],
    now: datetime,
) -> Message:
    """Return the notice of a drill, passed or failed.

    `what` is whose copies were drilled, on which host, and the drill's id; `databases` maps what was drilled to what went wrong with it;
    `error` is what went wrong besides; `times` are the seconds a recovery took, and how old the data was.
    """
    host, drilled_on, drill_id = what
    passed = error is None and not any(databases.values())
    recovery, age = (format_duration(seconds) if seconds is not None else "unknown" for seconds in times)
    text = _templates.get_template("drill_done.txt.j2").render(
        host=host,
        drilled_on=drilled_on,
        drill_id=drill_id,
        passed=passed,
        databases=databases,
        error=error,
        recovery=recovery,
        age=age,
        now=now.astimezone(UTC).strftime(_TIME),
    )
    return Message(f"{'✅' if passed else '⚠️'} {project} - Disaster Recovery Drill {'Passed' if passed else 'Failed'}", text)


def test_message(project: str, now: datetime) -> Message:
    """Return the message of `pgkeeper notify test`."""
    return Message(
        f"✅ {project} - pgkeeper can reach you",
        f"This is a test. Messages about failed backups will arrive here.\n\nTime: {now.astimezone(UTC).strftime(_TIME)}\n",
    )


def _link(console_url: str) -> str:
    return f"{console_url}/database/backups" if console_url else ""


def _age(last_good: Sequence[Manifest], now: datetime) -> str:
    if not last_good:
        return "none"
    at = last_good[0].started_at
    return f"{format_duration((now - at).total_seconds())} ago ({last_good[0].database.name}, {at.astimezone(UTC).strftime(_TIME)})"


def _size(last_good: Sequence[Manifest]) -> str:
    if not last_good:
        return "unknown"
    size = last_good[0].database.size_bytes
    if len(last_good) < 2:
        return f"{format_size(size)} at the last backup"
    growth = size - last_good[1].database.size_bytes
    return f"{format_size(size)} at the last backup ({'+' if growth >= 0 else '-'}{format_size(abs(growth))} since the one before)"
