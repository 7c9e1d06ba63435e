"""Look for damage: in a repository, file by file; in the running cluster, page by page; and in what a repository brings back."""

import time
from typing import Literal

from pgkeeper.host.logs import log
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import ErrorInfo, IntegrityError, PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.pitr import pgbackrest, require_attached
from pgkeeper.operations.pitr_proof import prove_recovery
from pgkeeper.operations.places import server
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.operations.tell_owner import tell_pitr_failed
from pgkeeper.pgbackrest.verify import verify
from pgkeeper.postgres.amcheck import NOT_INSTALLED, amcheck, why_unsafe
from pgkeeper.postgres.facts import identify, list_databases
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings

_SHOWN = 5

PitrSubject = Literal["repository", "recovery", "database"]
_WORDS: dict[PitrSubject, str] = {"repository": "repository", "recovery": "what is recovered from", "database": "database"}


class PitrVerifyRequest(Message):
    """What is looked at: one repository, or the cluster alone (`source` None), or both; `live` is the cluster.

    `restore`: the cluster is also recovered from the repository, and looked into. `heap_all_indexed`: also whether each row of the running
    one is in each index.
    """

    source: RepositoryName | None = "local"
    live: bool = True
    restore: bool = False
    heap_all_indexed: bool = False


class PitrVerifyOutcome(Message):
    """How one thing was found: a repository, what was recovered from one, or a database of the running cluster.

    `skipped`: it was not looked at, for `reason`; of what was recovered the reason says what that was.
    """

    subject: PitrSubject
    name: str
    status: Literal["whole", "damaged", "failed", "skipped"]
    damages: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    error: ErrorInfo | None = None


class PitrVerifyReport(Message):
    """What was looked at, and how it was found."""

    outcomes: tuple[PitrVerifyOutcome, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 4 where something is damaged, else 0, or the status that all failures share."""
        if any(outcome.status == "damaged" for outcome in self.outcomes):
            return IntegrityError.exit_status
        return shared_status(outcome.error for outcome in self.outcomes)


def pitr_verify(request: PitrVerifyRequest, settings: Settings, progress: Progress) -> PitrVerifyReport:
    """Look for damage and tell the owner of what was found. What can't be looked at is in the report.

    Everything of the repository is read, from off site as well: that is paid for. Raises UsageError (exit status 2) for a repository that
    is not attached.
    """
    pgbackrest(settings)
    outcomes: list[PitrVerifyOutcome] = []
    if request.source is not None:
        require_attached(settings, request.source)
        outcomes.append(_repository(request.source, settings, progress))
        if request.restore:
            outcomes.append(_recovery(request.source, settings, progress))
    if request.live:
        outcomes += _cluster(request, settings, progress)
    problems = [str(outcome.error) for outcome in outcomes if outcome.error]
    warnings = tell_pitr_failed(problems, None, settings) if problems else ()
    return PitrVerifyReport(outcomes=tuple(outcomes), warnings=warnings)


def _repository(name: RepositoryName, settings: Settings, progress: Progress) -> PitrVerifyOutcome:
    began = time.monotonic()
    progress.phase(f"read everything in repository {name}")
    try:
        damages = verify(pgbackrest(settings), number_of(name), lambda _line: None)
    except Exception as error:  # noqa: BLE001 - one thing never stands in the way of the next
        return _failed("repository", name, error, began)
    hint = "make a full backup with `pgkeeper pitr backup --kind full`, and look at the disk"
    return _found("repository", name, damages, hint, began)


def _recovery(name: RepositoryName, settings: Settings, progress: Progress) -> PitrVerifyOutcome:
    began = time.monotonic()
    try:
        proof = prove_recovery(name, settings, progress)
    except IntegrityError as error:
        return _failed("recovery", name, error, began).model_copy(update={"status": "damaged", "damages": (error.why or error.what,)})
    except Exception as error:  # noqa: BLE001 - one thing never stands in the way of the next
        return _failed("recovery", name, error, began)
    unseen = f"; the pages of {', '.join(proof.unchecked)} could not be looked into: amcheck is not installed" if proof.unchecked else ""
    reason = f"{proof.target}, from backup {proof.backup}, within {format_duration(proof.seconds)}{unseen}"
    seconds = round(time.monotonic() - began, 2)
    return PitrVerifyOutcome(subject="recovery", name=name, status="whole", reason=reason, seconds=seconds)


def _cluster(request: PitrVerifyRequest, settings: Settings, progress: Progress) -> list[PitrVerifyOutcome]:
    reached = server(settings)
    outcomes = []
    try:
        with reached.connect_maintenance() as session, told("looking at the cluster"):
            require_superuser(session)
            major = identify(session).major
            names = settings.databases or list_databases(session)
    except PgkeeperError as error:
        return [_failed("database", "", error, time.monotonic())]
    for name in names:
        began = time.monotonic()
        try:
            with reached.connect(name, major=major) as session, told(f"looking at database {name}"):
                unsafe = why_unsafe(session)
            if unsafe != "":
                reason = NOT_INSTALLED if unsafe is None else unsafe
                outcomes.append(PitrVerifyOutcome(subject="database", name=name, status="skipped", reason=reason))
                continue
            progress.phase(f"check the pages of database {name}")
            damages = amcheck(reached, name, major, heap_all_indexed=request.heap_all_indexed)
            hint = "bring it back from before the damage, or rebuild the index that is named"
            outcomes.append(_found("database", name, damages, hint, began))
        except Exception as error:  # noqa: BLE001 - one database never stands in the way of the next
            outcomes.append(_failed("database", name, error, began))
    return outcomes


def _found(subject: PitrSubject, name: str, damages: tuple[str, ...], hint: str, began: float) -> PitrVerifyOutcome:
    seconds = round(time.monotonic() - began, 2)
    if not damages:
        return PitrVerifyOutcome(subject=subject, name=name, status="whole", seconds=seconds)
    more = f" and {len(damages) - _SHOWN} more" if len(damages) > _SHOWN else ""
    error = IntegrityError(f"{subject} {name} is damaged", "; ".join(damages[:_SHOWN]) + more, hint).info
    log.error("damage found", subject=subject, name=name, damages=list(damages))
    return PitrVerifyOutcome(subject=subject, name=name, status="damaged", damages=damages, seconds=seconds, error=error)


def _failed(subject: PitrSubject, name: str, error: Exception, began: float) -> PitrVerifyOutcome:
    found = as_error_info(error, f"looking for damage in {_WORDS[subject]} {name}")
    log.error("looking for damage failed", subject=subject, name=name, error=str(found))
    return PitrVerifyOutcome(subject=subject, name=name, status="failed", seconds=round(time.monotonic() - began, 2), error=found)
