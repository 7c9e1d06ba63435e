"""What whoever looks at a repository should know of its timelines."""

from collections.abc import Iterable, Iterator

from pgkeeper.model.repository import RepositoryName
from pgkeeper.model.timelines import Lineage
from pgkeeper.model.wal import timeline_of
from pgkeeper.operations.pitr_coverage import RepositoryContents


def timeline_warnings(contents: RepositoryContents, production: Lineage | None) -> Iterator[str]:
    """Yield what is wrong with timelines of a repository: those that production never was on, and those whose history cannot be used."""
    for one in contents.coverage.unusable:
        yield f"repository {contents.name} can bring back nothing of timeline {one.timeline}: {one.why}"
    yield from stranger_warnings(contents.name, contents.archive.segments, production)


def stranger_warnings(name: RepositoryName, segments: Iterable[str], production: Lineage | None) -> Iterator[str]:
    """Yield which timelines others have archived, by the names of segments in a repository; none where nobody knows production's."""
    if production is None:
        return
    for timeline in production.strangers(map(timeline_of, segments)):
        yield (
            f"repository {name} has log of timeline {timeline}, on which production never was: another server archives there, for one a "
            f"clone that was given its archive_command; take that away. Only --timeline {timeline} recovers from it"
        )
