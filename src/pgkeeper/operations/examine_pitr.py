"""Try what point-in-time recovery needs: pgBackRest, PostgreSQL's own programs, archiving, and each repository."""

from collections.abc import Iterator

from pgkeeper.model.counts import count
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.repository import number_of
from pgkeeper.operations.cluster_in_place import foreign_cluster
from pgkeeper.operations.findings import Finding, problem_found
from pgkeeper.operations.interrupted_cluster import interrupted_cluster
from pgkeeper.operations.pitr import attached, detached, pgbackrest
from pgkeeper.operations.pitr_archiving import look_at_archiving
from pgkeeper.operations.pitr_timelines import stranger_warnings
from pgkeeper.operations.places import server
from pgkeeper.operations.production_lineage import production_lineage
from pgkeeper.pgbackrest.archive_list import archive_list
from pgkeeper.pgbackrest.configuration import queue_limit
from pgkeeper.pgbackrest.info import info
from pgkeeper.postgres.amcheck import why_unsafe
from pgkeeper.postgres.facts import identify, list_databases
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.server import told
from pgkeeper.settings import Settings

_SUBJECT = "recovery to any second"
_SECONDS = 60.0


def examine_pitr(settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say. Where it is not set up, nothing."""
    if not settings.pitr_enabled:
        return
    if interrupted := interrupted_cluster(settings):
        hint = "`pgkeeper pitr resume` settles it, or says what does"
        yield Finding(level="problem", subject=_SUBJECT, text=interrupted, hint=hint)
    yield from _queue(settings)
    archiving = look_at_archiving(settings)
    if archiving.problem:
        yield Finding(level="problem", subject=_SUBJECT, text=archiving.problem, hint="`pgkeeper pitr check` says more")
    elif archiving.error is None:
        yield Finding(
            level="ok",
            subject=_SUBJECT,
            text=f"the log is archived; {count(archiving.lag_segments or 0, 'segment waits', 'segments wait')}",
        )
    if archiving.data_checksums is False:
        hint = "pg_checksums --enable, while the server is stopped, lets damage be noticed"
        yield Finding(level="warning", subject=_SUBJECT, text="data checksums are off: damaged pages go into backups unnoticed", hint=hint)
    for name in detached(settings):
        hint = f"`pgkeeper pitr attach {name}` when it can be reached again"
        yield Finding(level="warning", subject=_SUBJECT, text=f"repository {name} is detached", hint=hint)
    for name in attached(settings):
        try:
            found = info(pgbackrest(settings), number_of(name), _SECONDS)
            program("pg_waldump", found.major, same=True)
            yield Finding(level="ok", subject=_SUBJECT, text=f"repository {name}: {count(len(found.backups), 'physical backup')}")
            if foreign := foreign_cluster(settings, found.system_identifier):
                hint = "recover what was archived, or deploy pgkeeper for the new cluster with another stanza"
                yield Finding(level="problem", subject=_SUBJECT, text=f"repository {name}: {foreign}", hint=hint)
            archive = archive_list(pgbackrest(settings), number_of(name), found.archive_id)
            production = production_lineage(settings, found.system_identifier, archive.histories)
            for text in stranger_warnings(name, archive.segments, production):
                yield Finding(level="warning", subject=_SUBJECT, text=text, hint="`pgkeeper pitr window` shows each timeline")
        except PgkeeperError as error:
            yield problem_found(_SUBJECT, error)
    yield from _page_checks(settings)


def _queue(settings: Settings) -> Iterator[Finding]:
    """Yield a warning where pgBackRest is told to drop the log rather than let it wait."""
    program = pgbackrest(settings)
    try:
        limit = queue_limit(program.config_file, program.attached, program.stanza)
    except PgkeeperError as error:
        yield problem_found(_SUBJECT, error)
        return
    if limit is not None:
        text = f"archive-push-queue-max is {limit}: when more log than that waits, pgBackRest drops it, and recovery has a gap"
        hint = f"remove it from {program.config_file}, and from the files in {program.attached}"
        yield Finding(level="warning", subject=_SUBJECT, text=text, hint=hint)


def _page_checks(settings: Settings) -> Iterator[Finding]:
    """Yield a warning for each database whose pages `pitr verify` will skip although it has amcheck."""
    try:
        with server(settings).connect_maintenance() as session, told("looking at the cluster"):
            major = identify(session).major
            names = settings.databases or list_databases(session)
    except PgkeeperError:
        # That the server can't be reached is said elsewhere.
        return
    for name in names:
        try:
            with server(settings).connect(name, major=major) as session, told(f"looking at database {name}"):
                unsafe = why_unsafe(session)
        except PgkeeperError as error:
            yield problem_found(_SUBJECT, error)
            continue
        if unsafe:
            hint = "docs/security.md says why, and what is safe"
            yield Finding(level="warning", subject=_SUBJECT, text=f"the pages of database {name} are not checked: {unsafe}", hint=hint)
