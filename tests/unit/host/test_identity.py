"""Who this host is."""

from pathlib import Path

import pytest

from pgkeeper.host import identity
from pgkeeper.model.errors import OperationFailed


def test_a_renamed_host_keeps_its_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "db1")
    assert identity.host_identity(tmp_path / "state") == "db1"
    monkeypatch.setattr("socket.gethostname", lambda: "db2")
    assert identity.host_identity(tmp_path / "state") == "db1"


def test_a_machine_without_an_id_makes_itself_one_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_MACHINE_ID", tmp_path / "none")
    first = identity.machine_id(tmp_path / "state")
    assert first
    assert identity.machine_id(tmp_path / "state") == first


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(OperationFailed, match="BACKUP_STATE_DIR"):
        identity.host_identity(tmp_path / "state")
