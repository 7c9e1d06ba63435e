"""What a repository covers: never a moment that recovery could not reach."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.coverage import Archived, Commit, Coverage, coverage
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.timelines import leg_at, segment_on, way_to
from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Segment, format_lsn, parse_lsn

AT = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
BYTES = DEFAULT_SEGMENT_BYTES


def when(position: int) -> datetime:
    """Return when something was written: a segment a minute."""
    return AT + timedelta(minutes=position / BYTES)


def made(timeline: int, begin: int, end: int) -> PhysicalBackup:
    """Return a backup that needs segments `begin` to `end`."""
    first, last = begin * BYTES + 40, end * BYTES + 800
    return PhysicalBackup(
        repository=1,
        label=f"{timeline}-{begin}",
        kind="full",
        started_at=when(first),
        stopped_at=when(last),
        begin_lsn=format_lsn(first),
        end_lsn=format_lsn(last),
        begin_segment=Segment(timeline, begin).name(),
        end_segment=Segment(timeline, end).name(),
        size_bytes=1,
        repository_bytes=1,
    )


@dataclass(frozen=True)
class Repository:
    """Backups and log, and which segments hold a commit."""

    backups: tuple[PhysicalBackup, ...]
    segments: frozenset[Segment]
    quiet: frozenset[Segment] = frozenset()
    histories: Mapping[int, str] | None = None
    barriers: frozenset[tuple[Segment, int]] = frozenset()

    def covered(self) -> Coverage:
        """Return what it covers."""
        barriers = {segment: at for segment in self.segments if (at := self.barrier(segment)) is not None}
        return coverage(1, self.backups, Archived(self.segments, self.histories or {}, barriers=barriers), self.last_commit)

    def barrier(self, segment: Segment) -> int | None:
        """Return the position in a segment that no recovery passes. What it repeats of the timeline that was left is that one's."""
        positions = [position for one, position in self.barriers if one.number == segment.number]
        way = way_to(segment.timeline, (self.histories or {}).get(segment.timeline, "")) if positions else ()
        return min((at for at in positions if (Segment(leg_at(way, at).timeline, segment.number), at) in self.barriers), default=None)

    def last_commit(self, segment: Segment, before: int | None = None) -> Commit | None:
        """Return the commit in the middle of a segment; only archived ones may be asked for."""
        assert segment in self.segments
        position = segment.begin() + BYTES // 2
        # What a segment repeats of the timeline that was left is that one's.
        way = way_to(segment.timeline, (self.histories or {}).get(segment.timeline, ""))
        there = Segment(leg_at(way, position).timeline, segment.number) not in self.quiet and (before is None or position < before)
        return Commit(at=when(position), lsn=format_lsn(position), xid=segment.number) if there else None

    def file(self, timeline: int, number: int) -> Segment:
        """Return from which file a segment is read on the way to a timeline."""
        return segment_on(way_to(timeline, (self.histories or {}).get(timeline, "")), number)


