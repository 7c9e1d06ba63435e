"""Recovery plans, tried on a recovery that stops where PostgreSQL's does: at the target, or not begun at all."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pgkeeper.model.coverage import Span
from pgkeeper.model.errors import RefusedError, UsageError
from pgkeeper.model.recovery_plan import Plan, plan_recovery
from pgkeeper.model.recovery_target import Target, make_target, parse_time
from pgkeeper.model.timelines import Leg, Lineage, leg_at, named_in, way_to
from pgkeeper.model.wal import Segment, format_lsn, parse_lsn
from tests.unit.model.test_coverage import AT, BYTES, Repository, made, one_timeline, repositories, when

TICK = timedelta(microseconds=1)
LATER = AT + timedelta(days=1)


class RecoveryDiedError(Exception):
    """What PostgreSQL calls FATAL."""


def plan(repository: Repository, target: Target, **how: object) -> Plan:
    """Plan with all that the repository holds."""
    return plan_recovery(target, repository.covered(), repository.backups, repository.histories or {}, **how)  # type: ignore[arg-type]


def time(at: datetime, *, exclusive: bool = False) -> Target:
    return Target(kind="time", at=at, exclusive=exclusive)


def commits_read(repository: Repository, label: str, timeline: int) -> list[tuple[int, datetime]]:
    """Return position and time of what recovery replays until it finds no further segment."""
    found = []
    number = Segment.parse(next(one for one in repository.backups if one.label == label).begin_segment).number
    while (file := repository.file(timeline, number)) in repository.segments:
        if commit := repository.last_commit(file):
            found.append((parse_lsn(commit.lsn), commit.at))
        number += 1
    return found


def recover(repository: Repository, planned: Plan) -> list[tuple[int, datetime]]:
    """Return the commits that are there when recovery has ended, as PostgreSQL ends it (recoveryStopsBefore, recoveryStopsAfter)."""
    (backup,) = (one for one in repository.backups if one.label == planned.backup)
    read = commits_read(repository, planned.backup, planned.timeline)
    inclusive = planned.settings.get("recovery_target_inclusive", "on") == "on"
    if at := planned.settings.get("recovery_target_time"):
        moment = datetime.fromisoformat(at)
        stops = [position for position, time in read if (time > moment if inclusive else time >= moment)]
        stop = stops[0] if stops else None
    elif lsn := planned.settings.get("recovery_target_lsn"):
        # Behind a backup's end its switch to the next segment is recorded.
        ends = [parse_lsn(one.end_lsn) for one in repository.backups]
        last = parse_lsn(backup.begin_lsn) // BYTES
        while repository.file(planned.timeline, last + 1) in repository.segments:
            last += 1
        records = sorted(one for one in [*ends, *(position for position, _ in read)] if one // BYTES <= last)
        stop = next((one + inclusive for one in records if one >= parse_lsn(lsn)), None)
    else:
        require_no_barrier(repository, planned, None)
        return read
    require_no_barrier(repository, planned, stop)
    if stop is None:
        raise RecoveryDiedError("recovery ended before configured recovery target was reached")
    if stop < parse_lsn(backup.end_lsn):
        raise RecoveryDiedError("requested recovery stop point is before consistent recovery point")
    return [(position, time) for position, time in read if position < stop]


def require_no_barrier(repository: Repository, planned: Plan, stop: int | None) -> None:
    """Recovery dies at a barrier, unless it stops before."""
    (backup,) = (one for one in repository.backups if one.label == planned.backup)
    number = parse_lsn(backup.begin_lsn) // BYTES
    while (file := repository.file(planned.timeline, number)) in repository.segments:
        barrier = repository.barrier(file)
        if barrier is not None and (stop is None or barrier < stop):
            raise RecoveryDiedError('WAL was generated with "wal_level=minimal", cannot continue recovering')
        number += 1


def moments(repository: Repository) -> st.SearchStrategy[datetime]:
    """Draw moments, most of them close to something that matters."""
    edges = [one.stopped_at for one in repository.backups] + [one.consistent_at for one in repository.backups]
    edges += [commit.at for segment in repository.segments if (commit := repository.last_commit(segment))]
    near = st.sampled_from(sorted(edges)) if edges else st.just(AT)
    return st.one_of(
        st.builds(lambda at, off: at + off, near, st.sampled_from((-TICK, timedelta(0), TICK))),
        st.integers(0, 3000).map(lambda seconds: AT + timedelta(seconds=seconds)),
    )


@st.composite
def asked_for_times(draw: st.DrawFn) -> tuple[Repository, Target, datetime | None]:
    """Draw a repository, a time and until when nothing more was committed."""
    repository = draw(repositories())
    target = time(draw(moments(repository)), exclusive=draw(st.booleans()))
    return repository, target, draw(st.sampled_from((None, LATER, target.at)))


@given(asked_for_times())
def test_recovery_to_a_time_ends_with_exactly_the_commits_up_to_it(asked: tuple[Repository, Target, datetime | None]) -> None:
    repository, target, quiet_until = asked
    try:
        planned = plan(repository, target, quiet_until=quiet_until)
    except RefusedError:
        return
    assert target.at is not None
    there = recover(repository, planned)
    read = commits_read(repository, planned.backup, planned.timeline)
    assert there == [(position, at) for position, at in read if at < target.at or (at == target.at and not target.exclusive)]


@given(asked_for_times(), st.sampled_from((1, 2, 3)))
def test_no_time_is_refused_that_recovery_would_reach(asked: tuple[Repository, Target, datetime | None], timeline: int) -> None:
    repository, target, _ = asked
    try:
        plan(repository, target, timeline=timeline)
    except RefusedError:
        assert target.at is not None
        for span in repository.covered().spans:
            for one in repository.backups:
                if span.timeline == timeline and one.label in span.backups and one.consistent_at <= target.at:
                    settings = {
                        "recovery_target_time": target.at.isoformat(),
                        "recovery_target_inclusive": "off" if target.exclusive else "on",
                    }
                    wanted = Plan(repository=1, backup=one.label, timeline=timeline, settings=settings, ends_at_lsn="0/0", target=target)
                    with pytest.raises(RecoveryDiedError):
                        recover(repository, wanted)


@given(asked_for_times())
def test_the_backup_ends_before_the_target_and_the_log_from_it_on_is_there(asked: tuple[Repository, Target, datetime | None]) -> None:
    repository, target, quiet_until = asked
    try:
        planned = plan(repository, target, quiet_until=quiet_until)
    except RefusedError:
        return
    assert target.at is not None
    (backup,) = (one for one in repository.backups if one.label == planned.backup)
    assert backup.stopped_at < target.at
    span = span_of(repository, planned)
    assert not [
        one
        for one in repository.backups
        if one.label in span.backups and one.consistent_at <= target.at and parse_lsn(one.end_lsn) > parse_lsn(backup.end_lsn)
    ]
    needed = range(Segment.parse(backup.begin_segment).number, parse_lsn(planned.ends_at_lsn) // BYTES + 1)
    assert {repository.file(planned.timeline, number) for number in needed} <= repository.segments


@given(asked_for_times())
def test_a_refused_time_names_the_nearest_ones_and_they_are_accepted(asked: tuple[Repository, Target, datetime | None]) -> None:
    repository, target, quiet_until = asked
    with_how = {"quiet_until": quiet_until}
    try:
        plan(repository, target, **with_how)
    except RefusedError as error:
        before, after = (re.search(rf"the nearest moment {word} it is (.+? UTC)", error.hint) for word in ("before", "after"))
        for found, step in ((before, TICK), (after, -TICK)):
            if found:
                moment = parse_time(found[1], "UTC")
                assert target.at is not None
                assert (moment < target.at) is (step == TICK)
                plan(repository, time(moment, exclusive=target.exclusive), **with_how)
                if moment + step != target.at:
                    with pytest.raises(RefusedError):
                        plan(repository, time(moment + step, exclusive=target.exclusive), **with_how)
        if "--latest" in error.hint:
            plan(repository, Target(kind="latest"))


@given(asked_for_times(), st.sampled_from(("Europe/Berlin", "America/New_York", "Asia/Kolkata")))
def test_the_same_moment_in_any_zone_gives_the_same_plan(asked: tuple[Repository, Target, datetime | None], zone: str) -> None:
    repository, target, _ = asked
    assert target.at is not None

    def answer(text: str) -> Plan | str:
        asked_for = make_target(
            time=text, name=None, xid=None, lsn=None, immediate=False, latest=False, exclusive=target.exclusive, server_zone=zone
        )
        try:
            return plan(repository, asked_for)
        except RefusedError as error:
            return str(error)

    there = target.at.astimezone(ZoneInfo(zone))
    assert answer(target.at.isoformat()) == answer(there.isoformat())
    assert answer(f"{target.at:%Y-%m-%d %H:%M:%S.%f} UTC") == answer(there.isoformat())


@given(repositories(), st.integers(0, 40 * 8), st.booleans())
def test_recovery_to_a_position_ends_there_or_is_refused_with_the_nearest(repository: Repository, eighth: int, exclusive: bool) -> None:
    target = Target(kind="lsn", lsn=format_lsn(BYTES + eighth * BYTES // 8), exclusive=exclusive)
    try:
        planned = plan(repository, target)
    except RefusedError as error:
        for found in re.findall(r"the nearest --target-lsn \w+ it is (\w+/\w+)", error.hint):
            nearest = Target(kind="lsn", lsn=found, exclusive=exclusive)
            recover(repository, plan(repository, nearest))
        return
    position = parse_lsn(target.lsn)
    there = recover(repository, planned)
    read = commits_read(repository, planned.backup, planned.timeline)
    assert [one for one, _ in there if one < position] == [one for one, _ in read if one < position]
    assert planned.ends_at_lsn == target.lsn


@given(repositories(), st.data())
def test_a_found_record_is_reached_from_a_backup_before_it_through_log_that_is_there(repository: Repository, data: st.DataObject) -> None:
    assume(repository.segments)
    segment = data.draw(st.sampled_from(sorted(repository.segments)))
    position = segment.begin() + data.draw(st.integers(5000, BYTES - 1))
    target = data.draw(st.sampled_from((Target(kind="name", name="here"), Target(kind="xid", xid=1234, exclusive=True))))
    begun = [
        one
        for span in repository.covered().spans
        for one in repository.backups
        if span.timeline == segment.timeline and one.label in span.backups and parse_lsn(one.end_lsn) <= position
        if all(repository.file(segment.timeline, n) in repository.segments for n in segments_between(one.begin_segment, position))
        if not any(
            barrier is not None and barrier <= position
            for n in segments_between(one.begin_segment, position)
            for barrier in [repository.barrier(repository.file(segment.timeline, n))]
        )
    ]
    try:
        planned = plan(repository, target, timeline=segment.timeline, position=format_lsn(position))
    except RefusedError:
        assert not begun
        return
    assert planned.backup == max(begun, key=lambda one: (parse_lsn(one.end_lsn), parse_lsn(one.begin_lsn))).label
    assert planned.ends_at_lsn == format_lsn(position)


def segments_between(name: str, position: int) -> range:
    return range(Segment.parse(name).number, position // BYTES + 1)


def span_of(repository: Repository, planned: Plan) -> Span:
    (span,) = (one for one in repository.covered().spans if one.timeline == planned.timeline and planned.backup in one.backups)
    return span


@given(repositories())
def test_latest_is_the_end_of_the_newest_timeline_or_refused_with_the_position_before_its_gap(repository: Repository) -> None:
    try:
        planned = plan(repository, Target(kind="latest"))
    except RefusedError as error:
        if found := re.search(r"--target-lsn (\S+) --timeline (\d+)", error.hint):
            recover(repository, plan(repository, Target(kind="lsn", lsn=found[1]), timeline=int(found[2])))
        return
    covered = repository.covered()
    assert planned.timeline == max(*(segment.timeline for segment in repository.segments), *covered.begun, 1)
    assert not [
        segment
        for segment in repository.segments
        if segment.timeline == planned.timeline and segment.number > last_read(repository, planned)
    ]


def last_read(repository: Repository, planned: Plan) -> int:
    number = parse_lsn(planned.ends_at_lsn) // BYTES
    while repository.file(planned.timeline, number + 1) in repository.segments:
        number += 1
    return number


def pair() -> Iterator[Repository]:
    """Yield a log with two backups, and the same with a hole between them."""
    backups = (made(1, 2, 2), made(1, 6, 6))
    yield Repository(backups, one_timeline(2, 3, 4, 5, 6, 7, 8))
    yield Repository(backups, one_timeline(2, 3, 4, 6, 7, 8))


WHOLE, HOLED = pair()
GROWN = Repository(WHOLE.backups, one_timeline(2, 3, 4, 5, 6, 7, 8, 9, 10))
LAST = when(8 * BYTES + BYTES // 2)


def test_a_time_is_told_to_postgresql_in_utc_with_the_timeline_by_number() -> None:
    at = datetime(2026, 3, 29, 0, 34, 0, 250_000, tzinfo=UTC)
    planned = plan(WHOLE, time(at.astimezone(ZoneInfo("Europe/Berlin"))))
    assert planned.settings == {
        "recovery_target_time": "2026-03-29 00:34:00.250000+00",
        "recovery_target_inclusive": "on",
        "recovery_target_timeline": "1",
        "recovery_target_action": "promote",
    }
    assert (planned.repository, planned.backup, planned.timeline) == (1, "1-2", 1)


def test_a_name_a_transaction_and_the_backups_end_are_told_to_postgresql() -> None:
    here = format_lsn(7 * BYTES)
    common = {"recovery_target_timeline": "1", "recovery_target_action": "promote"}
    # PostgreSQL would stop at the first record of a name; which one is meant is known.
    assert plan(WHOLE, Target(kind="name", name="x"), position=here).settings == {
        "recovery_target_lsn": here,
        "recovery_target_inclusive": "on",
        **common,
    }
    assert plan(WHOLE, Target(kind="xid", xid=9, exclusive=True), position=here).settings == {
        "recovery_target_xid": "9",
        "recovery_target_inclusive": "off",
        **common,
    }
    assert plan(WHOLE, Target(kind="immediate")).settings == {"recovery_target": "immediate", **common}
    assert plan(WHOLE, Target(kind="latest")).settings == common


def test_a_time_behind_the_last_commit_is_refused_and_latest_is_named() -> None:
    with pytest.raises(RefusedError, match="--latest") as raised:
        plan(WHOLE, time(LAST + timedelta(minutes=1)))
    assert raised.value.exit_status == 6


def test_a_time_in_a_quiet_stretch_is_the_end_of_the_log_and_not_a_moment_further() -> None:
    quiet = LAST + timedelta(minutes=5)
    for at in (LAST, LAST + timedelta(minutes=1), quiet):
        for exclusive in {False, at != LAST}:
            planned = plan(WHOLE, time(at, exclusive=exclusive), quiet_until=quiet)
            assert "recovery_target_time" not in planned.settings
            # What is committed and archived while the backup is fetched was not asked for.
            assert recover(GROWN, planned)[-1][1] == LAST
    assert "recovery_target_time" in plan(WHOLE, time(LAST - TICK), quiet_until=quiet).settings
    assert "recovery_target_time" in plan(WHOLE, time(LAST, exclusive=True), quiet_until=quiet).settings
    with pytest.raises(RefusedError, match="2026-03-29 00:43:30 UTC"):
        plan(WHOLE, time(quiet + TICK), quiet_until=quiet)


def test_an_exclusive_time_needs_a_commit_at_it_or_later() -> None:
    plan(WHOLE, time(LAST, exclusive=True))
    with pytest.raises(RefusedError, match="2026-03-29 00:38:30 UTC"):
        plan(WHOLE, time(LAST + TICK, exclusive=True))
    alone = Repository((made(1, 2, 2),), one_timeline(2, 3), quiet=one_timeline(2, 3))
    with pytest.raises(RefusedError):
        plan(alone, time(made(1, 2, 2).consistent_at, exclusive=True))
    plan(alone, time(made(1, 2, 2).consistent_at), quiet_until=LATER)


def test_a_quiet_stretch_counts_for_no_timeline_that_was_left() -> None:
    histories = {2: f"1\t{format_lsn(4 * BYTES + 4000)}\twhy\n"}
    left = Repository(WHOLE.backups, WHOLE.segments | {Segment(2, 4), Segment(2, 5)}, histories=histories)
    with pytest.raises(RefusedError):
        plan(left, time(LAST + timedelta(minutes=1)), timeline=1, quiet_until=LATER)
    assert plan(left, time(LAST + timedelta(minutes=1)), quiet_until=LATER).timeline == 2


def test_a_time_in_a_gap_is_refused_with_the_segments_that_are_missing() -> None:
    with pytest.raises(RefusedError) as raised:
        plan(HOLED, time(when(5 * BYTES)), quiet_until=LATER)
    assert Segment(1, 5).name() in raised.value.why
    assert "before it is 2026-03-29 00:34:29.999999 UTC; the nearest moment after it is 2026-03-29 00:36:01" in raised.value.hint


def test_a_time_before_the_backup_is_surely_consistent_is_refused() -> None:
    first = made(1, 2, 2)
    with pytest.raises(RefusedError, match="no backup is consistent before it"):
        plan(WHOLE, time(first.stopped_at + timedelta(milliseconds=900)))
    assert plan(WHOLE, time(first.consistent_at)).backup == "1-2"


def test_a_position_up_to_which_a_gap_lies_is_refused() -> None:
    for target, position in ((Target(kind="lsn", lsn=format_lsn(5 * BYTES)), None), (Target(kind="name", name="x"), format_lsn(5 * BYTES))):
        with pytest.raises(RefusedError, match=r"the nearest --target-lsn before it is 0/4800000; .* after it is 0/6000320"):
            plan(HOLED, target, position=position)


def test_a_mark_behind_the_last_commit_is_reached() -> None:
    assert plan(WHOLE, Target(kind="name", name="x"), position=format_lsn(8 * BYTES + BYTES // 2 + 100)).backup == "1-6"


def test_a_record_that_was_not_found_is_refused() -> None:
    with pytest.raises(RefusedError, match="not in the archived log"):
        plan(WHOLE, Target(kind="name", name="x"))


def test_the_newest_timeline_is_followed_unless_another_one_is_asked_for() -> None:
    histories = {2: f"1\t{format_lsn(4 * BYTES + 4000)}\twhy\n"}
    parted = Repository((made(1, 2, 2),), WHOLE.segments | {Segment(2, 4), Segment(2, 5)}, histories=histories)
    at = when(3 * BYTES)
    behind = at + timedelta(minutes=1, seconds=30)
    assert plan(parted, time(behind)).settings["recovery_target_timeline"] == "2"
    assert plan(parted, time(behind), timeline=1).settings["recovery_target_timeline"] == "1"
    assert plan(parted, time(when(7 * BYTES))).timeline == 1
    with pytest.raises(RefusedError, match="1, 2"):
        plan(parted, time(at), timeline=3)


def test_a_timeline_that_may_hold_other_contents_at_the_target_is_told() -> None:
    histories = {2: f"1\t{format_lsn(4 * BYTES + 4000)}\twhy\n"}
    segments = WHOLE.segments | {Segment(2, number) for number in (4, 5, 6)}
    parted = Repository((made(1, 2, 2), made(1, 4, 4)), segments, histories=histories)
    between, shared = when(5 * BYTES), when(3 * BYTES)
    assert (plan(parted, time(between)).timeline, plan(parted, time(between)).also_on) == (2, (1,))
    assert plan(parted, time(between), timeline=2).also_on == ()
    assert plan(parted, time(shared)).also_on == ()
    assert plan(parted, Target(kind="lsn", lsn=format_lsn(5 * BYTES))).also_on == (1,)
    # The record that begins where they part is another one on each.
    assert plan(parted, Target(kind="lsn", lsn=format_lsn(4 * BYTES + 4000))).also_on == (1,)
    assert plan(parted, Target(kind="lsn", lsn=format_lsn(4 * BYTES + 4000), exclusive=True)).also_on == ()
    assert plan(parted, Target(kind="lsn", lsn=format_lsn(4 * BYTES + 3999))).also_on == ()


def way(repository: Repository, timeline: int) -> tuple[Leg, ...]:
    return way_to(timeline, (repository.histories or {}).get(timeline, ""))


def require_followed_where_it_stops(repository: Repository, target: Target, planned: Plan, stop: int) -> None:
    """The timeline that recovery follows holds the position it stops at, unless the one that does can't be followed to there."""
    holding = leg_at(way(repository, planned.timeline), stop).timeline
    if holding != planned.timeline:
        with pytest.raises(RefusedError):
            plan(repository, target, timeline=holding, backup=planned.backup)


