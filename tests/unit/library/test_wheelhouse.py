"""Which wheels the controller brings to a host that reaches no package index."""

from __future__ import annotations

import os
import tarfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TRIXIE = {"version": "3.13.5", "machine": "x86_64", "glibc": "2.41"}
BOOKWORM = {"version": "3.11.2", "machine": "aarch64", "glibc": "2.36"}
LOCK = """\
# made by a program
alembic==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via pgkeeper
colorama==0.4 ; sys_platform == 'win32' \\
    --hash=sha256:cc
backport[extra]==2 ; python_full_version < '3.11.4' and platform_machine == 'aarch64' \\
    --hash=sha256:dd
"""


def test_the_lock_is_narrowed_to_the_hosts_python_and_keeps_its_hashes(wheelhouse: ModuleType) -> None:
    assert wheelhouse.narrowed(LOCK, TRIXIE) == "alembic==1.0 --hash=sha256:aa --hash=sha256:bb\n"
    assert wheelhouse.narrowed(LOCK, BOOKWORM).splitlines()[1:] == ["backport[extra]==2 --hash=sha256:dd"]


def test_every_requirement_of_the_real_lock_keeps_a_hash(wheelhouse: ModuleType, root: Path) -> None:
    lines = wheelhouse.narrowed((root / "requirements/runtime.lock").read_text(encoding="utf-8"), TRIXIE).splitlines()
    assert len(lines) > 20
    assert all("==" in line and " --hash=sha256:" in line and ";" not in line for line in lines)


def test_wheels_for_an_older_glibc_will_do_and_for_a_newer_one_will_not(wheelhouse: ModuleType) -> None:
    found = list(wheelhouse.platforms(BOOKWORM))
    assert found[0] == "manylinux_2_36_aarch64"
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"} < set(found)
    assert "manylinux_2_37_aarch64" not in found


def test_wheels_are_fetched_once_for_hosts_of_a_kind(wheelhouse: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def download(requirements: str, interpreter: dict[str, Any], directory: Path) -> None:
        fetched.append(interpreter["version"])
        (directory / "requirements.txt").write_text(requirements)
        (directory / "alembic-1.0-py3-none-any.whl").write_text("a wheel")

    monkeypatch.setattr(wheelhouse, "download", download)
    first, again, other = (wheelhouse.gather(LOCK, kind, tmp_path) for kind in (TRIXIE, TRIXIE, BOOKWORM))
    assert fetched == ["3.13.5", "3.11.2"]
    assert first == again != other
    with tarfile.open(first) as archive:
        assert archive.getnames() == ["alembic-1.0-py3-none-any.whl"]


def test_a_fetch_that_fails_leaves_nothing_and_is_tried_again(
    wheelhouse: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(_requirements: str, _interpreter: dict[str, Any], directory: Path) -> None:
        (directory / "half.whl").write_text("")
        raise OSError("the line is dead")

    monkeypatch.setattr(wheelhouse, "download", download)
    for _ in range(2):
        with pytest.raises(OSError, match="dead"):
            wheelhouse.gather(LOCK, TRIXIE, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_wheels_nobody_asks_for_go_in_the_end(wheelhouse: ModuleType, tmp_path: Path) -> None:
    old, young = tmp_path / "old.tar", tmp_path / "young.tar"
    for path in (old, young):
        path.write_text("")
    os.utime(old, (time.time() - wheelhouse.KEEP_SECONDS - 60,) * 2)
    wheelhouse.forget(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_the_probe_tells_what_wheels_have_to_fit_to(probe: ModuleType, wheelhouse: ModuleType) -> None:
    found = probe.interpreter()
    assert found["version"].count(".") == 2
    assert list(wheelhouse.platforms(found))[-1] == f"linux_{found['machine']}"