@st.composite
def repositories(draw: st.DrawFn) -> Repository:
    """Draw up to four timelines, each recovered along one before, to any position on the way there, with holes and quiet stretches.

    The position may lie before that one begins, as PostgreSQL permits.
    """
    histories: dict[int, str] = {}
    segments: set[Segment] = set()
    backups: dict[str, PhysicalBackup] = {}
    lasts: dict[int, int] = {}
    begin = 1
    for timeline in range(1, draw(st.integers(1, 4)) + 1):
        if lasts:
            parent = draw(st.sampled_from(sorted(lasts)))
            begin = draw(st.integers(1, lasts[parent]))
            # Before or behind the segment's commit.
            position = begin * BYTES + 4000 + draw(st.booleans()) * BYTES // 2
            histories[timeline] = histories.get(parent, "") + f"{parent}\t{format_lsn(position)}\twhy\n"
        last = lasts[timeline] = begin + draw(st.integers(1, 10))
        segments |= {Segment(timeline, number) for number in range(begin, last + 1)}
        for number in draw(st.lists(st.integers(begin + (timeline > 1), last), max_size=3)):
            backup = made(timeline, number, min(last, number + draw(st.integers(0, 2))))
            backups[backup.label] = backup
    everything = sorted(segments)
    missing = draw(st.sets(st.sampled_from(everything), max_size=4))
    quiet = draw(st.sets(st.sampled_from(everything)))
    # Before or behind the segment's commit.
    quarters = st.sampled_from((BYTES // 4, 3 * BYTES // 4))
    barred = draw(st.sets(st.sampled_from(everything), max_size=2))
    barriers = frozenset((segment, segment.begin() + draw(quarters)) for segment in barred)
    return Repository(tuple(backups.values()), frozenset(segments - missing), frozenset(quiet), histories, barriers)


@given(repositories())
def test_no_moment_in_a_span_needs_a_missing_segment(repository: Repository) -> None:
    known = {backup.label: backup for backup in repository.backups}
    for span in repository.covered().spans:
        first = Segment.parse(known[span.backups[0]].begin_segment).number
        last = parse_lsn(span.end_lsn) // BYTES
        needed = {repository.file(span.timeline, number) for number in range(first, last + 1)}
        assert needed <= repository.segments


@given(repositories())
def test_a_span_begins_with_a_backup_and_ends_with_a_commit_or_one(repository: Repository) -> None:
    known = {backup.label: backup for backup in repository.backups}
    for span in repository.covered().spans:
        inside = [known[label] for label in span.backups]
        assert span.begins_at in (min(backup.consistent_at for backup in inside), span.ends_at)
        assert span.ends_at >= span.begins_at
        commits = {found.at for segment in repository.segments if (found := repository.last_commit(segment))}
        assert span.ends_at in commits | {span.begins_at}


@given(repositories())
def test_no_span_passes_a_barrier(repository: Repository) -> None:
    known = {backup.label: backup for backup in repository.backups}
    covered = repository.covered()
    for span in covered.spans:
        begin = min(parse_lsn(known[label].begin_lsn) for label in span.backups)
        numbers = range(begin // BYTES, parse_lsn(span.end_lsn) // BYTES + 1)
        barriers = [repository.barrier(repository.file(span.timeline, number)) for number in numbers]
        assert not [at for at in barriers if at is not None and begin <= at <= parse_lsn(span.end_lsn)]
    for barrier in covered.barriers:
        assert barrier.before is None or barrier.after is None or barrier.after <= barrier.before


@given(repositories(), st.data())
def test_losing_a_segment_makes_nothing_larger(repository: Repository, data: st.DataObject) -> None:
    before = repository.covered()
    lost = data.draw(st.sampled_from(sorted(repository.segments))) if repository.segments else None
    after = replace(repository, segments=repository.segments - {lost}).covered()
    for span in after.spans:
        assert any(
            old.timeline == span.timeline
            and parse_lsn(old.begin_lsn) <= parse_lsn(span.begin_lsn)
            and parse_lsn(span.end_lsn) <= parse_lsn(old.end_lsn)
            and set(span.backups) <= set(old.backups)
            for old in before.spans
        )


@given(repositories())
def test_gaps_and_spans_of_a_way_never_overlap(repository: Repository) -> None:
    covered = repository.covered()
    for timeline in {span.timeline for span in covered.spans}:
        taken: set[int] = set()
        ranges = [
            (parse_lsn(span.begin_lsn) // BYTES, parse_lsn(span.end_lsn) // BYTES) for span in covered.spans if span.timeline == timeline
        ]
        ranges += [
            (Segment.parse(gap.first_segment).number, Segment.parse(gap.last_segment).number)
            for gap in covered.gaps
            if gap.timeline == timeline
        ]
        for first, last in ranges:
            numbers = set(range(first, last + 1))
            assert not numbers & taken
            taken |= numbers


@given(repositories())
def test_a_gap_is_what_is_missing_and_lies_between_what_can_be_brought_back(repository: Repository) -> None:
    covered = repository.covered()
    for gap in covered.gaps:
        numbers = range(Segment.parse(gap.first_segment).number, Segment.parse(gap.last_segment).number + 1)
        assert len(numbers) == gap.segments
        assert not {repository.file(gap.timeline, number) for number in numbers} & repository.segments
        ends = {span.ends_at for span in covered.spans if span.timeline == gap.timeline}
        begins = {span.begins_at for span in covered.spans if span.timeline == gap.timeline}
        assert gap.after is None or gap.after in ends
        assert gap.before is None or gap.before in begins


def one_timeline(*numbers: int) -> frozenset[Segment]:
    return frozenset(Segment(1, number) for number in numbers)


def test_a_missing_segment_in_the_middle_is_named() -> None:
    repository = Repository((made(1, 2, 2), made(1, 7, 7)), one_timeline(2, 3, 4, 6, 7, 8))
    covered = repository.covered()
    early, late = covered.spans
    assert (early.open, late.open) == (False, True)
    (gap,) = covered.gaps
    assert (gap.first_segment, gap.last_segment, gap.segments) == (Segment(1, 5).name(), Segment(1, 5).name(), 1)
    assert (gap.after, gap.before) == (early.ends_at, late.begins_at)


def test_a_gap_without_a_backup_behind_it_is_open() -> None:
    (gap,) = Repository((made(1, 2, 2),), one_timeline(2, 3, 6)).covered().gaps
    assert (gap.segments, gap.before) == (2, None)


def test_a_backup_whose_own_log_is_not_all_there_is_no_beginning() -> None:
    covered = Repository((made(1, 2, 4),), one_timeline(2, 4, 5)).covered()
    assert covered.spans == ()
    assert [gap.first_segment for gap in covered.gaps] == [Segment(1, 3).name()]


def test_log_from_before_the_first_backup_counts_for_nothing() -> None:
    covered = Repository((made(1, 5, 5),), one_timeline(1, 3, 5, 6)).covered()
    assert [span.begins_at for span in covered.spans] == [made(1, 5, 5).consistent_at]
    assert covered.gaps == ()


def test_a_quiet_log_ends_the_span_with_its_last_commit() -> None:
    repository = Repository((made(1, 2, 2),), one_timeline(2, 3, 4, 5), quiet=one_timeline(4, 5))
    (span,) = repository.covered().spans
    assert span.ends_at == when(3 * BYTES + BYTES // 2)


def test_without_a_commit_behind_it_the_backup_is_all_there_is() -> None:
    repository = Repository((made(1, 2, 2),), one_timeline(2, 3), quiet=one_timeline(2, 3))
    (span,) = repository.covered().spans
    assert span.begins_at == span.ends_at == made(1, 2, 2).consistent_at


def test_a_timeline_that_was_left_remains_a_way_of_its_own() -> None:
    segments = one_timeline(2, 3, 4, 5) | {Segment(2, 3), Segment(2, 4)}
    histories = {2: f"1\t{format_lsn(3 * BYTES + 4000)}\twhy\n"}
    covered = Repository((made(1, 2, 2),), segments, histories=histories).covered()
    assert [(span.timeline, span.ends_at) for span in covered.spans] == [
        (1, when(5 * BYTES + BYTES // 2)),
        (2, when(4 * BYTES + BYTES // 2)),
    ]


def test_a_backup_made_after_the_parting_is_none_of_the_new_timeline() -> None:
    segments = one_timeline(2, 3, 4, 5) | {Segment(2, 3), Segment(2, 4)}
    histories = {2: f"1\t{format_lsn(3 * BYTES + 4000)}\twhy\n"}
    covered = Repository((made(1, 4, 4),), segments, histories=histories).covered()
    assert [span.timeline for span in covered.spans] == [1]


def test_a_history_that_cannot_be_read_makes_its_own_timeline_unusable_and_no_other() -> None:
    segments = one_timeline(2, 3, 4) | {Segment(2, 3), Segment(2, 4)}
    covered = coverage(1, (made(1, 2, 2),), Archived(segments, {}, unreadable={2: "it is damaged"}), Repository((), segments).last_commit)
    assert [span.timeline for span in covered.spans] == [1]
    assert [(one.timeline, one.why) for one in covered.unusable] == [(2, "it is damaged")]


def test_a_backup_without_the_one_it_builds_on_is_no_beginning() -> None:
    alone = made(1, 2, 2).model_copy(update={"prior": ("gone",)})
    assert Repository((alone,), one_timeline(2, 3)).covered().spans == ()