@given(asked_for_times())
def test_a_time_is_recovered_along_the_timeline_it_lies_on(asked: tuple[Repository, Target, datetime | None]) -> None:
    repository, target, _ = asked
    assert target.at is not None
    try:
        planned = plan(repository, target)
    except RefusedError:
        return
    read = commits_read(repository, planned.backup, planned.timeline)
    stop = next(position for position, at in read if at > target.at or (target.exclusive and at == target.at))
    require_followed_where_it_stops(repository, target, planned, stop)


@given(repositories(), st.integers(0, 12 * 16), st.booleans())
def test_a_position_is_recovered_along_the_timeline_it_lies_on(repository: Repository, sixteenth: int, exclusive: bool) -> None:
    position = BYTES + sixteenth * BYTES // 16
    target = Target(kind="lsn", lsn=format_lsn(position), exclusive=exclusive)
    try:
        planned = plan(repository, target)
    except RefusedError:
        return
    require_followed_where_it_stops(repository, target, planned, position - exclusive)


def test_a_second_way_back_to_an_earlier_moment_leads_along_the_timeline_it_lies_on() -> None:
    histories = {2: f"1\t{format_lsn(4 * BYTES + 4000)}\twhy\n"}
    back = Repository((made(1, 2, 2),), WHOLE.segments | {Segment(2, 4), Segment(2, 5), Segment(2, 6)}, histories=histories)
    earlier, end = when(3 * BYTES), format_lsn(3 * BYTES)
    for target in (time(earlier), Target(kind="lsn", lsn=end), Target(kind="immediate")):
        for asked_for in (None, 2):
            planned = plan(back, target, timeline=asked_for)
            assert (planned.timeline, planned.settings["recovery_target_timeline"], planned.also_on) == (1, "1", ())
    # The number that PostgreSQL would take is in use, and it would not know.
    lacking = replace(
        back, histories={3: f"1\t{format_lsn(4 * BYTES + 4000)}\twhy\n"}, segments=WHOLE.segments | {Segment(3, 4), Segment(3, 5)}
    )
    assert plan(lacking, time(earlier)).timeline == 3


