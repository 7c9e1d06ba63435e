"""Which backup, which timeline and which settings of PostgreSQL bring a target back; or why nothing does, and what is nearest.

Recovery ends at a time only when it sees a commit that is later (access/transam/xlogrecovery.c, recoveryStopsBefore): with the target
included at the first commit after it, else at the first one at it or after. Without one it dies at the end of the log. A position needs a
record that begins there or behind. Nor may recovery end before the backup is consistent. A name is that of the first record that has it,
which need not be the one that is meant: so what is said is where the record begins.

The timeline to follow is the oldest one on whose own part of the log the target lies. Those that branched off behind it lead to the same
contents, but PostgreSQL would write down that production had been on them (model/timelines.py).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.coverage import Barrier, Coverage, Gap, Span
from pgkeeper.model.errors import RefusedError, UsageError
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.recovery_target import Target, show_time
from pgkeeper.model.repository import REPOSITORIES
from pgkeeper.model.timeline_choice import TimelineChoice
from pgkeeper.model.timelines import Lineage, history_name, leads_alike
from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Segment, format_lsn, parse_lsn

_TICK = timedelta(microseconds=1)
"""PostgreSQL's smallest step of time."""


class Plan(BaseModel):
    """How a target is brought back.

    `backup` is the label of what is restored first. `settings` are PostgreSQL's, the timeline always a number; without a recovery target
    among them recovery goes to the end of the log of that timeline. `ends_at_lsn` is how far it goes at most. `also_on` are other timelines
    that lead to the same time or position, and for all that is known to other contents: what was done on a timeline that was left is not on
    the one that followed. `left`: the target lies on none of production's own way, so that production did not become what it is from there.
    Neither is told where the timeline was asked for.
    """

    model_config = ConfigDict(frozen=True)

    repository: int
    backup: str
    timeline: int
    settings: dict[str, str]
    ends_at_lsn: str
    target: Target
    also_on: tuple[int, ...] = ()
    left: bool = False


def plan_recovery(  # noqa: PLR0913 - what is asked for, what there is, and what its owner knows beyond
    target: Target,
    coverage: Coverage,
    backups: Collection[PhysicalBackup],
    histories: Mapping[int, str],
    *,
    timeline: int | None = None,
    backup: str | None = None,
    quiet_until: datetime | None = None,
    position: str | None = None,
    segment_bytes: int = DEFAULT_SEGMENT_BYTES,
    production: Lineage | None = None,
) -> Plan:
    """Return how a target is brought back: from the latest backup that is consistent before it, on the way to one timeline.

    That is `production`'s, if it leads to the target, else the newest one that production was on; the newest of all where nobody knows
    where production is. `timeline` and `backup` narrow that down; a timeline that production never was on is followed only by its number,
    and a backup with damaged pages is taken only by its label. `quiet_until` says that nothing was committed on production's timeline
    between the last archived commit and then, and that all of its log up to then is archived. `position` is where the record of a name or
    transaction was found in the archived log; `timeline` is then the one it was found on the way to, as another one may have another
    transaction of that number.

    Raises UsageError (exit status 2) for a backup that the repository does not have. Raises RefusedError (exit status 6) for what can't be
    brought back, with the nearest targets that can: never is another one taken instead.
    """
    return _Planner(target, coverage, backups, histories, _Wish(timeline, backup), quiet_until, segment_bytes, production).plan(position)


@dataclass(frozen=True)
class _Wish:
    timeline: int | None
    backup: str | None


@dataclass(frozen=True)
class _Stage:
    """A span, and the backups in it that recovery may begin with, by where they end."""

    span: Span
    backups: tuple[PhysicalBackup, ...]

    def last_before(self, position: int) -> PhysicalBackup | None:
        """Return the latest backup that ends at a position or before."""
        return next((one for one in reversed(self.backups) if parse_lsn(one.end_lsn) <= position), None)


@dataclass(frozen=True)
class _End:
    """The position up to which the log must be there; with `exclusive` the byte there does not count."""

    position: int
    exclusive: bool = False

    @property
    def last(self) -> int:
        """The last position that counts."""
        return self.position - 1 if self.exclusive else self.position


@dataclass(frozen=True)
class _Stretch:
    """Moments, both ends included, that recovery reaches in one way: by a target, or as the end of the log."""

    stage: _Stage
    first: datetime
    last: datetime
    to_end: bool


