"""Which kind of physical backup is made next, as a daily timetable asks."""

from datetime import timedelta

import pytest

from pgkeeper.model.physical_backup import BackupKind, PhysicalBackup, kind_due
from tests.unit.model.test_coverage import AT, made

DAY = timedelta(days=1)


def backup(kind: BackupKind, age: timedelta) -> PhysicalBackup:
    """Return a backup that began so long before AT."""
    return made(1, 1, 1).model_copy(update={"kind": kind, "started_at": AT - age})


def daily(days: int, late: timedelta) -> list[BackupKind]:
    """Return what a timetable makes that fires once a day, each second time so much late."""
    found: list[PhysicalBackup] = []
    for day in range(days):
        at = AT + day * DAY + (late if day % 2 else timedelta())
        kind = kind_due(found, at, gap=False)
        found.append(backup(kind, AT - at))
    return [one.kind for one in found]


@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=1), timedelta(hours=3)])
def test_a_daily_timetable_makes_a_full_backup_each_week_though_it_is_not_on_the_second(late: timedelta) -> None:
    assert daily(22, late) == ["full", *["diff"] * 6] * 3 + ["full"]


def test_the_newest_full_backup_counts_whatever_came_after_it_and_in_any_order() -> None:
    assert kind_due([], AT, gap=False) == "full"
    assert kind_due([backup("full", DAY), backup("full", 20 * DAY), backup("diff", timedelta())], AT, gap=False) == "diff"
    assert kind_due([backup("full", 8 * DAY), backup("diff", DAY), backup("incr", timedelta())], AT, gap=False) == "full"


def test_after_a_gap_in_the_log_recovery_begins_anew_with_a_full_backup() -> None:
    assert kind_due([backup("full", timedelta(hours=1))], AT, gap=True) == "full"
