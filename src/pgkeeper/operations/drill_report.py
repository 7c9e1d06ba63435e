"""What a drill is asked for, and what there is to say about one: the protocol that is kept."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from pgkeeper.model.drill import Phase
from pgkeeper.model.errors import ErrorInfo
from pgkeeper.off_site_settings import OffSite
from pgkeeper.operations.reports import Message, shared_status


class DrillRequest(Message):
    """Whose copies are drilled: those of this host in the store `source`, or of another one named `host`; of `databases`, or of all.

    What is restored is dropped again, unless `keep`. `trust_database` loads data as a superuser. `wait`: how long to wait for another
    drill, and then for proofs and restores of others.
    """

    source: OffSite = "cloud"
    host: str = ""
    databases: tuple[str, ...] = ()
    keep: bool = False
    trust_database: bool = False
    wait: timedelta = timedelta()


class PlannedDrill(Message):
    """What a drill would do with one database. `size_bytes` would be fetched; `target` is what it would be restored as."""

    database: str
    cluster: str
    backup_id: str
    created_at: datetime
    size_bytes: int
    target: str


class DrillPlan(Message):
    """What a drill would do now. `last` is the last one of the same host's copies that is remembered here."""

    host: str
    where: str
    databases: tuple[PlannedDrill, ...]
    last: datetime | None = None


class DrillOutcome(Message):
    """How it went with one database. `phases` maps each phase that was begun to its seconds; `prove` is no part of `recovery_seconds`.

    `age_seconds` is how old the data was when the drill began. `size_bytes` was fetched. `tables` and `rows` were compared, both in the
    sandbox and in the cluster, where the database was called `target`; it is there still if it was `kept`.
    """

    database: str
    cluster: str
    backup_id: str
    status: Literal["done", "failed"]
    snapshot_at: datetime | None = None
    age_seconds: float | None = None
    size_bytes: int
    database_bytes: int | None = None
    tables: int | None = None
    rows: int | None = None
    target: str | None = None
    kept: bool = False
    phases: dict[Phase, float] = Field(default_factory=dict)
    recovery_seconds: float | None = None
    warnings: tuple[str, ...] = ()
    error: ErrorInfo | None = None


class DrillReport(Message):
    """The protocol of one drill: the copies of `host`, restored on `drilled_on` into PostgreSQL `server_version`.

    `phases` holds the seconds of all databases together, one after the other; `recovery_seconds` is what a real loss would take, None where
    not every database came back. `age_seconds` is that of the oldest data. `unchanged` says whether the store listed as before, None where
    that is not known. `error` is what failed of the drill as a whole.
    """

    drill_id: str
    store: OffSite
    where: str
    host: str
    drilled_on: str
    server_version: str
    started_at: datetime
    finished_at: datetime
    seconds: float
    copies: int
    outcomes: tuple[DrillOutcome, ...]
    phases: dict[Phase, float]
    recovery_seconds: float | None = None
    age_seconds: float | None = None
    unchanged: bool | None = None
    warnings: tuple[str, ...] = ()
    error: ErrorInfo | None = None

    @property
    def exit_status(self) -> int:
        """Return 0 when the drill was passed, else the status all failures share, or 1 when they differ."""
        return shared_status([self.error, *(outcome.error for outcome in self.outcomes)])

    @property
    def passed(self) -> bool:
        """Tell whether everything came back, and nothing changed where it came from."""
        return self.exit_status == 0
