#!/usr/bin/env python3
"""Say which pgkeeper a checkout holds: its version and a hash of what the release is made from.

Run on the controller, with the checkout as the only argument. Prints one JSON object. The hash covers everything that
ends up in a release, and nothing else: a changed playbook does not make a new release.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

HASH_LENGTH = 12


def sources(checkout: Path) -> Iterator[Path]:
    """The files that a release is made from, in a fixed order."""
    yield checkout / "pyproject.toml"
    yield checkout / "requirements" / "runtime.lock"
    for path in sorted((checkout / "src").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def source_hash(checkout: Path) -> str:
    """Hash names and contents, each with its length before it, so that no two trees hash alike."""
    digest = hashlib.sha256()
    for path in sources(checkout):
        for part in (path.relative_to(checkout).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()[:HASH_LENGTH]


def version(checkout: Path) -> str:
    """The version in the package's `__version__`, read without running the package.

    Raises ValueError when there is none.
    """
    module = checkout / "src" / "pgkeeper" / "__init__.py"
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id == "__version__" and isinstance(value, ast.Constant):
            return str(value.value)
    raise ValueError(f"no __version__ in {module}")


def main() -> int:
    """Print the identity, or one line about why there is none."""
    checkout = Path(sys.argv[1])
    try:
        identity = {"version": version(checkout), "hash": source_hash(checkout)}
    except (OSError, ValueError, SyntaxError) as error:
        sys.stderr.write(f"{checkout} is not a checkout of pgkeeper: {error}\n")
        return 1
    json.dump(identity, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
