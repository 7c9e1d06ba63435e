"""What makes files that were recovered by a server of ours fit for production's."""

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.data_directory import announce_timeline, control_facts
from pgkeeper.postgres.side_cluster import SideCluster


def require_shut_down(side: SideCluster, timeline: int) -> None:
    """Raise OperationFailed unless the files were recovered to a timeline, and shut down as they should be."""
    facts = control_facts(side.data)
    if not facts.clean or facts.timeline != timeline:
        raise OperationFailed("the recovered cluster was not shut down as it should be", f"{facts.state}, timeline {facts.timeline}")


def prepare_for_production(side: SideCluster, timeline: int) -> None:
    """Make files that were recovered and shut down fit for production. Safe to do twice, as long as the side directory is there.

    Raises OperationFailed unless they are as they should be.
    """
    require_shut_down(side, timeline)
    announce_timeline(side.data, timeline, control_facts(side.data))
    side.give_back()
