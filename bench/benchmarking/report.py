"""The results as Markdown, for people. Touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .results import Archiving, HostDeath, MemoryAtSize, Quantity, Ratio, Results, Spread, Step, Target

_WHAT: dict[Quantity, str] = {
    "wall_seconds": "time",
    "cpu_seconds": "processor time",
    "peak_bytes": "memory",
    "own_peak_bytes": "own memory",
    "produced_bytes": "size",
    "sending_seconds": "time of the sending itself",
}
# A machine that does something else measures something else.
_BUSY_LOAD = 0.5


def render(results: Results) -> str:
    """Return the report, ending in a line end."""
    parts = [_circumstances(results)]
    if float(results.machine["load_before"]) > _BUSY_LOAD:
        load = results.machine["load_before"]
        parts.append(f"**The machine was not idle**: its load was {load} before the first round. Trust the ratios little.")
    parts += [_targets(results.targets), _ratios(results.ratios), _steps(results.steps)]
    version = results.version_seconds
    parts.append(f"`pgkeeper --version` takes {_numbers(version, '{:.3f}')} s.")
    parts += [_archiving(results.archiving), _host_death(results.host_death)]
    if results.memory:
        parts.append(_memory(results.memory))
    return "\n\n".join(parts) + "\n"


def _circumstances(results: Results) -> str:
    machine, data = results.machine, results.data
    return (
        f"Measured {results.made_at} with {machine['pgkeeper']}, PostgreSQL {machine['postgresql']} and Python {machine['python']} on"
        f" {machine['cores']} cores ({machine['processor']}), {_megabytes(float(machine['memory_bytes']))} MB of memory, Linux"
        f" {machine['kernel']}. The demo database (`--size {data['size']} --seed {data['seed']}`) has"
        f" {_megabytes(int(data['database_bytes']))} MB, and {_megabytes(int(data['sql_bytes']))} MB as SQL."
        f" Rounds after the one that warms up: {data['rounds']}. The middle value counts, least and most are in brackets. MB: 10^6 bytes."
    )


def _targets(targets: Sequence[Target]) -> str:
    rows = [(_code(target.what), _amount(target.limit, target), _amount(target.measured, target), _met(target)) for target in targets]
    return _table(("Promised", "At most", "Measured", ""), rows)


def _met(target: Target) -> str:
    return "met" if target.met else "**not met**"


def _amount(value: float, target: Target) -> str:
    return {"times": f"{value:.2f}", "bytes": f"{_megabytes(value)} MB", "seconds": f"{value:.3f} s"}[target.unit]


def _ratios(ratios: Sequence[Ratio]) -> str:
    rows = [(_code(one.name), _code(one.against), _WHAT[one.quantity], _numbers(one.value, "{:.2f}")) for one in ratios]
    return _table(("This", "in times of this", "what", "ratio"), rows)


def _steps(steps: Sequence[Step]) -> str:
    rows = [
        (
            _code(step.name),
            _numbers(step.spread("wall_seconds"), "{:.2f}"),
            _numbers(step.spread("sending_seconds"), "{:.2f}"),
            _numbers(step.spread("cpu_seconds"), "{:.2f}"),
            _numbers(_scaled(step.spread("peak_bytes")), "{:.0f}"),
            _numbers(_scaled(step.spread("own_peak_bytes")), "{:.0f}"),
            _numbers(_scaled(step.spread("produced_bytes")), "{:.1f}"),
        )
        for step in steps
    ]
    return _table(("Step", "Time, s", "Sending, s", "Processor time, s", "Memory, MB", "Own memory, MB", "Produced, MB"), rows)


def _archiving(archiving: Archiving) -> str:
    return (
        f"Archiving: {archiving.segments} segments that had waited were in both repositories after {archiving.seconds:.1f} s:"
        f" {archiving.seconds_per_segment:.3f} s for each, {60 / archiving.seconds_per_segment:.0f} a minute."
    )


def _host_death(found: HostDeath) -> str:
    told = (
        f"The host's death, with `archive_timeout` at {found.archive_timeout_seconds} s. A full segment that is ended is in both"
        f" repositories after {_numbers(found.push_seconds, '{:.2f}')} s."
    )
    rows = [
        (str(number), f"{death.lost_seconds:.2f}", str(death.lost_commits), f"{death.recovery_seconds:.2f}")
        for number, death in enumerate(found.deaths, 1)
    ]
    return f"{told}\n\n{_table(('Death', 'Lost, s', 'Lost commits', 'Recovered after, s'), rows)}"


def _memory(memory: Sequence[MemoryAtSize]) -> str:
    rows = [
        (
            _code(one.name),
            _megabytes(one.database_bytes),
            f"{one.sample.wall_seconds:.2f}",
            _megabytes(one.sample.peak_bytes),
            _megabytes(one.sample.own_peak_bytes or 0),
        )
        for one in memory
    ]
    return _table(("Step", "of a database of, MB", "Time, s", "Memory, MB", "Own memory, MB"), rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(name: str) -> str:
    """Show a command as one; a bar inside would end the table's cell."""
    return name.replace("|", "\\|")


def _scaled(value: Spread | None) -> Spread | None:
    return None if value is None else Spread(value.median / 1e6, value.least / 1e6, value.most / 1e6)


def _numbers(value: Spread | None, form: str) -> str:
    if value is None:
        return ""
    median, least, most = (form.format(number) for number in (value.median, value.least, value.most))
    return median if least == most else f"{median} ({least} to {most})"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f}"
