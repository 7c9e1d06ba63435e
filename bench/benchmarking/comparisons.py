"""Which steps there are, which ones are compared, and what is promised about them. Touches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .results import MemoryAtSize, Quantity, Ratio, Spread, Step, Target, ratio

BACKUP = "pgkeeper backup"
RESTORE = "pgkeeper restore"
VERIFY = "pgkeeper verify --level contents"
PROVE = "pgkeeper verify --level restore"
DUMP = "pg_dump >/dev/null"
DUMP_GZIP = "pg_dump | gzip"
DUMP_DIRECTORY = "pg_dump -Fd -j2"
PSQL = "zcat | psql"
PG_RESTORE = "pg_restore -j2"

# What is read comes after what makes it: the first round, which warms up, leaves what the others read.
STEPS = (BACKUP, DUMP, DUMP_GZIP, DUMP_DIRECTORY, VERIFY, RESTORE, PSQL, PG_RESTORE, PROVE)

_COMPARED: tuple[tuple[str, str, Quantity], ...] = (
    (BACKUP, DUMP, "wall_seconds"),
    (BACKUP, DUMP_GZIP, "wall_seconds"),
    (BACKUP, DUMP_DIRECTORY, "wall_seconds"),
    (BACKUP, DUMP_GZIP, "cpu_seconds"),
    (BACKUP, DUMP_GZIP, "produced_bytes"),
    (BACKUP, DUMP_DIRECTORY, "produced_bytes"),
    (BACKUP, DUMP, "produced_bytes"),
    (VERIFY, DUMP, "wall_seconds"),
    (RESTORE, PSQL, "wall_seconds"),
    (RESTORE, PG_RESTORE, "wall_seconds"),
    (PROVE, PSQL, "wall_seconds"),
    (PROVE, RESTORE, "wall_seconds"),
)


def ratios(steps: Sequence[Step]) -> tuple[Ratio, ...]:
    """Return the ratios of one run."""
    by_name = {step.name: step for step in steps}
    return tuple(ratio(by_name, name, against, quantity) for name, against, quantity in _COMPARED)


def targets(steps: Sequence[Step], found: Sequence[Ratio], memory: Sequence[MemoryAtSize], version: Spread) -> tuple[Target, ...]:
    """Return what is promised, beside what was measured."""
    measured: Mapping[tuple[str, str], float] = {
        (one.name, one.against): one.value.median for one in found if one.quantity == "wall_seconds"
    }
    samples = [sample for step in steps for sample in step.rounds] + [one.sample for one in memory]
    own = [sample.own_peak_bytes for sample in samples if sample.own_peak_bytes is not None]
    return (
        Target(f"{BACKUP}, in times of {DUMP}", 1.6, measured[BACKUP, DUMP], "times"),
        Target(f"{BACKUP}, in times of {DUMP_GZIP}", 0.25, measured[BACKUP, DUMP_GZIP], "times"),
        Target(f"{RESTORE}, in times of {PSQL}", 1.0, measured[RESTORE, PSQL], "times"),
        Target("pgkeeper's own memory, at most, whatever it does", 150e6, max(own), "bytes"),
        Target("pgkeeper --version", 0.2, version.median, "seconds"),
    )
