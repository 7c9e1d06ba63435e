"""Replacing a database by a restored one: what the journal says was done, and from there what has to be done after a crash.

Production's name belongs to one database at any moment, and which one it is only the server knows. So a crash is judged by both: how far
the journal says we were, and which database has the name now.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.names import fit_name

Step = Literal["begun", "saved", "restored", "stopping", "closing", "swapping", "starting", "done", "undone"]
STEPS: tuple[Step, ...] = ("begun", "saved", "restored", "stopping", "closing", "swapping", "starting", "done")
"""In this order, each written before it is taken: `begun`; `saved` (a pre_restore backup is there); `restored` (the new one is there, and
closed); `stopping` the services; `closing` the database; `swapping` names; `starting` the services; `done`. A replacement that was given
up ends with `undone` instead."""
Ending = Literal["nothing", "go_on", "go_back"]
CONFIRMATION = "RESTORE"
"""The word that whoever wants a replacement, or its undoing, must say."""


class Entry(BaseModel):
    """One line of the journal. OIDs name databases whatever they are called by then."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: Step
    at: datetime
    kind: Literal["replace", "undo"] = "replace"
    system_identifier: str = ""
    database: str = ""
    backup_id: str | None = None
    old_oid: int = 0
    new_oid: int = 0
    old_name: str = ""
    new_name: str = ""
    saved_backup: str | None = None
    request_id: str | None = None


class Replacement(BaseModel):
    """What a journal tells as a whole.

    `database` is production's name. `old_oid` has it before, and is called `old_name` after; `new_oid` is called `new_name` before, and has
    it after. `saved_backup` was made of it just before.
    """

    model_config = ConfigDict(frozen=True)

    replacement_id: str
    step: Step
    begun_at: datetime
    kind: Literal["replace", "undo"]
    system_identifier: str
    database: str
    backup_id: str | None
    old_oid: int
    new_oid: int
    old_name: str
    new_name: str
    saved_backup: str | None = None
    request_id: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it needs nothing any more."""
        return self.step in ("done", "undone")


def read_replacement(replacement_id: str, entries: Sequence[Entry]) -> Replacement | None:
    """Return what the entries of one journal tell; None when it holds nothing."""
    if not entries:
        return None
    facts = entries[0].model_dump(exclude={"step", "at"})
    for entry in entries[1:]:
        facts |= {name: value for name, value in entry.model_dump(exclude={"step", "at", "kind"}).items() if value}
    return Replacement(replacement_id=replacement_id, step=entries[-1].step, begun_at=entries[0].at, **facts)


def ending(replacement: Replacement, oid_now: int | None) -> Ending:
    """Return how an interrupted replacement ends; `oid_now` is the database that has production's name, None when there is none.

    Whoever has the name decides: the new one has it only after the swap, and then everything it needs is done but the services. While the
    old one has it, we go back. Before `stopping` production was not touched at all.
    """
    if replacement.finished:
        return "nothing"
    if oid_now is not None and oid_now == replacement.new_oid:
        return "go_on"
    return "go_back"


def was_touched(replacement: Replacement) -> bool:
    """Tell whether production may have been touched: services stopped, or the database closed."""
    return replacement.step in STEPS[STEPS.index("stopping") :]


def before_name(database: str, at: datetime, random: str) -> str:
    """Return what a replaced database is called: `<name>_before_<UTC time>_<random>`, cut to PostgreSQL's 63 bytes.

    `random` is a few hexadecimal digits, new for each name: whoever may create databases could take a name beforehand that can be guessed.
    """
    return fit_name(database, f"_before_{at:%Y%m%d_%H%M%S}_{random}")


def after_name(database: str, at: datetime, random: str) -> str:
    """Return what an undone replacement is called, which keeps what was written since."""
    return fit_name(database, f"_after_{at:%Y%m%d_%H%M%S}_{random}")


def next_name(database: str, at: datetime, random: str) -> str:
    """Return what a database is called that waits to take another's place."""
    return fit_name(database, f"_next_{at:%Y%m%d_%H%M%S}_{random}")
