"""Keys that the host makes for itself."""

import os
import stat
import threading
from pathlib import Path

import pytest

from pgkeeper.host.own_key import existing_key, own_key
from pgkeeper.host.seal import host_seal
from pgkeeper.model.errors import OperationFailed


def test_a_key_is_made_once_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "some.key"
    assert existing_key(path) is None
    assert not path.parent.exists()
    key = own_key(path)
    assert len(key) == 32
    assert key == own_key(path) == existing_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["some.key"]


def test_of_two_who_make_one_at_once_the_first_counts_for_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.key"
    real = os.link

    def link(*paths: Path) -> None:
        path.write_bytes(b"f" * 32)
        real(*paths)

    monkeypatch.setattr(os, "link", link)
    assert own_key(path) == b"f" * 32
    assert [entry.name for entry in tmp_path.iterdir()] == ["some.key"]


def test_threads_that_make_one_at_once_agree(tmp_path: Path) -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(own_key(tmp_path / "some.key"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys == [own_key(tmp_path / "some.key")] * 4


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_what_is_no_key_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.key").write_bytes(content)
    for read in (own_key, existing_key):
        with pytest.raises(OperationFailed, match=r"some\.key.* bytes instead of 32"):
            read(tmp_path / "some.key")
    assert (tmp_path / "some.key").read_bytes() == content


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationFailed, match="BACKUP_STATE_DIR"):
        own_key(tmp_path / "file" / "some.key")
    (tmp_path / "some.key").mkdir()
    with pytest.raises(OperationFailed, match="Is a directory"):
        existing_key(tmp_path / "some.key")


def test_a_seal_has_the_hosts_key(tmp_path: Path) -> None:
    assert host_seal(tmp_path).open("pin", host_seal(tmp_path).close("pin", {"a": 1})) == {"a": 1}
    assert host_seal(tmp_path).key == (tmp_path / "seal.key").read_bytes()
