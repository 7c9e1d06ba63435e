"""The hostile shapes of `shapes/`: ways in which objects of an ordinary role make whoever restores them run that role's code.

Each file is SQL that is run in a schema of its own, which has the file's name; `{strike}` is a call of `strike()`, and `{mark}` one
of `mark()`. Lines that begin with `--@` say how:

    --@ owner: NAME      whose schema it is, instead of mallory's
    --@ superuser        from here on a superuser runs it
    --@ owner            from here on the owner runs it, as in the beginning
    --@ quiet            a plain pg_restore runs none of it with more rights
    --@ refused: NAME    in a database of its own, since a restore may refuse it, naming this object
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from .cluster import Cluster
from .strike import OWNER, strike

_FILES = Path(__file__).parents[1] / "shapes"
_ONLY = "PGKEEPER_SHAPES"
"""A variable that names the shapes to try, separated by commas, so that one can be looked at alone."""


@dataclass(frozen=True)
class Shape:
    """One of them. `parts` are its scripts in order, each with whether a superuser runs it."""

    name: str
    owner: str
    quiet: bool
    refused: str | None
    parts: tuple[tuple[bool, str], ...]

    def __str__(self) -> str:
        return self.name


def _read(path: Path) -> Shape:
    owner, quiet, refused, superuser = OWNER, False, None, False
    parts: list[tuple[bool, str]] = []
    for line in path.read_text().splitlines():
        if not line.startswith("--@ "):
            if not parts or parts[-1][0] != superuser:
                parts.append((superuser, ""))
            parts[-1] = superuser, parts[-1][1] + line + "\n"
            continue
        word, _, value = line.removeprefix("--@ ").partition(": ")
        match word, value:
            case "owner", "":
                superuser = False
            case "superuser", "":
                superuser = True
            case "owner", _:
                owner = value
            case "quiet", "":
                quiet = True
            case "refused", _:
                refused = value
            case _:
                raise ValueError(f"{path.name}: {line}")
    call = rf"perform {path.stem}.\1();"
    scripts = tuple((by_superuser, re.sub(r"\{(strike|mark)\}", call, script)) for by_superuser, script in parts)
    return Shape(path.stem, owner, quiet, refused, scripts)


def _chosen() -> Iterator[Shape]:
    only = os.environ.get(_ONLY)
    for path in sorted(_FILES.glob("*.sql")):
        if only is None or path.stem in only.split(","):
            yield _read(path)


SHAPES = tuple(_chosen())
TOGETHER = tuple(shape for shape in SHAPES if shape.refused is None)
APART = tuple(shape for shape in SHAPES if shape.refused is not None)


def plant(cluster: Cluster, database: str, shape: Shape, marks: Path) -> None:
    """Make a shape's schema and objects; its owner logs in for that, so that their code has no way back to a superuser's session."""
    make = sql.SQL("create schema {} authorization {}").format(sql.Identifier(shape.name), sql.Identifier(shape.owner))
    cluster.execute(make, database=database)
    with cluster.connect(database) as session, _owner(cluster, database, shape.owner) as owner:
        for connection in (session, owner):
            connection.execute(sql.SQL("set search_path = {}, pg_catalog").format(sql.Identifier(shape.name)))
        owner.execute(strike(shape.name, shape.owner, marks).encode())
        for superuser, script in shape.parts:
            (session if superuser else owner).execute(script.encode())


def _owner(cluster: Cluster, database: str, name: str) -> psycopg.Connection[tuple[object, ...]]:
    """A session of an ordinary role that knows no other."""
    password = f"password of {name}"
    cluster.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(name), password))
    return psycopg.connect(
        host="127.0.0.1",
        port=cluster.port,
        user=name,
        password=password,
        dbname=database,
        application_name="test-bed",
        autocommit=True,
    )
