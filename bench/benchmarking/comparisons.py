"""Which steps there are, which ones are compared, and what is promised about them. Touches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .results import Archiving, HostDeath, MemoryAtSize, Quantity, Ratio, Spread, Step, Target, ratio, together

BACKUP = "pgkeeper backup"
RESTORE = "pgkeeper restore"
VERIFY = "pgkeeper verify --level contents"
PROVE = "pgkeeper verify --level restore"
DUMP = "pg_dump >/dev/null"
DUMP_GZIP = "pg_dump | gzip"
DUMP_DIRECTORY = "pg_dump -Fd -j2"
PSQL = "zcat | psql"
PG_RESTORE = "pg_restore -j2"
SYNC = "pgkeeper sync"
RESTORE_OFF_SITE = "pgkeeper restore --from cloud"
RECOVER = "pgkeeper pitr restore --immediate"
RECOVER_OFF_SITE = "pgkeeper pitr restore --immediate --from cloud"
RECOVER_TO_TIME = "pgkeeper pitr restore --target-time"
UPLOAD = "upload_file"
SYNC_LINE = "pgkeeper sync, through 1 GBit/s"
UPLOAD_LINE = "upload_file, through 1 GBit/s"
ENCRYPT_UPLOAD = "openssl enc; upload_file"
ARCHIVE = "archive-push into both repositories, for each segment"
LOST = "lost when the host dies: archive_timeout and a push"
WHOLE_WAY = "pgkeeper backup; pgkeeper sync"
WHOLE_STRATEGY = "pg_dump | gzip; openssl enc; upload_file"

# What is read comes after what makes it: the first round, which warms up, leaves what the others read.
STEPS = (
    *(BACKUP, DUMP, DUMP_GZIP, DUMP_DIRECTORY, VERIFY),
    *(SYNC_LINE, UPLOAD_LINE, SYNC, UPLOAD, ENCRYPT_UPLOAD),
    *(RESTORE, RESTORE_OFF_SITE, PSQL, PG_RESTORE, PROVE),
    *(RECOVER, RECOVER_OFF_SITE, RECOVER_TO_TIME),
)
OFF_SITE = (SYNC, SYNC_LINE, RESTORE_OFF_SITE, RECOVER_OFF_SITE)

_TOGETHER = {WHOLE_WAY: (BACKUP, SYNC), WHOLE_STRATEGY: (DUMP_GZIP, ENCRYPT_UPLOAD)}

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
    (SYNC, UPLOAD, "sending_seconds"),
    (SYNC_LINE, UPLOAD_LINE, "sending_seconds"),
    (SYNC, UPLOAD, "wall_seconds"),
    (SYNC, UPLOAD, "cpu_seconds"),
    (WHOLE_WAY, WHOLE_STRATEGY, "wall_seconds"),
    (WHOLE_WAY, WHOLE_STRATEGY, "cpu_seconds"),
    (RESTORE_OFF_SITE, RESTORE, "wall_seconds"),
    (RECOVER, RESTORE, "wall_seconds"),
    (RECOVER_OFF_SITE, RESTORE_OFF_SITE, "wall_seconds"),
    (RECOVER_TO_TIME, RECOVER, "wall_seconds"),
)


def ratios(steps: Sequence[Step]) -> tuple[Ratio, ...]:
    """Return the ratios of one run."""
    by_name = {step.name: step for step in steps}
    by_name |= {name: together(by_name, names, name) for name, names in _TOGETHER.items()}
    return tuple(ratio(by_name, name, against, quantity) for name, against, quantity in _COMPARED)


def targets(
    steps: Sequence[Step],
    found: Sequence[Ratio],
    memory: Sequence[MemoryAtSize],
    version: Spread,
    archiving: Archiving,
    host_death: HostDeath,
) -> tuple[Target, ...]:
    """Return what is promised, beside what was measured."""
    measured: Mapping[tuple[str, str], float] = {
        (one.name, one.against): one.value.median for one in found if one.quantity == "wall_seconds"
    }
    sending = next(one.value.median for one in found if (one.name, one.quantity) == (SYNC, "sending_seconds"))
    samples = [(step.name, sample) for step in steps for sample in step.rounds] + [(one.name, one.sample) for one in memory]
    to_time = next(step.spread("wall_seconds") for step in steps if step.name == RECOVER_TO_TIME)
    assert to_time is not None
    here = [sample.own_peak_bytes or 0 for name, sample in samples if name not in OFF_SITE]
    off_site = [sample.own_peak_bytes or 0 for name, sample in samples if name in OFF_SITE]
    return (
        Target(f"{BACKUP}, in times of {DUMP}", 1.6, measured[BACKUP, DUMP], "times"),
        Target(f"{BACKUP}, in times of {DUMP_GZIP}", 0.25, measured[BACKUP, DUMP_GZIP], "times"),
        Target(f"{RESTORE}, in times of {PSQL}", 1.0, measured[RESTORE, PSQL], "times"),
        Target(f"{WHOLE_WAY}, in times of {WHOLE_STRATEGY}", 0.3, measured[WHOLE_WAY, WHOLE_STRATEGY], "times"),
        # At least 0.8 of its speed.
        Target(f"{SYNC}, the sending itself, in times of {UPLOAD}", 1 / 0.8, sending, "times"),
        Target("pgkeeper's own memory, whatever it does on this host", 150e6, max(here), "bytes"),
        Target("pgkeeper's own memory, sending copies off site and fetching them", 200e6, max(off_site), "bytes"),
        Target("pgkeeper --version", 0.2, version.median, "seconds"),
        Target(f"{RECOVER}, in times of {RESTORE}", 0.5, measured[RECOVER, RESTORE], "times"),
        Target(f"{RECOVER_OFF_SITE}, in times of {RESTORE_OFF_SITE}", 0.5, measured[RECOVER_OFF_SITE, RESTORE_OFF_SITE], "times"),
        # The strategy has 10 to 20 minutes for it.
        Target(RECOVER_TO_TIME, 600.0, to_time.median, "seconds"),
        # 200 a minute.
        Target(ARCHIVE, 0.3, archiving.seconds_per_segment, "seconds"),
        Target(LOST, host_death.limit_seconds, host_death.lost_seconds, "seconds"),
    )
