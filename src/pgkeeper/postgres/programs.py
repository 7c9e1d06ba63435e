"""Finding PostgreSQL's programs that fit a server.

pg_dump refuses servers newer than itself (pg_dump's manual page), so the same major is taken where it is installed, else the nearest newer.
"""

import re
from pathlib import Path

from pgkeeper.host.processes import run
from pgkeeper.model.errors import ConfigurationError

_PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin", "usr/local/pgsql/bin", "usr/bin")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


def program(name: str, major: int, *, same: bool = False) -> Path:
    """Return the path of PostgreSQL's program `name` for a server of version `major`; with `same` only of that very version.

    Raises ConfigurationError (exit status 3) naming the package when none fits.
    """
    found: dict[int, Path] = {}
    for pattern in _PLACES:
        for path in sorted(Path("/").glob(f"{pattern}/{name}")):
            if path.resolve().name == "pg_wrapper":
                continue
            version = _major(path)
            if version is not None:
                found.setdefault(version, path)
    fitting = sorted(version for version in found if version == major or (version > major and not same))
    if not fitting:
        have = f"found only version {max(found)}" if found else f"{name} is not installed"
        package = f"postgresql-{major}" if same else f"postgresql-client-{major}"
        raise ConfigurationError(f"no {name} for PostgreSQL {major}", have, f"install {package}")
    return found[fitting[0]]


def _major(path: Path) -> int | None:
    numbers = re.findall(r"\d+", path.parent.parent.name)
    if numbers:
        return int(numbers[-1])
    answer = _VERSION.search(run([path, "--version"], {}, timeout=10))
    return int(answer[1]) if answer else None
