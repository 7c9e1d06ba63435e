"""Where recovered clusters lie that were made in a directory of somebody's choice: nothing else leads to them again."""

import hashlib
from pathlib import Path

from pgkeeper.host.durable import replace_file
from pgkeeper.model.errors import OperationFailed
from pgkeeper.operations.pitr import pitr_state
from pgkeeper.settings import Settings


def remember_place(settings: Settings, directory: Path) -> None:
    """Write down that a cluster is about to be recovered into a directory. Raises OperationFailed; nothing may be written there then."""
    if directory.parent == settings.pitr_dir:
        return
    record = _record(settings, directory)
    try:
        record.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(record, f"{directory}\n".encode())
    except OSError as error:
        raise OperationFailed(f"cannot write {record}", error.strerror or "") from error


def forget_place(settings: Settings, directory: Path) -> None:
    """Forget a directory that holds no recovered cluster any more. Safe to do twice."""
    _record(settings, directory).unlink(missing_ok=True)


def recovered_places(settings: Settings) -> tuple[Path, ...]:
    """Return each directory in which a recovered cluster may lie, or what is left of one."""
    own = settings.pitr_dir
    found = [path for path in sorted(own.iterdir()) if path.is_dir() and not path.is_symlink()] if own.is_dir() else []
    for record in sorted((pitr_state(settings) / "recovered").glob("*.path")):
        directory = Path(record.read_text(encoding="utf-8").rstrip("\n"))
        if directory.is_dir() and directory not in found:
            found.append(directory)
    return tuple(found)


def _record(settings: Settings, directory: Path) -> Path:
    return pitr_state(settings) / "recovered" / f"{hashlib.sha256(str(directory).encode()).hexdigest()[:24]}.path"
