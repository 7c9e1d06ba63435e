"""What came out of a benchmark, and what can be computed from it. Touches nothing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

SCHEMA = "pgkeeper.benchmark/1"

Quantity = Literal["wall_seconds", "cpu_seconds", "peak_bytes", "own_peak_bytes", "produced_bytes", "sending_seconds"]


@dataclass(frozen=True)
class Sample:
    """One measured run of one step: seconds, bytes.

    `peak_bytes` is the memory of the command and all its descendants, `own_peak_bytes` that of pgkeeper's own process, None for others.
    `produced_bytes` is None where nothing is produced. `sending_seconds` are those of the sending itself, from the first byte of the first
    file to the answer to the last, None for whatever sends nothing.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    own_peak_bytes: int | None
    produced_bytes: int | None
    sending_seconds: float | None = None


@dataclass(frozen=True)
class Spread:
    """The middle of several values, and how far they lie apart."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Step:
    """One step's samples, a round each in the order of rounds."""

    name: str
    rounds: tuple[Sample, ...]

    def spread(self, quantity: Quantity) -> Spread | None:
        """Return how a quantity spreads over the rounds; None when it is not measured for this step."""
        values = self.values(quantity)
        return spread(values) if values else None

    def values(self, quantity: Quantity) -> list[float]:
        """Return a quantity's value of each round; none when it is not measured for this step."""
        found = [getattr(sample, quantity) for sample in self.rounds]
        return [] if None in found else found


@dataclass(frozen=True)
class Ratio:
    """One step divided by another. The ratio is taken within each round, then the middle of the rounds' ratios."""

    name: str
    against: str
    quantity: Quantity
    value: Spread


@dataclass(frozen=True)
class MemoryAtSize:
    """What the step `name` took with a database of one size."""

    name: str
    size: str
    database_bytes: int
    sample: Sample


@dataclass(frozen=True)
class Archiving:
    """How long it took until so many segments that had waited were in both repositories."""

    segments: int
    seconds: float

    @property
    def seconds_per_segment(self) -> float:
        """How long one took, among many."""
        return self.seconds / self.segments


@dataclass(frozen=True)
class Death:
    """What was lost when the host died.

    `lost_seconds` are those between the last commit that was brought back and the death, `lost_commits` those that had been acknowledged,
    and `recovery_seconds` how long it took until the rest was there again.
    """

    lost_seconds: float
    lost_commits: int
    recovery_seconds: float


@dataclass(frozen=True)
class HostDeath:
    """The host's deaths. `push_seconds`: from the end of a full segment until it is archived."""

    archive_timeout_seconds: int
    push_seconds: Spread
    deaths: tuple[Death, ...]

    @property
    def limit_seconds(self) -> float:
        """What may be lost at most: what waits for its segment's end, and what is on its way."""
        return self.archive_timeout_seconds + self.push_seconds.median

    @property
    def lost_seconds(self) -> float:
        """What the worst death lost."""
        return max(death.lost_seconds for death in self.deaths)


@dataclass(frozen=True)
class Target:
    """A promise about a measured number: at most `limit`."""

    what: str
    limit: float
    measured: float
    unit: Literal["times", "bytes", "seconds"]

    @property
    def met(self) -> bool:
        """Whether the measured number keeps the promise."""
        return self.measured <= self.limit


@dataclass(frozen=True)
class Results:
    """Everything one run found."""

    made_at: str
    machine: Mapping[str, str | int | float]
    data: Mapping[str, str | int]
    steps: tuple[Step, ...]
    ratios: tuple[Ratio, ...]
    version_seconds: Spread
    memory: tuple[MemoryAtSize, ...]
    archiving: Archiving
    host_death: HostDeath
    targets: tuple[Target, ...]

    def document(self) -> dict[str, Any]:
        """Return it as a document of the shape that docs/benchmarks.md describes."""
        quantities = get_args(Quantity)
        return {
            "schema": SCHEMA,
            "made_at": self.made_at,
            "machine": dict(self.machine),
            "data": dict(self.data),
            "steps": [
                {
                    "name": step.name,
                    "rounds": [asdict(sample) for sample in step.rounds],
                    **{quantity: _as_dict(step.spread(quantity)) for quantity in quantities},
                }
                for step in self.steps
            ],
            "ratios": [asdict(ratio) for ratio in self.ratios],
            "version_seconds": asdict(self.version_seconds),
            "memory": [asdict(found) for found in self.memory],
            "archiving": {**asdict(self.archiving), "seconds_per_segment": round(self.archiving.seconds_per_segment, 4)},
            "host_death": {
                **asdict(self.host_death),
                "lost_seconds": self.host_death.lost_seconds,
                "limit_seconds": round(self.host_death.limit_seconds, 4),
            },
            "targets": [{**asdict(target), "met": target.met} for target in self.targets],
        }


def _as_dict(value: Spread | None) -> dict[str, float] | None:
    return None if value is None else asdict(value)


def spread(values: Sequence[float]) -> Spread:
    """Return the median of some values, the least and the most of them."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(steps: Mapping[str, Step], name: str, against: str, quantity: Quantity) -> Ratio:
    """Return one step's quantity divided by another's, round by round: what slows a whole round down cancels out."""
    pairs = zip(steps[name].values(quantity), steps[against].values(quantity), strict=True)
    return Ratio(name, against, quantity, spread([own / other for own, other in pairs]))


def together(steps: Mapping[str, Step], names: Sequence[str], name: str) -> Step:
    """Return steps that are taken one after the other as a single one, round by round; what each of them produced is left out."""
    rounds = zip(*(steps[each].rounds for each in names), strict=True)
    return Step(name, tuple(_one_after_the_other(samples) for samples in rounds))


def _one_after_the_other(samples: Sequence[Sample]) -> Sample:
    return Sample(
        wall_seconds=sum(sample.wall_seconds for sample in samples),
        cpu_seconds=sum(sample.cpu_seconds for sample in samples),
        peak_bytes=max(sample.peak_bytes for sample in samples),
        own_peak_bytes=None,
        produced_bytes=None,
    )


def rotated(names: Sequence[str], number: int) -> list[str]:
    """Return the order of round `number`: each round begins with another step, so that none always follows the same one's rest."""
    start = number % len(names)
    return [*names[start:], *names[:start]]