def test_a_history_that_postgresql_refuses_makes_its_own_timeline_unusable_and_no_other() -> None:
    segments = WHOLE.segments | {Segment(2, 9), Segment(3, 4), Segment(3, 5)}
    histories = {2: "nonsense", 3: f"1\t{format_lsn(4 * BYTES + 4000)}\twhy\n"}
    repository = Repository(WHOLE.backups, segments, histories=histories)
    assert [(one.timeline, "nonsense" in one.why) for one in repository.covered().unusable] == [(2, True)]
    assert plan(repository, Target(kind="latest")).timeline == 3
    with pytest.raises(RefusedError, match="the history of timeline 2 has a line that is none"):
        plan(repository, Target(kind="latest"), timeline=2)


def test_a_history_whose_log_and_backups_are_gone_blocks_nothing() -> None:
    left_behind = Repository(WHOLE.backups, WHOLE.segments, histories={7: f"1\t{format_lsn(BYTES + 4000)}\twhy\n"})
    assert plan(left_behind, Target(kind="latest")).timeline == 1


def production_on(repository: Repository, timeline: int, *others: int) -> Lineage:
    """Return where production is: on a timeline with its history's, and on others before."""
    parents = {parent for parent, _ in named_in(timeline, (repository.histories or {}).get(timeline, ""))}
    return Lineage(timeline, way(repository, timeline), frozenset({timeline, *parents, *others}))


