"""The journals of whole clusters' replacements: one file each, by which the next run knows what a killed one was about."""

from datetime import UTC, datetime
from typing import Any

from pgkeeper.host.journal import Journal
from pgkeeper.host.logs import log
from pgkeeper.model.cluster_replacement import ClusterEntry, ClusterReplacement, ClusterStep, read_cluster_replacement
from pgkeeper.settings import Settings

_DIRECTORY = "cluster-replacements"


class ClusterJournal:
    """The record of one replacement on its way."""

    def __init__(self, settings: Settings, replacement_id: str) -> None:
        self.replacement_id = replacement_id
        self._journal = Journal(settings.state_dir / _DIRECTORY / f"{replacement_id}.jsonl")

    @classmethod
    def begin(cls, settings: Settings, at: datetime, **facts: Any) -> "ClusterJournal":  # noqa: ANN401 - ClusterEntry checks them
        """Begin the record of a replacement. Raises OperationFailed when it can't be written; nothing may happen then."""
        journal = cls(settings, f"{settings.pitr_stanza}-{at:%Y%m%dT%H%M%S%f}")
        journal.note("begun", **facts)
        return journal

    def note(self, step: ClusterStep, **facts: Any) -> None:  # noqa: ANN401 - ClusterEntry checks them
        """Write down that `step` is taken now, and what became known; returns when it is on disk. Raises OperationFailed."""
        entry = ClusterEntry(step=step, at=datetime.now(UTC), **facts)
        self._journal.append(entry.model_dump(mode="json", exclude_defaults=True))
        log.info("cluster replacement", replacement_id=self.replacement_id, step=step)

    def read(self) -> ClusterReplacement | None:
        """Return what the record tells so far."""
        return read_cluster_replacement(self.replacement_id, self._journal.entries_as(ClusterEntry))


def cluster_replacements(settings: Settings) -> list[ClusterReplacement]:
    """Return all replacements of the cluster that settings name, the newest first."""
    names = [path.stem for path in (settings.state_dir / _DIRECTORY).glob(f"{settings.pitr_stanza}-*.jsonl")]
    found = [known for name in names if (known := ClusterJournal(settings, name).read())]
    return sorted(found, key=lambda known: known.begun_at, reverse=True)
