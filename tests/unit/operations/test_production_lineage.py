"""Where production is: as its server says, else its files, else as it was seen last."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgkeeper.model.timelines import Leg, Lineage, history_name
from pgkeeper.operations import production_lineage as module
from pgkeeper.operations.cluster_replacements import ClusterJournal
from pgkeeper.operations.production_lineage import production_lineage
from pgkeeper.settings import Settings

OURS, ANOTHER = "7000000000000000001", "7000000000000000002"
TWO = "1\t0/3000060\tbefore 2026-11-26 04:12:50.1+00\n"
THREE = f"{TWO}2\t0/5000000\tno recovery target specified\n"
Look = Callable[[int | None], Lineage | None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", pitr_stanza="main")


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> Look:
    """Look where production is, whose server says a timeline, or is lost with all its files."""
    (tmp_path / "pg_wal").mkdir()

    def at(timeline: int | None) -> Lineage | None:
        monkeypatch.setattr(module, "_of_server", lambda *_: None if timeline is None else (timeline, tmp_path))
        monkeypatch.setattr(module, "_of_files", lambda *_: None)
        return production_lineage(settings, OURS, {})

    return at


def write_history(directory: Path, timeline: int, text: str) -> None:
    (directory / "pg_wal" / history_name(timeline)).write_text(text)


def test_the_way_is_that_of_productions_own_history(look: Look, tmp_path: Path) -> None:
    write_history(tmp_path, 2, TWO)
    found = look(2)
    assert found == Lineage(2, (Leg(1, 0, 0x3000060), Leg(2, 0x3000060, None)), frozenset({1, 2}))
    assert found.strangers((1, 2, 3)) == [3]


def test_what_it_was_on_stays_known_and_what_was_seen_last_counts_when_it_is_lost(look: Look, tmp_path: Path) -> None:
    assert look(None) is None
    write_history(tmp_path, 3, THREE)
    assert look(3) is not None
    # As if its disk had been put back to what it was.
    back = look(1)
    assert back is not None
    assert (back.timeline, back.seen_at, back.known) == (1, None, frozenset({1, 2, 3}))
    assert look(3) is not None
    lost = look(None)
    assert lost is not None
    assert (lost.timeline, lost.known, [leg.timeline for leg in lost.way]) == (3, frozenset({1, 2, 3}), [1, 2, 3])
    assert lost.seen_at is not None


def test_what_was_seen_of_another_cluster_counts_for_nothing(look: Look, settings: Settings) -> None:
    look(1)
    assert look(None) is not None
    assert production_lineage(settings, ANOTHER, {}) is None


def test_a_history_that_production_has_lost_is_the_one_that_was_seen_or_else_archived(
    look: Look, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(2) is None, "nobody knows where it comes from"
    monkeypatch.setattr(module, "_of_server", lambda *_: (2, tmp_path))
    archived = production_lineage(settings, OURS, {2: TWO})
    assert archived is not None
    write_history(tmp_path, 2, "nonsense")
    assert look(2) == archived


def test_a_replacement_since_then_makes_what_was_seen_old(look: Look, settings: Settings) -> None:
    look(1)
    at = datetime.now(UTC) + timedelta(minutes=1)
    journal = ClusterJournal.begin(settings, at, system_identifier=OURS)
    journal.note("recovered", timeline=2)
    given_up = look(None)
    assert given_up is not None
    assert given_up.known == frozenset({1}), "production never was there yet"
    journal.note("checking")
    assert look(None) is None
    seen_again = look(1)
    assert seen_again is not None
    assert seen_again.known == frozenset({1, 2}), "it was undone since"
