"""What a proof that failed says about the backup."""

from pathlib import Path

import pytest

from pgkeeper.model.errors import (
    BusyError,
    ConfigurationError,
    IntegrityError,
    OperationFailed,
    PgkeeperError,
    RefusedError,
    UncheckedError,
    is_damage,
)
from pgkeeper.model.manifest import GLOBALS_FILE
from pgkeeper.model.progress import NullProgress
from pgkeeper.operations.failed_proof import ContentsDifferError, RestoreDiffersError, examined, found_by
from pgkeeper.stores.local_copy import LocalCopy
from tests.unit.operations.backups import a_store, publish
from tests.unit.postgres.dumps import Dump


def said(error: Exception, backup: LocalCopy) -> Exception:
    return examined(error, backup, backup.manifest(), NullProgress())


def test_a_server_that_fails_says_nothing_about_a_backup_whose_contents_are_right(tmp_path: Path) -> None:
    backup = publish(a_store(tmp_path))
    found = said(OperationFailed("the proof was given up", "the disk is nearly full", "free some space"), backup)
    assert isinstance(found, OperationFailed)
    assert not is_damage(found)
    assert "its checksums and contents are right" in str(found)


def test_a_restore_that_differs_is_told_apart_from_wrong_contents(tmp_path: Path) -> None:
    backup = publish(a_store(tmp_path))
    found = said(IntegrityError("what was restored differs", "schema"), backup)
    assert isinstance(found, RestoreDiffersError)
    assert "keep it" in found.hint
    assert "delete" not in str(found)
    assert found_by(found, "restore") == ("restore", True)


@pytest.mark.parametrize("error", [OperationFailed("a row could not be loaded"), IntegrityError("what was restored differs")])
def test_wrong_contents_are_damage_whatever_the_restore_said(tmp_path: Path, error: PgkeeperError) -> None:
    changed, promised = (Dump(tables=[(b"public.t", [b"1", row])]).text() for row in (b"3", b"2"))
    found = said(error, publish(a_store(tmp_path), dump=changed, promised=promised))
    assert isinstance(found, ContentsDifferError)
    assert found.exit_status == IntegrityError.exit_status
    assert "public.t" in str(found)
    assert found_by(found, "restore") == ("contents", None)


def test_a_wrong_byte_in_any_file_is_damage_whatever_the_restore_said(tmp_path: Path) -> None:
    backup = publish(a_store(tmp_path))
    file = backup.path / GLOBALS_FILE
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = said(OperationFailed("roles could not be made"), backup)
    assert isinstance(found, ContentsDifferError)
    assert GLOBALS_FILE in str(found)


@pytest.mark.parametrize("kind", [RefusedError, ConfigurationError, BusyError, UncheckedError])
def test_what_the_host_or_its_settings_refuse_is_said_as_it_is(tmp_path: Path, kind: type[PgkeeperError]) -> None:
    backup = publish(a_store(tmp_path))
    (backup.path / GLOBALS_FILE).unlink()
    error = kind("no sandbox can be had")
    assert said(error, backup) is error
