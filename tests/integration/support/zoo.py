"""The zoo: databases with everything PostgreSQL can hold that has ever hurt a dump.

One SQL file in `zoo/` per kind of difficulty. Where a database's name or properties are the difficulty, they are
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from .binaries import extension_directory
from .cluster import Cluster
from .workspace import Workspace, live_workspaces

SCRIPTS = Path(__file__).parents[1] / "zoo"
EXTENSION_FILES = SCRIPTS / "extension"
TABLESPACE = "zoo_space"

# Nothing a backup says or writes in the clear may hold one of these.
PLANTED_SECRETS = ("planted-Role-Secret-1",)


@dataclass(frozen=True)
class Species:
    """A database of the zoo."""

    database: str
    script: str
    create: str = ""
    """What follows CREATE DATABASE's name."""
    encoding: str = "UTF8"
    """The encoding its script is sent in."""

    def __str__(self) -> str:
        return f"{self.script} in {self.database}"


LONGEST_NAME = "x" * 30 + "ü" * 16 + "!"  # 63 bytes, 47 characters

THEMES = (
    "plain_tables",
    "columns",
    "text_rows",
    "functions",
    "nonstandard_strings",
    "types",
    "partitions",
    "enum_hash_partitions",
    "large_objects",
    "views",
    "foreign_keys",
    "row_security",
    "privileges",
    "sequences",
    "odd_objects",
    "foreign_data",
    "extensions",
    "no_public_schema",
    "public_schema",
    "shuffled",
    "long_bodies",
    "settings",
)

NAMES = (
    "app",
    "app-x",
    "APP",
    "a b",
    'Ü"; rm -rf',
    "..",
    ".",
    "a=b",
    "host=/x",
    "postgresql://192.0.2.1/x",
    ".hidden",
    ".building-x",
    "-x",
    "--help",
    "all",
    "latest",
    "a,b",
    "a/b\\c",
    "it's 100%s",
    "$(id) `id` {x} *",
    " lead and trail ",
    "line\nbreak\ttab",
    LONGEST_NAME,
    LONGEST_NAME[:-1] + "?",
)

ZOO: tuple[Species, ...] = (
    *(Species(theme, theme) for theme in THEMES),
    *(Species(name, "tiny") for name in NAMES),
    Species("empty", "nothing"),
    Species("sql_ascii", "sql_ascii", "encoding 'SQL_ASCII' locale 'C'", "SQL_ASCII"),
    Species("latin1", "latin1", "encoding 'LATIN1' locale 'C'"),
    # Names of databases and roles are shared by all databases, whatever their encodings.
    Species("größe", "latin1", """encoding 'LATIN1' locale 'C' owner "Zoo ""quoted"" Rôle" """),
    Species("icu", "icu", "locale_provider icu icu_locale 'de-AT'"),
    Species("posix", "tiny", "lc_collate 'POSIX' lc_ctype 'C.UTF-8'"),
    Species("tablespaces", "tablespaces"),
    Species("in_tablespace", "tiny", f"tablespace {TABLESPACE}"),
    Species("other_owner", "other_owner", "owner zoo_owner connection limit 3"),
    Species("template", "tiny", "is_template true"),
)


def build(cluster: Cluster, workspace: Workspace) -> None:
    """Make the zoo's roles, tablespace and databases; its extension must be installed already."""
    place = workspace.directory(TABLESPACE)
    cluster.psql("postgres", (SCRIPTS / "roles.sql").read_text())
    cluster.execute(sql.SQL("create tablespace {} location {}").format(sql.Identifier(TABLESPACE), sql.Literal(str(place))))
    for species in ZOO:
        create_database(cluster, species)


def create_database(cluster: Cluster, species: Species) -> None:
    """Make one database of the zoo."""
    cluster.execute(
        sql.SQL("create database {} template template0 {}").format(
            sql.Identifier(species.database),
            sql.SQL(species.create),
        )
    )
    script = (SCRIPTS / f"{species.script}.sql").read_bytes()
    cluster.psql(species.database, script, {"PGCLIENTENCODING": species.encoding})


@contextmanager
def zoo_extension() -> Iterator[None]:
    """Install the zoo's own extension where the server finds it; another live session keeps it."""
    installed = [extension_directory() / file.name for file in EXTENSION_FILES.iterdir()]
    for target in installed:
        target.write_bytes((EXTENSION_FILES / target.name).read_bytes())
        target.chmod(0o644)
    try:
        yield
    finally:
        if live_workspaces() <= 1:
            for target in installed:
                target.unlink(missing_ok=True)
