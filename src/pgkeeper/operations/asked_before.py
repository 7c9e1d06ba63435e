"""Whether a recovery was asked for before: by the same request id, and then for the same."""

from typing import Literal

from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import RefusedError
from pgkeeper.operations.cluster_replacements import cluster_replacements
from pgkeeper.settings import Settings


def require_same(request_id: str, before: str, now: str) -> None:
    """Raise RefusedError when a request id stood for something else."""
    if before != now:
        raise RefusedError(f"the request id {request_id} was used for another recovery", before, "use a new id for a new request")


def replaced_before(
    kind: Literal["replace", "undo"], request_id: str | None, asked: str, settings: Settings
) -> tuple[ClusterReplacement | None, ClusterReplacement | None]:
    """Return the replacement (or undoing) of the same request id that was done, and the one that is not finished; None where there is none.

    The latter is at work, or was interrupted. Raises RefusedError when it was another one.
    """
    if request_id is None:
        return None, None
    known = [one for one in cluster_replacements(settings) if (one.kind, one.request_id) == (kind, request_id)]
    done = next((one for one in known if one.step == "done"), None)
    begun = next((one for one in known if not one.finished), None)
    for one in (done, begun):
        if one is not None and one.asked:
            require_same(request_id, one.asked, asked)
    return done, begun
