"""Restoring the schema from `schema.dump` with pg_restore, in the order that keeps data loading safe.

Privileges come after the data: until then nobody but owners may anything, and the loader's needs are met by its role. Event triggers
come last: they would run at each of our own commands.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pgkeeper.host.processes import run
from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import Server, Session
from pgkeeper.postgres.statements import statement_words

# Each is a superuser's session beside those of an application that may need them.
_MOST_JOBS = 8
_ORDINARY_FUNCTION = """
SELECT FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.oid >= 16384 AND NOT r.rolsuper LIMIT 1
"""
_ORDINARY_CAST = """
SELECT FROM pg_cast c JOIN pg_proc p ON p.oid = c.castfunc JOIN pg_roles r ON r.oid = p.proowner
WHERE c.oid >= 16384 AND c.castcontext = 'i' AND NOT r.rolsuper LIMIT 1
"""
_PRIVILEGES = ("ACL ", "DEFAULT ACL ")
_EVENT_TRIGGERS = ("EVENT TRIGGER ", "COMMENT - EVENT TRIGGER ", "SECURITY LABEL - EVENT TRIGGER ")


@dataclass(frozen=True)
class SchemaArchive:
    """`schema.dump` of one backup, to be restored into `database`.

    `server_major` is the target's version, `archive_major` the one of the server it was dumped from. `descriptors` are open files of ours
    that pg_restore needs to read `path`.
    """

    path: Path
    server: Server
    database: str
    server_major: int
    archive_major: int
    with_tablespaces: bool
    descriptors: Sequence[int] = ()

    def pre_data(self) -> None:
        """Create types, functions, tables and all else that data needs, owners included."""
        self._restore(self._lines("pre-data", privileges=False), jobs=1)

    def post_data(self) -> None:
        """Create indexes, constraints, triggers, policies, several at a time; event triggers wait."""
        lines = [line for line in self._lines("post-data", privileges=False) if not _is(line, _EVENT_TRIGGERS)]
        self._restore(lines, jobs=min(os.cpu_count() or 1, _MOST_JOBS))

    def constraints_that_run_code(self, session: Session) -> list[str]:
        """Return the constraints whose validation, as a superuser, would run code of owners who are none.

        Unlike CREATE INDEX or REFRESH, ALTER TABLE … ADD CONSTRAINT checks rows as whoever runs it. That matters for a CHECK that pg_dump
        writes apart from its table (its function takes the table's row type), and for a foreign key over a cast of the owner's own.
        """
        lines = self._lines("post-data", privileges=False)
        checks = [line for line in lines if _is(line, ("CHECK CONSTRAINT ",))]
        keys = [line for line in lines if _is(line, ("FK CONSTRAINT ",))]
        found = []
        if checks and session.execute(_ORDINARY_FUNCTION).fetchone() is not None:
            statements = self._text(checks).split(";\n")
            found += [statement_words(text) for text in statements if "ADD CONSTRAINT" in text and not text.endswith("NOT VALID")]
        if keys and session.execute(_ORDINARY_CAST).fetchone() is not None:
            found += [line.split(" ", 4)[-1] for line in keys]
        return found

    def privileges(self) -> None:
        """Apply privileges and default privileges."""
        self._restore(self._lines(None, privileges=True), jobs=1)

    def event_triggers(self) -> None:
        """Create event triggers."""
        self._restore([line for line in self._lines("post-data", privileges=False) if _is(line, _EVENT_TRIGGERS)], jobs=1)

    def _lines(self, section: str | None, *, privileges: bool) -> list[str]:
        arguments = ["--list", *([f"--section={section}"] if section else []), str(self.path)]
        listing = run([self._program(), *arguments], self.server.environment(self.server_major), timeout=600, descriptors=self.descriptors)
        # Names may hold all that Python takes for a line's end; pg_restore itself ends lines with \n alone.
        entries = [line for line in listing.split("\n") if line and not line.startswith(";")]
        return [line for line in entries if _is(line, _PRIVILEGES) == privileges]

    def _text(self, lines: list[str]) -> str:
        """Return the SQL of the listed entries, without comments."""
        with _chosen(lines) as chosen:
            arguments: list[str | Path] = [self._program(), f"--use-list=/dev/fd/{chosen}", "--file=-", self.path]
            text = run(arguments, self.server.environment(self.server_major), timeout=600, descriptors=[chosen, *self.descriptors])
        return "\n".join(line for line in text.split("\n") if not line.startswith("--"))

    def _restore(self, lines: list[str], jobs: int) -> None:
        """Restore the listed entries; the first error ends it. Raises OperationFailed with pg_restore's words."""
        if not lines:
            return
        with _chosen(lines) as chosen:
            arguments: list[str | Path] = [
                self._program(),
                "--exit-on-error",
                "--no-password",
                f"--use-list=/dev/fd/{chosen}",
                f"--jobs={jobs}",
                "-d",
                self.server.target(self.database),
                *([] if self.with_tablespaces else ["--no-tablespaces"]),
                self.path,
            ]
            try:
                run(arguments, self._environment(), descriptors=[chosen, *self.descriptors])
            except OperationFailed as error:
                complaint, _, statement = error.why.partition("Command was: ")
                raise OperationFailed(error.what, f"{complaint}in {statement_words(statement)}" if statement else complaint) from None

    def _environment(self) -> dict[str, str]:
        """Keep statements that fail out of the server's log: some hold secrets (user mappings, subscriptions)."""
        environment = self.server.environment(self.server_major)
        silent = "-c log_min_error_statement=panic -c log_statement=none -c log_min_duration_statement=-1"
        return environment | {"PGOPTIONS": f"{environment['PGOPTIONS']} {silent}"}

    def _program(self) -> Path:
        return program("pg_restore", max(self.server_major, self.archive_major))


@contextmanager
def _chosen(lines: list[str]) -> Iterator[int]:
    """Yield the descriptor of a list that tells pg_restore which entries to take, by their numbers alone: names may hold anything.

    It lies in memory, so that nothing is left of it when we are killed.
    """
    with os.fdopen(os.memfd_create("pgkeeper-entries"), "w", encoding="ascii") as chosen:
        chosen.write("\n".join([*(line.partition(";")[0] + ";" for line in lines), ""]))
        chosen.flush()
        yield chosen.fileno()


def _is(line: str, kinds: tuple[str, ...]) -> bool:
    """Tell whether a line of `pg_restore --list` ("4; 0 16417 TABLE public posts owner") is of one of `kinds`."""
    description = line.split(" ", 3)[3] if line.count(" ") >= 3 else ""
    return description.startswith(kinds)
