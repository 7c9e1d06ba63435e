"""The record of marks: names in the log, for recoveries to them."""

from pathlib import Path

from pydantic import ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.restore_point import Mark, Marks
from pgkeeper.operations.pitr import pitr_state
from pgkeeper.settings import Settings


def read_marks(settings: Settings) -> Marks:
    """Return all marks. Raises OperationFailed when the record can't be read."""
    path = _path(settings)
    try:
        return Marks.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Marks()
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no record of marks"
        raise OperationFailed(f"cannot read {path}", reason or "", "move it away; marks are in the log all the same") from error


def add_mark(settings: Settings, mark: Mark) -> None:
    """Add a mark to the record, on disk when this returns. Raises OSError."""
    replace_file(_path(settings), Marks(marks=(*read_marks(settings).marks, mark)).model_dump_json(indent=2).encode())


def _path(settings: Settings) -> Path:
    return pitr_state(settings) / "marks.json"