CLONES = f"1\t{format_lsn(7 * BYTES + 4000)}\twhy\n"
CLONED = Repository(WHOLE.backups, WHOLE.segments | {Segment(2, number) for number in (7, 8, 9, 10)}, histories={2: CLONES})


def test_a_timeline_that_production_never_was_on_is_followed_only_by_its_number() -> None:
    production = production_on(CLONED, 1)
    behind = Target(kind="lsn", lsn=format_lsn(10 * BYTES))
    for target in (Target(kind="latest"), time(LAST - TICK), Target(kind="lsn", lsn=format_lsn(8 * BYTES))):
        assert (plan(CLONED, target).timeline, plan(CLONED, target, timeline=2).timeline) == (2, 2)
        planned = plan(CLONED, target, production=production)
        assert (planned.timeline, planned.also_on, planned.left) == (1, (), False)
    for target in (behind, time(when(10 * BYTES))):
        with pytest.raises(RefusedError, match="--timeline 2 leads there, on which production never was"):
            plan(CLONED, target, production=production)
        assert plan(CLONED, target, production=production, timeline=2).timeline == 2
    # What comes behind the archived log is production's alone.
    assert plan(CLONED, time(when(10 * BYTES)), production=production, quiet_until=LATER).timeline == 1


def test_a_timeline_that_production_left_is_followed_where_it_alone_leads_to_the_target_and_that_is_told() -> None:
    undone = replace(CLONED, segments=CLONED.segments | {Segment(3, 7), Segment(3, 8)}, histories={2: CLONES, 3: CLONES})
    behind = Target(kind="lsn", lsn=format_lsn(10 * BYTES))
    planned = plan(undone, behind, production=production_on(undone, 3, 2))
    assert (planned.timeline, planned.left) == (2, True)
    planned = plan(undone, Target(kind="lsn", lsn=format_lsn(8 * BYTES)), production=production_on(undone, 3, 2))
    assert (planned.timeline, planned.left, planned.also_on) == (3, False, (1, 2))
    shared = plan(undone, Target(kind="lsn", lsn=format_lsn(5 * BYTES)), production=production_on(undone, 3, 2))
    assert (shared.timeline, shared.left, shared.also_on) == (1, False, ())