class _Planner:
    def __init__(
        self,
        target: Target,
        coverage: Coverage,
        backups: Collection[PhysicalBackup],
        histories: Mapping[int, str],
        wish: _Wish,
        quiet_until: datetime | None,
        segment_bytes: int,
        production: Lineage | None,
    ) -> None:
        self._target = target
        self._coverage = coverage
        self._histories = histories
        self._wish = wish
        self._quiet_until = quiet_until
        self._segment_bytes = segment_bytes
        self._known = {one.label: one for one in backups if one.repository == coverage.repository}
        if wish.backup is not None and wish.backup not in self._known:
            raise UsageError(
                f"there is no backup {wish.backup} in the repository {self._repository}",
                "",
                f"it has {', '.join(sorted(self._known)) or 'none'}",
            )
        self._choice = TimelineChoice(coverage, histories, production, wish.timeline)
        self._everything = tuple(self._find_stages())
        self._stages = tuple(stage for stage in self._everything if self._choice.is_meant(stage.span.timeline))

    def plan(self, position: str | None) -> Plan:
        """Return the plan. Raises RefusedError where there is none."""
        if bad := next((one for one in self._coverage.unusable if one.timeline == self._wish.timeline), None):
            raise self._refused(f"timeline {bad.timeline} is of no use: {bad.why}", self._widen())
        if not self._stages:
            raise self._refused("no backup with its log serves for it", self._widen())
        match self._target.kind:
            case "time":
                return self._to_time()
            case "lsn":
                return self._to_position(self._target.lsn)
            case "name" | "xid":
                return self._to_position(position)
            case "immediate":
                return self._to_consistency()
            case "latest":
                return self._to_end()

    def _to_time(self) -> Plan:
        at = self._target.at
        assert at is not None
        stretches = [stretch for stage in self._stages for stretch in self._stretches(stage)]
        serving = [stretch for stretch in stretches if stretch.first <= at <= stretch.last]
        if serving:
            stage, to_end = serving[0].stage, serving[0].to_end
            chosen = [one for one in stage.backups if one.consistent_at <= at][-1]
            settings = _behind(stage.span.end_lsn) if to_end else self._bounded({"recovery_target_time": _postgres_time(at)})
            end = _End(parse_lsn(stage.span.end_lsn)) if to_end else self._stops_by(stage)
            return self._planned(stage, chosen, settings, None, end, [one.stage for one in serving])
        before = max((stretch.last for stretch in stretches if stretch.last < at), default=None)
        after = min((stretch.first for stretch in stretches if stretch.first > at), default=None)
        raise self._refused(
            self._why_not(at, after),
            self._nearest(
                "moment",
                self._serving_strangers(self._serves_time),
                *(None if one is None else show_time(one, "UTC") for one in (before, after)),
            ),
        )

    def _stretches(self, stage: _Stage) -> Iterator[_Stretch]:
        """Yield which moments of a span recovery reaches, and how."""
        span, exclusive = stage.span, self._target.exclusive
        first = min(one.consistent_at for one in stage.backups)
        # A span of one moment may be a backup without a commit behind it, where nothing stops recovery.
        last = span.ends_at if exclusive else span.ends_at - _TICK
        if span.begins_at < span.ends_at and first <= last:
            yield _Stretch(stage, first, last, to_end=False)
        quiet_from = max(first, span.ends_at + _TICK if exclusive else span.ends_at)
        if self._quiet_until and span.open and span.timeline == self._choice.newest and quiet_from <= self._quiet_until:
            yield _Stretch(stage, quiet_from, self._quiet_until, to_end=True)

    def _to_position(self, text: str | None) -> Plan:
        if text is None:
            raise self._refused("its record is not in the archived log", "pitr window shows what is")
        position = parse_lsn(text)

        def serves(stage: _Stage) -> bool:
            return stage.last_before(position) is not None and self._reaches(stage.span, position)

        serving = [stage for stage in self._stages if serves(stage)]
        if serving and (chosen := serving[0].last_before(position)):
            end = _End(position, self._target.exclusive)
            if self._target.kind == "name":
                return self._planned(serving[0], chosen, _behind(text), text, end, serving)
            value = {"recovery_target_xid": str(self._target.xid)} if self._target.kind == "xid" else {"recovery_target_lsn": text}
            return self._planned(serving[0], chosen, self._bounded(value), text, end, serving)
        spans = [(parse_lsn(stage.backups[0].end_lsn), parse_lsn(stage.span.end_lsn)) for stage in self._stages]
        before = max((end for _, end in spans if end < position), default=None)
        after = min((begin for begin, _ in spans if begin > position), default=None)
        where = "" if self._target.kind == "lsn" else f"it lies at {text}, and "
        raise self._refused(
            f"{where}no run of archived log leads there from a backup",
            self._nearest(
                "--target-lsn", self._serving_strangers(serves), *(None if one is None else format_lsn(one) for one in (before, after))
            ),
        )

    def _reaches(self, span: Span, position: int) -> bool:
        """Tell whether the log of a span holds the record that ends recovery at a position behind its begin."""
        if self._target.kind == "lsn":
            return position <= parse_lsn(span.end_lsn)
        # The record was found, so where no gap is between it and the span, it is in the span's run of segments.
        number = position // self._segment_bytes
        last = parse_lsn(span.end_lsn) // self._segment_bytes
        gaps = [self._number(gap) for gap in self._coverage.gaps if gap.timeline == span.timeline]
        end = parse_lsn(span.end_lsn)
        barriers = [parse_lsn(one.lsn) for one in self._coverage.barriers if one.timeline == span.timeline]
        if any(end <= barrier <= position for barrier in barriers):
            return False
        return number <= last or not any(last < gap <= number for gap in gaps)

    def _nearest(self, kind: str, strangers: Collection[int], before: str | None, after: str | None) -> str:
        """Return what to ask for instead."""
        found = [f"--timeline {one} leads there, on which production never was" for one in strangers]
        found += [f"the nearest {kind} {word} it is {one}" for word, one in (("before", before), ("after", after)) if one is not None]
        if after is None and self._end_serves():
            found.append("--latest brings back the end of the log")
        return "; ".join(found) or self._widen()

    def _to_consistency(self) -> Plan:
        newest = [stage for stage in self._stages if stage.span.timeline == self._stages[0].span.timeline]
        stage = max(newest, key=lambda one: parse_lsn(one.backups[-1].end_lsn))
        chosen = stage.backups[-1]
        return self._planned(
            stage, chosen, {"recovery_target": "immediate"}, chosen.end_lsn, _End(parse_lsn(chosen.end_lsn), exclusive=True)
        )

    def _to_end(self) -> Plan:
        stage = self._stages[0]
        span = stage.span
        if self._wish.timeline is None and span.timeline != self._choice.newest:
            raise self._refused(
                f"nothing leads to the end of the newest timeline, {self._choice.newest}, yet",
                f"--timeline {span.timeline} brings back the end of one that was left",
            )
        if not self._end_serves():
            barriers = [one for one in self._coverage.barriers if one.timeline == span.timeline and one.before is None]
            gap = f"a gap in the log of timeline {span.timeline} lies before its end"
            raise self._refused(
                _why_barrier(barriers[-1]) if barriers and barriers[-1].after == span.ends_at else gap,
                f"--target-lsn {span.end_lsn} --timeline {span.timeline} goes up to there, with {show_time(span.ends_at, 'UTC')}",
            )
        return self._planned(stage, stage.backups[-1], {}, span.end_lsn, None)

    def _end_serves(self) -> bool:
        """Tell whether the end of the log serves: without a gap before it, on the newest timeline unless another one is asked for."""
        span = self._stages[0].span
        return span.open and span.timeline == (self._choice.newest if self._wish.timeline is None else self._wish.timeline)

    def _planned(
        self,
        stage: _Stage,
        backup: PhysicalBackup,
        target: Mapping[str, str],
        ends_at_lsn: str | None,
        end: _End | None,
        serving: Collection[_Stage] = (),
    ) -> Plan:
        """Return the plan to a target on the way to the end of a span; `end` is None where recovery may go on to the last timeline.

        `ends_at_lsn` None: recovery goes no further than the span that is followed.
        """
        followed = self._oldest_to(stage, backup, end)
        self._require_history(followed.span.timeline)
        return Plan(
            repository=self._coverage.repository,
            backup=backup.label,
            timeline=followed.span.timeline,
            settings={
                **target,
                "recovery_target_timeline": str(followed.span.timeline),
                "recovery_target_action": "promote",
            },
            ends_at_lsn=ends_at_lsn or followed.span.end_lsn,
            target=self._target,
            also_on=tuple(sorted({one.span.timeline for one in serving if self._may_differ(stage, one, end)})),
            left=self._choice.is_left(stage.span.timeline, end.last if end else None),
        )

    def _oldest_to(self, stage: _Stage, backup: PhysicalBackup, end: _End | None) -> _Stage:
        """Return the span on the oldest timeline that leads from a backup to an end as the way to the end of `stage` does."""
        if end is None:
            return stage
        found = [
            one
            for one in self._everything
            if backup in one.backups and end.position <= parse_lsn(one.span.end_lsn)
            if self._choice.is_ahead_of(one.span.timeline, stage.span.timeline, end.last)
        ]
        return min(found, key=lambda one: one.span.timeline, default=stage)

    def _stops_by(self, stage: _Stage) -> _End | None:
        """Return a commit that recovery to the time does not pass, before the way leaves a timeline; None where there is none."""
        at = self._target.at
        assert at is not None
        for fork in self._coverage.forks:
            position = parse_lsn(fork.last.lsn)
            inside = parse_lsn(stage.span.begin_lsn) <= position <= parse_lsn(stage.span.end_lsn)
            if fork.timeline == stage.span.timeline and inside and (fork.last.at > at or (self._target.exclusive and fork.last.at == at)):
                return _End(position)
        return None

    def _bounded(self, target: Mapping[str, str]) -> dict[str, str]:
        """Return a target with or without what lies at it, as it was asked for."""
        return {**target, "recovery_target_inclusive": "off" if self._target.exclusive else "on"}

    def _require_history(self, timeline: int) -> None:
        """Raise RefusedError for a timeline that PostgreSQL would not find: without its history it knows none but the first."""
        if timeline > 1 and timeline not in self._histories:
            raise self._refused(
                f"the repository lacks {history_name(timeline)}, without which PostgreSQL does not follow timeline {timeline}",
                "`pgkeeper pitr backup` sends it, as long as production is on that timeline",
            )

    def _may_differ(self, stage: _Stage, other: _Stage, end: _End | None) -> bool:
        """Tell whether the target may lie where two ways have parted already, and nobody said which one is meant."""
        one, beside = stage.span.timeline, other.span.timeline
        if self._wish.timeline is not None or one == beside:
            return False
        ends = [end, self._stops_by(other) if self._target.kind == "time" else None]
        if any(known is not None and leads_alike(self._choice.way(one), self._choice.way(beside), known.last) for known in ends):
            return False
        # A backup on both ways was made before they parted, and so the target before it is on both.
        on_both = self._labels(one) & self._labels(beside) & self._known.keys()
        return self._target.kind == "lsn" or not any(
            self._target.at is not None and self._known[label].started_at >= self._target.at for label in on_both
        )

    def _labels(self, timeline: int) -> set[str]:
        return {label for span in self._coverage.spans if span.timeline == timeline for label in span.backups}

    def _find_stages(self) -> Iterator[_Stage]:
        """Yield the spans that may serve, those of production's timeline first, then the newest, and of one timeline the latest first."""

        def rank(span: Span) -> tuple[bool, int, int]:
            return *self._choice.rank(span.timeline), parse_lsn(span.begin_lsn)

        for span in sorted(self._coverage.spans, key=rank, reverse=True):
            inside = [self._known[label] for label in span.backups if label in self._known]
            serving = [one for one in inside if (one.whole if self._wish.backup is None else one.label == self._wish.backup)]
            if serving:
                yield _Stage(span, tuple(sorted(serving, key=lambda one: (parse_lsn(one.end_lsn), parse_lsn(one.begin_lsn)))))

    def _serving_strangers(self, serves: Callable[[_Stage], bool]) -> list[int]:
        """Return the timelines that lead to the target, and that production never was on."""
        if self._wish.timeline is not None:
            return []
        return sorted({stage.span.timeline for stage in self._everything if stage not in self._stages and serves(stage)})

    def _serves_time(self, stage: _Stage) -> bool:
        at = self._target.at
        return at is not None and any(stretch.first <= at <= stretch.last for stretch in self._stretches(stage))

    def _why_not(self, at: datetime, after: datetime | None) -> str:
        timelines = {stage.span.timeline for stage in self._stages}
        for gap in reversed(self._coverage.gaps):
            if gap.timeline in timelines and (gap.after is None or gap.after <= at) and (gap.before is None or at < gap.before):
                return f"log is missing there, {gap.first_segment} to {gap.last_segment}"
        for barrier in reversed(self._coverage.barriers):
            behind = barrier.after is None or barrier.after <= at
            if barrier.timeline in timelines and behind and (barrier.before is None or at < barrier.before):
                return _why_barrier(barrier)
        return "recovery finds no later commit in the archived log to stop at" if after is None else "no backup is consistent before it"

    def _widen(self) -> str:
        timelines = sorted({span.timeline for span in self._coverage.spans})
        if self._wish.timeline is not None and self._wish.timeline not in timelines:
            return f"timelines that can be brought back: {', '.join(map(str, timelines)) or 'none'}"
        damaged = [
            label for span in self._coverage.spans for label in span.backups if label in self._known and not self._known[label].whole
        ]
        if damaged and self._wish.backup is None:
            return f"--backup takes one with damaged pages: {', '.join(sorted(set(damaged)))}"
        return "pitr window shows what can be brought back"

    def _number(self, gap: Gap) -> int:
        return Segment.parse(gap.first_segment, self._segment_bytes).number

    @property
    def _repository(self) -> str:
        return REPOSITORIES[self._coverage.repository - 1]

    def _refused(self, why: str, hint: str) -> RefusedError:
        return RefusedError(f"{self._target.describe()} cannot be brought back from the repository {self._repository}", why, hint)


def _why_barrier(barrier: Barrier) -> str:
    return f"production was started with wal_level=minimal at {barrier.lsn}, and no recovery from a backup before passes that"


def _behind(position: str) -> dict[str, str]:
    """Return the target behind the record that begins at a position, the first one there or after. What is archived meanwhile stays out."""
    return {"recovery_target_lsn": position, "recovery_target_inclusive": "on"}


def _postgres_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(sep=" ", timespec="microseconds").removesuffix(":00")
