"""What the last check saw is known until the next one, of attached repositories alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgkeeper.model.coverage import Span
from pgkeeper.model.repository import RepositoryName
from pgkeeper.operations import known_window as module
from pgkeeper.operations.known_window import KnownWindow, known_windows, remember_windows
from pgkeeper.settings import Settings

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
Attach = Callable[..., None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "state/pitr").mkdir(parents=True)
    return Settings(state_dir=tmp_path / "state", pitr_stanza="main")


@pytest.fixture(autouse=True)
def attach(monkeypatch: pytest.MonkeyPatch) -> Attach:
    """Say which repositories are attached; both at first."""

    def now(*names: RepositoryName) -> None:
        monkeypatch.setattr(module, "attached", lambda _settings: names)

    now("local", "cloud")
    return now


def span(hours: int, timeline: int = 1) -> Span:
    """A stretch that ends so many hours after noon."""
    ends_at = NOON + hours * HOUR
    return Span(timeline=timeline, backups=("b",), begins_at=NOON - HOUR, ends_at=ends_at, begin_lsn="0/1", end_lsn="0/2", open=True)


def window(repository: RepositoryName, hours: int, checked_at: datetime) -> KnownWindow:
    return KnownWindow(repository=repository, begins_at=NOON - HOUR, ends_at=NOON + hours * HOUR, checked_at=checked_at)


def test_the_newest_stretch_of_productions_own_timeline_is_known(settings: Settings) -> None:
    assert known_windows(settings) == ()
    remember_windows({"cloud": (span(1), span(2), span(9, timeline=5)), "local": (span(3),)}, 1, NOON, settings)
    assert known_windows(settings) == (window("local", 3, NOON), window("cloud", 2, NOON))


def test_of_a_repository_that_could_not_be_looked_into_stays_what_was_known(settings: Settings) -> None:
    remember_windows({"cloud": (span(1),), "local": (span(1),)}, 1, NOON, settings)
    remember_windows({"local": (span(4),)}, 1, NOON + HOUR, settings)
    assert known_windows(settings) == (window("local", 4, NOON + HOUR), window("cloud", 1, NOON))


def test_one_that_can_bring_nothing_back_is_not_spoken_of(settings: Settings) -> None:
    remember_windows({"local": (span(1),)}, 1, NOON, settings)
    remember_windows({"local": ()}, 1, NOON + HOUR, settings)
    assert known_windows(settings) == ()


def test_one_that_is_detached_is_not_spoken_of(settings: Settings, attach: Attach) -> None:
    remember_windows({"cloud": (span(1),), "local": (span(1),)}, 1, NOON, settings)
    attach("local")
    assert [known.repository for known in known_windows(settings)] == ["local"]


def test_a_damaged_record_says_nothing_and_is_written_again(settings: Settings) -> None:
    (settings.state_dir / "pitr/main").mkdir(parents=True, exist_ok=True)
    remember_windows({"local": (span(1),)}, 1, NOON, settings)
    (record,) = settings.state_dir.rglob("window.json")
    record.write_bytes(b'[{"repository": "local"')
    assert known_windows(settings) == ()
    remember_windows({"local": (span(2),)}, 1, NOON, settings)
    assert known_windows(settings) == (window("local", 2, NOON),)