def test_a_namesake_of_productions_timeline_is_not_taken_for_it() -> None:
    other = Lineage(2, way_to(2, f"1\t{format_lsn(8 * BYTES + 4000)}\twhy\n"), frozenset({1, 2}))
    with pytest.raises(RefusedError, match="the newest timeline, 2, yet"):
        plan(CLONED, Target(kind="latest"), production=other)


@given(asked_for_times(), st.data())
def test_no_plan_leads_where_production_never_was(asked: tuple[Repository, Target, datetime | None], data: st.DataObject) -> None:
    repository, target, quiet_until = asked
    timelines = sorted({1, *(repository.histories or {})})
    production = production_on(repository, data.draw(st.sampled_from(timelines)))
    target = data.draw(st.sampled_from((target, Target(kind="latest"), Target(kind="immediate"))))
    try:
        planned = plan(repository, target, quiet_until=quiet_until, production=production)
    except RefusedError:
        return
    assert planned.timeline in production.known
    if target.kind == "latest":
        assert planned.timeline == production.timeline


@given(asked_for_times())
def test_timelines_that_are_not_told_of_hold_the_same_at_the_target(asked: tuple[Repository, Target, datetime | None]) -> None:
    repository, target, _ = asked
    try:
        planned = plan(repository, target)
    except RefusedError:
        return
    files = files_up_to(repository, planned.timeline, planned)
    for other in {span.timeline for span in repository.covered().spans} - {planned.timeline, *planned.also_on}:
        try:
            plan(repository, target, timeline=other)
        except RefusedError:
            continue
        assert files_up_to(repository, other, planned) == files


