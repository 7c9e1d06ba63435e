"""What is computed from measurements."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.benchmarking.comparisons import (
    BACKUP,
    DUMP,
    DUMP_GZIP,
    ENCRYPT_UPLOAD,
    PSQL,
    RECOVER,
    RECOVER_OFF_SITE,
    RECOVER_TO_TIME,
    RESTORE,
    RESTORE_OFF_SITE,
    STEPS,
    SYNC,
    SYNC_LINE,
    UPLOAD,
    UPLOAD_LINE,
    WHOLE_STRATEGY,
    WHOLE_WAY,
    ratios,
    targets,
)
from bench.benchmarking.report import render
from bench.benchmarking.results import (
    Archiving,
    Death,
    HostDeath,
    MemoryAtSize,
    Ratio,
    Results,
    Sample,
    Spread,
    Step,
    Target,
    ratio,
    rotated,
    spread,
    together,
)

ARCHIVING = Archiving(segments=200, seconds=50.0)
HOST_DEATH = HostDeath(10, Spread(0.5, 0.4, 0.9), (Death(9.5, 180, 4.0), Death(10.25, 200, 4.5)))


def sample(wall: float, own: int | None = None, produced: int | None = None, sending: float | None = None) -> Sample:
    return Sample(
        wall_seconds=wall,
        cpu_seconds=wall / 2,
        peak_bytes=20_000_000,
        own_peak_bytes=own,
        produced_bytes=produced,
        sending_seconds=sending,
    )


def all_steps(**changes: Step) -> list[Step]:
    given = {step.name: step for step in changes.values()}
    sending = (SYNC_LINE, UPLOAD_LINE, SYNC, UPLOAD, ENCRYPT_UPLOAD)
    usual = {name: sample(2.0, 80_000_000, 1000, 1.0 if name in sending else None) for name in STEPS}
    return [given.get(name, Step(name, (usual[name], usual[name]))) for name in STEPS]


def results(steps: list[Step] | None = None, memory: tuple[MemoryAtSize, ...] = (), load: float = 0.1) -> Results:
    steps = steps or all_steps()
    version = Spread(0.03, 0.02, 0.05)
    found = ratios(steps)
    machine: dict[str, str | int | float] = {
        "cores": 2,
        "processor": "Some | Processor",
        "memory_bytes": 4_000_000_000,
        "kernel": "6.1.0",
        "load_before": load,
        "postgresql": "15.18",
        "python": "3.11.2",
        "pgkeeper": "pgkeeper 0.1.0",
    }
    data: dict[str, str | int] = {"size": "1G", "seed": "1", "rounds": 2, "database_bytes": 1_000_000_000, "sql_bytes": 600_000_000}
    kept = targets(steps, found, memory, version, ARCHIVING, HOST_DEATH)
    return Results("2026-11-22T10:00:00+00:00", machine, data, tuple(steps), found, version, memory, ARCHIVING, HOST_DEATH, kept)


def test_the_middle_value_counts_and_the_outermost_are_told() -> None:
    assert spread([3.0, 1.0, 9.0]) == Spread(3.0, 1.0, 9.0)
    assert spread([4.0]) == Spread(4.0, 4.0, 4.0)
    assert spread([1.0, 2.0]).median == 1.5


def test_ratios_are_taken_within_each_round() -> None:
    # The second round was twice as slow for everybody; the ratio of the medians would say otherwise.
    steps = {"a": Step("a", (sample(3.0), sample(6.0), sample(4.5))), "b": Step("b", (sample(2.0), sample(4.0), sample(1.5)))}
    assert ratio(steps, "a", "b", "wall_seconds") == Ratio("a", "b", "wall_seconds", Spread(1.5, 1.5, 3.0))


def test_a_quantity_that_a_step_lacks_is_none_of_its_numbers() -> None:
    assert Step("a", (sample(1.0),)).spread("produced_bytes") is None
    assert Step("a", (sample(1.0, produced=5),)).spread("produced_bytes") == Spread(5, 5, 5)


def test_every_round_begins_elsewhere_and_leaves_nothing_out() -> None:
    orders = [rotated("abcd", number) for number in range(5)]
    assert orders[0] == list("abcd")
    assert orders[1] == list("bcda")
    assert orders[4] == orders[0]
    assert all(sorted(order) == list("abcd") for order in orders)


def test_promises_are_held_against_the_middle_ratio_and_the_highest_memory() -> None:
    steps = all_steps(
        backup=Step(BACKUP, (sample(1.5, 90_000_000, 10), sample(1.5, 140_000_000, 10))),
        dump=Step(DUMP, (sample(1.0, None, 20), sample(1.0, None, 20))),
        gzip=Step(DUMP_GZIP, (sample(5.0, None, 10), sample(5.0, None, 10))),
        restore=Step(RESTORE, (sample(4.0, 80_000_000), sample(4.0, 80_000_000))),
        psql=Step(PSQL, (sample(2.0), sample(2.0))),
        sync=Step(SYNC, (sample(0.3, 160_000_000, 10, 0.15), sample(0.3, 160_000_000, 10, 0.15))),
        upload=Step(UPLOAD, (sample(0.2, None, 10, 0.1), sample(0.2, None, 10, 0.1))),
        encrypt_upload=Step(ENCRYPT_UPLOAD, (sample(1.0), sample(1.0))),
        restore_off_site=Step(RESTORE_OFF_SITE, (sample(5.0, 170_000_000), sample(5.0, 170_000_000))),
        recover=Step(RECOVER, (sample(1.0, 90_000_000), sample(1.0, 90_000_000))),
        recover_off_site=Step(RECOVER_OFF_SITE, (sample(3.0, 90_000_000), sample(3.0, 90_000_000))),
        recover_to_time=Step(RECOVER_TO_TIME, (sample(599.0, 90_000_000), sample(601.0, 90_000_000))),
    )
    memory = (
        MemoryAtSize(BACKUP, "4G", 4_000_000_000, sample(9.0, 151_000_000)),
        MemoryAtSize(SYNC, "4G", 4_000_000_000, sample(9.0, 201_000_000)),
    )
    for among, most, most_off_site in (((), 140e6, 170e6), (memory, 151e6, 201e6)):
        found = targets(steps, ratios(steps), among, Spread(0.03, 0.02, 0.9), ARCHIVING, HOST_DEATH)
        measured = [1.5, 0.3, 2.0, 0.3, 1.5, most, most_off_site, 0.03, 0.25, 0.6, 600.0, 0.25, 10.25]
        assert [target.measured for target in found] == pytest.approx(measured)
        logical = [True, False, False, True, False, most <= 150e6, most_off_site <= 200e6, True]
        assert [target.met for target in found] == [*logical, True, False, True, True, True]


def test_the_worst_death_is_held_against_archive_timeout_and_a_middling_push() -> None:
    assert HOST_DEATH.limit_seconds == pytest.approx(10.5)
    assert HOST_DEATH.lost_seconds == pytest.approx(10.25)
    worse = replace(HOST_DEATH, deaths=(*HOST_DEATH.deaths, Death(10.6, 205, 4.0)))
    steps = all_steps()
    *_others, segments, lost = targets(steps, ratios(steps), (), Spread(0.03, 0.02, 0.9), replace(ARCHIVING, seconds=62.0), worse)
    assert not segments.met
    assert not lost.met


def test_steps_one_after_the_other_are_added_up_round_by_round() -> None:
    steps = {
        "a": Step("a", (sample(1.0, 90, 5), sample(2.0, 90, 5))),
        "b": Step("b", (replace(sample(0.5), peak_bytes=30_000_000), sample(4.0))),
    }
    found = together(steps, ("a", "b"), "a; b")
    assert found.values("wall_seconds") == [1.5, 6.0]
    assert found.values("cpu_seconds") == [0.75, 3.0]
    assert found.values("peak_bytes") == [30_000_000, 20_000_000]
    assert found.spread("produced_bytes") is None


def test_the_whole_way_is_held_against_the_whole_strategy() -> None:
    steps = all_steps(
        backup=Step(BACKUP, (sample(1.0, 1, 1), sample(2.0, 1, 1))),
        sync=Step(SYNC, (sample(0.5, 1, 1, 0.1), sample(1.0, 1, 1, 0.1))),
        gzip=Step(DUMP_GZIP, (sample(4.0, None, 1), sample(8.0, None, 1))),
        encrypt_upload=Step(ENCRYPT_UPLOAD, (sample(1.0), sample(4.0))),
    )
    (whole,) = (one for one in ratios(steps) if (one.name, one.quantity) == (WHOLE_WAY, "wall_seconds"))
    assert whole.against == WHOLE_STRATEGY
    # 1.5 of 5 seconds, then 3 of 12.
    assert (whole.value.least, whole.value.most) == pytest.approx((0.25, 0.3))


def test_a_promise_is_kept_when_the_number_is_just_the_limit() -> None:
    assert Target("x", 1.6, 1.6, "times").met
    assert not Target("x", 1.6, 1.61, "times").met


def test_the_report_says_what_was_promised_and_what_came_of_it() -> None:
    slow = replace(all_steps()[0], rounds=(sample(9.0, 90_000_000, 1), sample(9.0, 90_000_000, 1)))
    text = render(results(all_steps(backup=slow)))
    assert "| pgkeeper backup, in times of pg_dump >/dev/null | 1.60 | 4.50 | **not met** |" in text
    assert "| pgkeeper --version | 0.200 s | 0.030 s | met |" in text
    assert "| pgkeeper restore | zcat \\| psql | time | 1.00 |" in text
    assert "200 segments that had waited were in both repositories after 50.0 s: 0.250 s for each, 240 a minute." in text
    assert "with `archive_timeout` at 10 s" in text
    assert "| 2 | 10.25 | 200 | 4.50 |" in text
    assert "of a database of, MB" not in text
    assert "not idle" not in text


def test_every_table_has_as_many_cells_in_each_row() -> None:
    text = render(results(memory=(MemoryAtSize(BACKUP, "4G", 4_000_000_000, sample(9.0, 80_000_000)),)))
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1, table
    assert "| pgkeeper backup | 4000 | 9.00 | 20 | 80 |" in text


def test_a_busy_machine_is_told_to_the_reader() -> None:
    assert "**The machine was not idle**: its load was 3.2" in render(results(load=3.2))


def test_the_document_holds_every_round_and_what_was_computed() -> None:
    document = json.loads(json.dumps(results().document()))
    assert document["schema"] == "pgkeeper.benchmark/1"
    assert [step["name"] for step in document["steps"]] == list(STEPS)
    assert len(document["steps"][0]["rounds"]) == 2
    assert document["steps"][0]["wall_seconds"] == {"median": 2.0, "least": 2.0, "most": 2.0}
    assert document["targets"][0]["met"] is True
    assert document["archiving"] == {"segments": 200, "seconds": 50.0, "seconds_per_segment": 0.25}
    assert document["host_death"]["limit_seconds"] == 10.5
    assert [death["lost_commits"] for death in document["host_death"]["deaths"]] == [180, 200]


def test_the_document_of_the_page_has_the_shape_of_a_real_one() -> None:
    page = (Path(__file__).parents[3] / "docs/benchmarks.md").read_text(encoding="utf-8")
    found = re.search(r"^<!-- test: benchmark -->\n+```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    real = results(memory=(MemoryAtSize(BACKUP, "4G", 4_000_000_000, sample(9.0, 80_000_000, 1000)),)).document()
    assert shape(json.loads(found[1])) == shape(real)


def shape(document: object) -> object:
    """Names and kinds of values; a list is as its first element."""
    if isinstance(document, dict):
        return {name: shape(value) for name, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [shape(document[0])]
    return "number" if isinstance(document, (int, float)) and not isinstance(document, bool) else type(document).__name__


def test_the_page_speaks_of_every_step() -> None:
    page = (Path(__file__).parents[3] / "docs/benchmarks.md").read_text(encoding="utf-8")
    missing = [name for name in STEPS if f"| `{name.replace('|', chr(92) + '|')}` |" not in page]
    assert not missing
