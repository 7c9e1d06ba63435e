"""Prove that a repository can bring the cluster back: recover it to the end of its log, look into every page, and remove it again."""

import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import RepositoryName
from pgkeeper.operations.pitr import pitr_state
from pgkeeper.operations.pitr_request import RecoveryWish, plan_wish, understand
from pgkeeper.operations.recovered_pages import check_all_pages
from pgkeeper.operations.recovery import Recovery, size_of, target_told
from pgkeeper.operations.reports import Message
from pgkeeper.operations.side_place import SideMarker, claim, productions_places, remove
from pgkeeper.settings import Settings


class RecoveryProof(Message):
    """A recovery that was done for real, `target` in words, in so many `seconds`; `replay_seconds` of them went into the log.

    `unchecked` are databases whose pages could not be looked into; `tables_read` is how many tables were asked for a first row.
    """

    repository: RepositoryName
    proven_at: datetime
    backup: str
    timeline: int
    target: str
    seconds: float
    replay_seconds: float
    unchecked: tuple[str, ...] = ()
    tables_read: int = 0


def prove_recovery(repository: RepositoryName, settings: Settings, progress: Progress) -> RecoveryProof:
    """Recover the cluster from a repository to the end of its log beside production, look into every page, and remove it.

    The proof is written down. Raises PgkeeperError: BusyError while another one is at it, IntegrityError for damaged pages. What a killed
    one left goes with the next.
    """
    directory = settings.pitr_dir / f"{settings.pitr_stanza}-proof"
    # The second keeps away who would stop or remove what lies there.
    with (
        exclusive(settings.state_dir, "pitr proof", "a proof of recovery"),
        exclusive(settings.state_dir, f"side {directory}", f"a recovery into {directory}"),
    ):
        began = time.monotonic()
        planned = plan_wish(understand(RecoveryWish(latest=True, source=repository), settings), settings, progress)
        marker = SideMarker(
            state="begun", system_identifier=planned.contents.info.system_identifier, made_at=datetime.now(UTC),
            target=target_told(planned), repository=repository, backup=planned.plan.backup, timeline=planned.plan.timeline,
        )  # fmt: skip
        cluster = claim(directory, marker, productions_places(settings), size_of(planned))
        try:
            recovery = Recovery(planned, cluster, settings, progress)
            recovery.beside(directory)
            seconds = round(time.monotonic() - began, 3)
            with recovery.phase("look into every page", "check"):
                seen = check_all_pages(cluster)
        finally:
            remove(cluster)
        proof = RecoveryProof(
            repository=repository,
            proven_at=datetime.now(UTC),
            backup=planned.plan.backup,
            timeline=planned.plan.timeline,
            target=marker.target,
            seconds=seconds,
            replay_seconds=recovery.phases["replay"],
            unchecked=seen.unchecked,
            tables_read=seen.tables_read,
        )
        replace_file(_record(repository, settings), proof.model_dump_json(indent=2).encode())
    log.info("recovery proven", repository=repository, backup=proof.backup, seconds=proof.seconds)
    return proof


def last_proof(repository: RepositoryName, settings: Settings) -> RecoveryProof | None:
    """Return the last recovery that was proven of a repository; None where there was none, or nothing can be read of it."""
    try:
        return RecoveryProof.model_validate_json(_record(repository, settings).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("the last proof of recovery cannot be read", repository=repository, error=type(error).__name__)
        return None


def _record(repository: RepositoryName, settings: Settings) -> Path:
    return pitr_state(settings) / f"proven-{repository}.json"
