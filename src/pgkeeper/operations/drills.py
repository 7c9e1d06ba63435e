"""The protocols of drills: one file each, kept for good, since they are what is shown when somebody asks."""

from pathlib import Path

from pydantic import ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.logs import log
from pgkeeper.model.drill import require_drill_id
from pgkeeper.model.errors import OperationFailed, UsageError
from pgkeeper.operations.drill_report import DrillReport
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings


class DrillList(Message):
    """Drills that were made on this host, the last first."""

    drills: tuple[DrillReport, ...]


def keep_drill(report: DrillReport, settings: Settings) -> tuple[str, ...]:
    """Write a protocol. Returns a warning where that can't be done: the drill was made all the same."""
    path = _path(settings, report.drill_id)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(path, report.model_dump_json(indent=1).encode() + b"\n")
    except OSError as error:
        log.error("the protocol of a drill could not be kept", path=str(path), error=error.strerror)
        return (f"the protocol could not be kept in {path}: {error.strerror}",)
    return ()


def list_drills(settings: Settings) -> DrillList:
    """Return all drills that were made here. A protocol that can't be read is left out, and the log names it."""
    found = []
    for path in _directory(settings).glob("drill-*.json"):
        try:
            found.append(_read(path))
        except OperationFailed as error:
            log.warning("the protocol of a drill cannot be read", path=str(path), error=str(error))
    return DrillList(drills=tuple(sorted(found, key=lambda report: report.started_at, reverse=True)))


def one_drill(settings: Settings, drill_id: str) -> DrillReport:
    """Return one protocol. Raises UsageError (exit status 2) when there is none, OperationFailed when it can't be read."""
    path = _path(settings, require_drill_id(drill_id))
    if not path.exists():
        raise UsageError(f"there is no drill {drill_id}", "", "`pgkeeper drill list` shows them")
    return _read(path)


def _read(path: Path) -> DrillReport:
    try:
        return DrillReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise OperationFailed(f"cannot read {path}", error.strerror or "", "it must belong to postgres") from error
    except ValidationError as error:
        raise OperationFailed(
            f"{path} cannot be understood", "it has another form", "it may be from another version of pgkeeper"
        ) from error


def _path(settings: Settings, drill_id: str) -> Path:
    return _directory(settings) / f"{drill_id}.json"


def _directory(settings: Settings) -> Path:
    return settings.state_dir / "drills"
