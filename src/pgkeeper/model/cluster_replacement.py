"""Replacing a whole cluster by a recovered one: what the journal says was done, and how a crash is ended from there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.exchange import Move, Stand

ClusterStep = Literal["begun", "recovered", "stopping", "exchanging", "overwriting", "checking", "archiving", "starting", "done", "undone"]
CLUSTER_STEPS: tuple[ClusterStep, ...] = (
    *("begun", "recovered", "stopping", "exchanging", "checking", "archiving", "starting", "done"),
)  # fmt: skip
"""In this order, each written before it is taken: `begun`; `recovered` (the new cluster is whole, shut down, and waits); `stopping`
services and PostgreSQL; `exchanging` the files; `checking` (PostgreSQL is started on the new ones and looked at); `archiving` (its log must
arrive); `starting` the services; `done`. A replacement that was given up ends with `undone` instead."""
IN_PLACE_STEPS: tuple[ClusterStep, ...] = (
    *("begun", "stopping", "overwriting", "recovered", "checking", "archiving", "starting", "done"),
)  # fmt: skip
"""The order where production's own files are written over: nothing is done before services and PostgreSQL are stopped. From `overwriting`
on the files are a mixture, until `recovered` says that they are whole."""
ClusterEnding = Literal["nothing", "go_on", "go_back", "stay_down"]


class ClusterEntry(BaseModel):
    """One line of the journal."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: ClusterStep
    at: datetime
    kind: Literal["replace", "undo"] = "replace"
    system_identifier: str = ""
    data_directory: str = ""
    kept_as: str = ""
    target: str = ""
    timeline: int = 0
    coming: tuple[str, ...] = ()
    recovering: str = ""
    moves: tuple[Move, ...] = ()
    tablespaces: dict[int, str] = {}
    backup: str = ""
    request_id: str | None = None
    asked: str = ""
    in_place: bool = False
    found_unusable: bool = False


class ClusterReplacement(BaseModel):
    """What a journal tells as a whole.

    `data_directory` is production's, `kept_as` where the files that were there lie afterwards. `target` says in words to which moment it
    was recovered, `timeline` is the one that production is on afterwards. `coming` are directories that were made for it, and go when it is
    given up; the first is the side directory of the server that recovers. `moves` are the renames in order, `tablespaces` their production
    locations by OID. `asked` says what the request of the `request_id` was. `in_place`: production's own files are written over, and none
    are kept. `found_unusable`: production's files were of no use already when this one began, since an earlier one of that kind was
    interrupted, or they were lost. `recovering` is the data directory that a server of ours recovers; empty in place, where that is
    production's own, and in journals of before it was written down.
    """

    model_config = ConfigDict(frozen=True)

    replacement_id: str
    step: ClusterStep
    begun_at: datetime
    changed_at: datetime
    kind: Literal["replace", "undo"]
    system_identifier: str
    data_directory: str
    kept_as: str
    target: str
    timeline: int
    coming: tuple[str, ...]
    moves: tuple[Move, ...]
    tablespaces: dict[int, str]
    backup: str
    request_id: str | None = None
    asked: str = ""
    in_place: bool = False
    found_unusable: bool = False
    recovering: str = ""

    @property
    def finished(self) -> bool:
        """Whether it needs nothing any more."""
        return self.step in ("done", "undone")

    @property
    def touched(self) -> bool:
        """Whether production may have been touched: services or PostgreSQL stopped."""
        steps = IN_PLACE_STEPS if self.in_place else CLUSTER_STEPS
        return self.step in steps[steps.index("stopping") :]


def read_cluster_replacement(replacement_id: str, entries: Sequence[ClusterEntry]) -> ClusterReplacement | None:
    """Return what the entries of one journal tell; None when it holds nothing."""
    if not entries:
        return None
    facts = entries[0].model_dump(exclude={"step", "at"})
    for entry in entries[1:]:
        facts |= {name: value for name, value in entry.model_dump(exclude={"step", "at", "kind"}).items() if value}
    return ClusterReplacement(
        replacement_id=replacement_id, step=entries[-1].step, begun_at=entries[0].at, changed_at=entries[-1].at, **facts
    )


def cluster_ending(replacement: ClusterReplacement, stand: Stand) -> ClusterEnding:
    """Return how an interrupted replacement ends, from how far the exchange of files came.

    Once PostgreSQL was started on the new files and found to be right, somebody may have written to them: from `archiving` on we go on.
    Before, production's own files are put back.

    In place there is nothing to put back: from `recovered` on, when the files are whole, we go on. Where production's files are of no use,
    by this replacement or since before it, production stays down until one is finished; what is whole and there is taken.
    """
    if replacement.finished:
        return "nothing"
    if replacement.in_place:
        if replacement.step in ("recovered", "checking", "archiving", "starting"):
            return "go_on"
        unusable = replacement.found_unusable or replacement.step == "overwriting"
        return "stay_down" if unusable else "go_back"
    if replacement.found_unusable:
        return "go_on" if stand == "after" else "stay_down"
    return "go_on" if replacement.step in ("archiving", "starting") and stand == "after" else "go_back"
