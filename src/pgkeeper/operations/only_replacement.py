"""One replacement, or undoing of one, at a time, on a server where none is left half done."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from pgkeeper.model.progress import Progress
from pgkeeper.operations.only_restore import only_restore
from pgkeeper.operations.places import outside_session
from pgkeeper.operations.settle import settle
from pgkeeper.postgres.facts import ClusterIdentity
from pgkeeper.postgres.server import Session, told
from pgkeeper.settings import Settings


@contextmanager
def only_replacement(
    database: str, settings: Settings, wait: timedelta, progress: Progress, *, action: str
) -> Iterator[tuple[Session, ClusterIdentity]]:
    """Be the only restore onto the server, after interrupted replacements there were settled.

    Yield a superuser's session outside of `database`, and which cluster it is in. `action` ("the replacement") is how errors of the server
    name the work. Raises PgkeeperError as `only_restore` and `settle` do.
    """
    with (
        outside_session(settings, database) as session,
        told(action),
        only_restore(session, settings, wait) as cluster,
    ):
        for said in settle(settings, cluster, progress):
            progress.note(said)
        yield session, cluster