def files_up_to(repository: Repository, timeline: int, planned: Plan) -> list[Segment]:
    """Return the files whose commits are there when recovery has ended."""
    there = recover(repository, planned.model_copy(update={"timeline": timeline}))
    return [repository.file(timeline, position // BYTES) for position, _ in there]


def test_latest_is_never_the_end_of_a_timeline_that_was_left() -> None:
    undone = Repository(WHOLE.backups, WHOLE.segments, histories={2: f"1\t{format_lsn(4 * BYTES)}\twhy\n"})
    with pytest.raises(RefusedError, match="--timeline 1"):
        plan(undone, Target(kind="latest"))
    assert plan(undone, Target(kind="latest"), timeline=1).timeline == 1


def test_a_timeline_is_not_followed_without_its_history() -> None:
    segments = frozenset({*WHOLE.segments, Segment(2, 5), Segment(2, 6)})
    lacking = Repository((made(1, 2, 2), made(2, 5, 5)), segments)
    for target in (Target(kind="latest"), Target(kind="immediate"), time(when(6 * BYTES)), Target(kind="lsn", lsn=format_lsn(6 * BYTES))):
        with pytest.raises(RefusedError, match="pgkeeper pitr backup") as raised:
            plan(lacking, target)
        assert "00000002.history" in raised.value.why
        assert plan(lacking, target, timeline=1).timeline == 1
    whole = replace(lacking, histories={2: f"1\t{format_lsn(4 * BYTES + 4000)}\twhy\n"})
    assert plan(whole, Target(kind="immediate")).timeline == 2


def test_latest_behind_a_gap_is_refused_with_how_far_the_log_goes() -> None:
    ended = Repository((made(1, 2, 2),), one_timeline(2, 3, 5))
    with pytest.raises(RefusedError, match=r"--target-lsn 0/3800000 --timeline 1 .*2026-03-29 00:33:30 UTC"):
        plan(ended, Target(kind="latest"))


def test_nothing_behind_a_barrier_is_promised_before_the_next_backup() -> None:
    barriers = frozenset({(Segment(1, 5), 5 * BYTES + BYTES // 4)})
    imported = Repository((made(1, 2, 2),), WHOLE.segments, barriers=barriers)
    (span,) = imported.covered().spans
    assert (span.open, span.ends_at) == (False, when(4 * BYTES + BYTES // 2))
    for target in (Target(kind="latest"), time(when(6 * BYTES)), time(LATER)):
        with pytest.raises(RefusedError, match="wal_level=minimal at 0/5400000") as raised:
            plan(imported, target, quiet_until=LATER)
        assert "0/4800000" in raised.value.hint or "2026-03-29 00:34:29.999999 UTC" in raised.value.hint
    with pytest.raises(RefusedError):
        plan(imported, Target(kind="name", name="x"), position=format_lsn(5 * BYTES + BYTES // 2))
    assert plan(imported, Target(kind="name", name="x"), position=format_lsn(5 * BYTES + 100)).backup == "1-2"
    backed_up = replace(imported, backups=(*imported.backups, made(1, 6, 6)))
    assert plan(backed_up, Target(kind="latest"), quiet_until=LATER).backup == "1-6"
    (barrier,) = backed_up.covered().barriers
    assert (barrier.after, barrier.before) == (span.ends_at, made(1, 6, 6).consistent_at)


def test_a_damaged_backup_is_taken_only_by_its_label() -> None:
    damaged = made(1, 6, 6).model_copy(update={"whole": False})
    repository = Repository((made(1, 2, 2), damaged), WHOLE.segments)
    at = when(7 * BYTES)
    assert plan(repository, time(at)).backup == "1-2"
    assert plan(repository, time(at), backup="1-6").backup == "1-6"
    with pytest.raises(RefusedError, match="--backup takes one with damaged pages: 1-6"):
        plan(Repository((damaged,), WHOLE.segments), time(at))


def test_a_backup_that_ends_behind_the_target_is_refused_with_the_moment_it_begins_to_serve() -> None:
    with pytest.raises(RefusedError, match="the nearest moment after it is 2026-03-29 00:36:01"):
        plan(WHOLE, time(when(4 * BYTES)), backup="1-6")
    assert plan(WHOLE, time(when(7 * BYTES)), backup="1-2").backup == "1-2"
    assert plan(WHOLE, Target(kind="immediate"), backup="1-2").ends_at_lsn == made(1, 2, 2).end_lsn


def test_an_unknown_backup_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="1-2, 1-6"):
        plan(WHOLE, Target(kind="latest"), backup="gone")


def test_nothing_comes_back_from_an_empty_repository() -> None:
    for target in (time(AT), Target(kind="latest"), Target(kind="immediate"), Target(kind="lsn", lsn="0/1")):
        with pytest.raises(RefusedError):
            plan(Repository((), frozenset()), target)


def test_a_gap_before_the_backup_keeps_no_mark_behind_it_from_being_reached() -> None:
    holed = Repository(HOLED.backups, HOLED.segments, quiet=one_timeline(8))
    assert plan(holed, Target(kind="name", name="x"), position=format_lsn(8 * BYTES + 5000)).backup == "1-6"
