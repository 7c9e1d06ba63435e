"""One restore at a time: whoever makes, renames or drops databases on a server is alone in it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.model.errors import BusyError
from pgkeeper.postgres.facts import ClusterIdentity, identify
from pgkeeper.postgres.new_database import claim_restores
from pgkeeper.postgres.server import Session, require_superuser
from pgkeeper.settings import Settings


def restore_lock(settings: Settings, cluster: ClusterIdentity, wait: timedelta = timedelta()) -> AbstractContextManager[None]:
    """Return this host's lock for restores onto `cluster`. Entering raises BusyError (exit status 5) after `wait`."""
    return exclusive(settings.state_dir, f"restore {cluster.label}", "a restore", wait)


@contextmanager
def only_restore(session: Session, settings: Settings, wait: timedelta) -> Iterator[ClusterIdentity]:
    """Be the only restore onto the session's server, on this host and from any other; yield which cluster that is.

    Raises ConfigurationError where the session is no superuser's, BusyError while another restore runs: on this host after `wait`, on
    another at once.
    """
    require_superuser(session)
    cluster = identify(session)
    with restore_lock(settings, cluster, wait):
        if holder := claim_restores(session):
            raise BusyError("a restore onto this server is already running", holder, "wait for it")
        yield cluster
