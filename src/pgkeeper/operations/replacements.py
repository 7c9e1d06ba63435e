"""The journals of replacements: one file each, by which the next run knows what a killed one was about."""

from datetime import UTC, datetime
from typing import Any

from pgkeeper.host.journal import Journal
from pgkeeper.host.logs import log
from pgkeeper.model.names import encode_segment
from pgkeeper.model.replacement import Entry, Replacement, Step, read_replacement
from pgkeeper.postgres.facts import ClusterIdentity
from pgkeeper.settings import Settings

_DIRECTORY = "replacements"


class ReplacementJournal:
    """The record of one replacement on its way."""

    def __init__(self, settings: Settings, replacement_id: str) -> None:
        self.replacement_id = replacement_id
        self._journal = Journal(settings.state_dir / _DIRECTORY / f"{replacement_id}.jsonl")

    @classmethod
    def begin(cls, settings: Settings, at: datetime, database: str, **facts: Any) -> "ReplacementJournal":  # noqa: ANN401 - Entry checks them
        """Begin the record of replacing `database`. Raises OperationFailed when it can't be written; nothing may happen then."""
        journal = cls(settings, f"{encode_segment(database)}-{at:%Y%m%dT%H%M%S%f}")
        journal.note("begun", database=database, **facts)
        return journal

    def note(self, step: Step, **facts: Any) -> None:  # noqa: ANN401 - Entry checks them
        """Write down that `step` is taken now, and what became known; returns when it is on disk. Raises OperationFailed."""
        entry = Entry(step=step, at=datetime.now(UTC), **facts)
        self._journal.append(entry.model_dump(mode="json", exclude_defaults=True))
        log.info("replacement", replacement_id=self.replacement_id, step=step)

    def read(self) -> Replacement | None:
        """Return what the record tells so far."""
        return read_replacement(self.replacement_id, self._journal.entries_as(Entry))


def replacements(settings: Settings) -> list[Replacement]:
    """Return all replacements there is a journal of, whichever of the host's clusters they are of, the newest first."""
    names = [path.stem for path in (settings.state_dir / _DIRECTORY).glob("*.jsonl")]
    found = [replacement for name in names if (replacement := ReplacementJournal(settings, name).read())]
    return sorted(found, key=lambda replacement: replacement.begun_at, reverse=True)


def replacements_on(cluster: ClusterIdentity, settings: Settings) -> list[Replacement]:
    """Return the replacements on one cluster, the newest first."""
    return [known for known in replacements(settings) if known.system_identifier == cluster.system_identifier]
