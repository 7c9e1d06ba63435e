"""Files with secrets in them."""

import os
from pathlib import Path

import pytest

from pgkeeper.crypto.secret_file import read_secret_file
from pgkeeper.model.errors import ConfigurationError
from tests.unit.crypto.keys import secret_file


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_ours_alone_is_read(tmp_path: Path, mode: int) -> None:
    assert read_secret_file(secret_file(tmp_path / "key", b"secret", mode), "BACKUP_X") == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path / "key", b"secret", mode)
    with pytest.raises(ConfigurationError, match=f"BACKUP_X .*chmod 600 {path}") as caught:
        read_secret_file(path, "BACKUP_X")
    assert caught.value.exit_status == 3


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "directory").mkdir(mode=0o700)
    for name, why in (
        ("pipe", "no regular file"),
        ("directory", "no regular file"),
        ("missing", "No such file"),
        ("pipe/below", "Not a dir"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            read_secret_file(tmp_path / name, "BACKUP_X")
    with pytest.raises(ConfigurationError, match="no regular file"):
        read_secret_file(Path("/dev/null"), "BACKUP_X")


def test_whose_file_it_is_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = secret_file(tmp_path / "key", b"secret")
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigurationError, match=f"user id {path.stat().st_uid}"):
        read_secret_file(path, "BACKUP_X")


def test_a_file_of_root_is_read_by_whoever_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = secret_file(tmp_path / "key", b"secret")
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert read_secret_file(path, "BACKUP_X") == b"secret"


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    (tmp_path / "directory").mkdir(mode=0o700)
    for path in (tmp_path / "directory", secret_file(tmp_path / "others", b"secret", 0o644)):
        with pytest.raises(ConfigurationError):
            read_secret_file(path, "BACKUP_X")
    read_secret_file(secret_file(tmp_path / "key", b"secret"), "BACKUP_X")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
