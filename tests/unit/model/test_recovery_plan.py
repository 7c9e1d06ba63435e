"""What cannot be had is refused with what can, and never silently replaced by another moment."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.coverage import Coverage, Gap, Span
from pgkeeper.model.errors import RefusedError, UsageError
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.recovery_plan import Plan, plan_recovery
from pgkeeper.model.recovery_target import Target, parse_time
from pgkeeper.model.wal import Segment, format_lsn, parse_lsn

DAY = datetime(2026, 11, 26, tzinfo=UTC)
SEGMENT = 16 << 20


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


def lsn(hours: float) -> str:
    """The position of the log at an hour: a segment each."""
    return format_lsn(round((hours + 1) * SEGMENT))


def backup(hours: float, timeline: int = 1, *, whole: bool = True) -> PhysicalBackup:
    name = Segment(timeline, int(hours) + 1).name()
    return PhysicalBackup(
        repository=1, label=f"b{hours:g}", kind="full", started_at=at(hours - 0.1), stopped_at=at(hours), begin_lsn=lsn(hours - 0.1),
        end_lsn=lsn(hours), begin_segment=name, end_segment=name, size_bytes=1, repository_bytes=1, whole=whole,
    )  # fmt: skip


def span(begins: float, ends: float, *labels: str, timeline: int = 1, is_open: bool = True) -> Span:
    return Span(
        timeline=timeline, backups=labels, begins_at=at(begins) + timedelta(seconds=1), ends_at=at(ends), begin_lsn=lsn(begins),
        end_lsn=lsn(ends), log_end_lsn=lsn(int(ends) + 1), open=is_open,
    )  # fmt: skip


BACKUPS = (backup(1), backup(4), backup(11))
GAP = Gap(timeline=1, first_segment=Segment(1, 8).name(), last_segment=Segment(1, 9).name(), segments=2, after=at(6), before=at(11))
COVERED = Coverage(repository=1, spans=(span(1, 6, "b1", "b4", is_open=False), span(11, 15, "b11")), gaps=(GAP,))


def plan(target: Target, coverage: Coverage = COVERED, backups: tuple[PhysicalBackup, ...] = BACKUPS, **more: object) -> Plan:
    return plan_recovery(target, coverage, backups, **more)  # type: ignore[arg-type]


def time(hours: float, *, exclusive: bool = False) -> Target:
    return Target(kind="time", at=at(hours), exclusive=exclusive)


@given(st.floats(0, 16))
def test_a_time_is_reached_from_the_last_backup_before_it_or_refused(hours: float) -> None:
    moment = at(hours)
    inside = at(1) + timedelta(seconds=1) <= moment < at(6) or at(11) + timedelta(seconds=1) <= moment < at(15)
    try:
        found = plan(Target(kind="time", at=moment))
    except RefusedError:
        assert not inside
        return
    assert inside
    begun = next(one for one in BACKUPS if one.label == found.backup)
    assert begun.stopped_at < moment
    assert not [one for one in BACKUPS if begun.stopped_at < one.stopped_at <= moment - timedelta(seconds=1)]
    assert parse_time(found.settings["recovery_target_time"], "UTC") == moment
    assert found.settings["recovery_target_timeline"] == "1"
    assert found.settings["recovery_target_action"] == "promote"


@given(st.floats(0, 20))
def test_the_neighbours_that_a_refusal_names_can_be_had(hours: float) -> None:
    try:
        plan(time(hours))
    except RefusedError as error:
        text = str(error)
        if found := re.search(r"next moment that can be had is (\S+ \S+ UTC)", text):
            plan(Target(kind="time", at=parse_time(found[1], "UTC")))
        if found := re.search(r"--target-lsn (\S+) --timeline (\d+)", text):
            assert plan(Target(kind="lsn", lsn=found[1]), timeline=int(found[2])).settings["recovery_target_lsn"] == found[1]
        if "--latest" in text:
            plan(Target(kind="latest"))
        assert "can be had" in text or "--target-lsn" in text or "--latest" in text


def test_in_a_gap_both_sides_are_named() -> None:
    with pytest.raises(RefusedError) as caught:
        plan(time(8))
    assert "2026-11-26 06:00:00 UTC" in str(caught.value)
    assert "2026-11-26 11:00:01 UTC" in str(caught.value)


def test_a_time_behind_the_last_commit_is_the_end_of_the_log_only_where_it_is_known_to_be_quiet() -> None:
    for target in (time(15), time(15.5), time(15.5, exclusive=True)):
        with pytest.raises(RefusedError, match="--latest"):
            plan(target)
        found = plan(target, quiet_until=at(16))
        assert not [name for name in found.settings if name.startswith("recovery_target_time") and name != "recovery_target_timeline"]
        assert found.backup == "b11"
    with pytest.raises(RefusedError):
        plan(time(16.5), quiet_until=at(16))
    with pytest.raises(RefusedError):
        plan(time(8), quiet_until=at(16))


def test_just_before_the_last_commit_is_a_time_that_postgresql_can_stop_at() -> None:
    found = plan(time(15, exclusive=True))
    assert found.settings["recovery_target_inclusive"] == "off"
    assert found.settings["recovery_target_time"] == "2026-11-26 15:00:00.000000+00"


def test_a_position_needs_a_backup_that_was_consistent_by_then() -> None:
    assert plan(Target(kind="lsn", lsn=lsn(5))).backup == "b4"
    assert plan(Target(kind="lsn", lsn=lsn(4))).backup == "b4"
    assert plan(Target(kind="lsn", lsn=lsn(3.9))).backup == "b1"
    for hours in (0.5, 8, 18):
        with pytest.raises(RefusedError):
            plan(Target(kind="lsn", lsn=lsn(hours)))
    behind = plan(Target(kind="lsn", lsn=lsn(15.5)))
    assert "recovery_target_lsn" not in behind.settings


def test_names_and_transactions_are_reached_from_a_backup_before_their_place() -> None:
    named = plan(Target(kind="name", name="deploy"), position=lsn(5))
    assert (named.backup, named.settings["recovery_target_name"]) == ("b4", "deploy")
    transaction = plan(Target(kind="xid", xid=731, exclusive=True), position=lsn(2))
    assert (transaction.backup, transaction.settings["recovery_target_xid"]) == ("b1", "731")
    assert transaction.settings["recovery_target_inclusive"] == "off"
    with pytest.raises(RefusedError):
        plan(Target(kind="name", name="deploy"), position=lsn(8))


def test_the_end_of_the_log_is_that_of_the_newest_timeline_and_not_before_a_gap() -> None:
    assert plan(Target(kind="latest")).backup == "b11"
    ended = Coverage(repository=1, spans=(span(1, 6, "b1", "b4", is_open=False),), gaps=(GAP,))
    with pytest.raises(RefusedError, match="--target-lsn") as caught:
        plan(Target(kind="latest"), ended)
    position = re.search(r"--target-lsn (\S+)", str(caught.value))
    assert position is not None
    assert plan(Target(kind="lsn", lsn=position[1]), ended).backup == "b4"


def test_the_end_of_a_backup_is_on_its_own_timeline() -> None:
    found = plan(Target(kind="immediate"), backup="b4")
    assert (found.backup, found.timeline, found.settings["recovery_target"], found.ends_at_lsn) == ("b4", 1, "immediate", lsn(4))
    assert plan(Target(kind="immediate")).backup == "b11"


def test_of_two_timelines_that_have_the_moment_the_newer_one_is_followed_unless_the_other_is_named() -> None:
    later = backup(13, 2)
    both = Coverage(repository=1, spans=(span(1, 15, "b1", "b4"), span(1, 14, "b1", "b4", "b13", timeline=2)), gaps=())
    backups = (*BACKUPS[:2], later)
    assert plan(time(12), both, backups).timeline == 2
    assert plan(time(12), both, backups, timeline=1).timeline == 1
    assert plan(time(14.5), both, backups).timeline == 1
    assert plan(Target(kind="latest"), both, backups).timeline == 2
    with pytest.raises(UsageError, match="timeline 1, 2"):
        plan(time(12), both, backups, timeline=3)


def test_a_backup_with_damaged_pages_is_taken_only_by_its_name() -> None:
    backups = (backup(1), backup(4, whole=False), backup(11))
    assert plan(time(5), backups=backups).backup == "b1"
    assert plan(time(5), backups=backups, backup="b4").backup == "b4"
    with pytest.raises(UsageError, match="b5"):
        plan(time(5), backup="b5")
    with pytest.raises(RefusedError):
        plan(time(3), backup="b4")


def test_without_any_backup_the_next_step_is_named() -> None:
    with pytest.raises(RefusedError, match="pitr backup"):
        plan(time(5), Coverage(repository=1, spans=(), gaps=()), ())


@given(st.floats(1.1, 5.9))
def test_replaying_ends_where_the_log_of_the_span_ends(hours: float) -> None:
    assert parse_lsn(plan(time(hours)).ends_at_lsn) >= parse_lsn(lsn(hours))
