"""What copies off site cost, from backups in a real directory, and from copies as they will be known."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgkeeper.model.cost import StoredCopy
from pgkeeper.model.errors import ConfigurationError, UsageError
from pgkeeper.model.manifest import FileEntry
from pgkeeper.operations import cost as operation
from pgkeeper.operations.cost import CostReport, cost
from pgkeeper.operations.places import local_store
from pgkeeper.settings import Settings, load_settings
from tests.unit.builders import manifest

NOW = datetime.now(UTC).replace(microsecond=0)
SIZE = 1_660_000_000
CLOUD = {
    "BACKUP_CLOUD_ENABLED": "true",
    "BACKUP_CLOUD_PROVIDER": "backblaze",
    "BACKUP_CLOUD_ENDPOINT_URL": "https://s3.eu-central-003.backblazeb2.com",
    "BACKUP_ENCRYPTION_KEY": "k" * 44,
    "BACKBLAZE_BUCKET_NAME": "copies",
    "BACKBLAZE_KEY_ID": "id",
    "BACKBLAZE_APPLICATION_KEY": "key",
}

Configure = Callable[..., Settings]
Stored = Callable[..., None]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    (tmp_path / "state").mkdir()

    def made(**variables: str) -> Settings:
        places = {"BACKUP_DIR": str(tmp_path / "backups"), "BACKUP_STATE_DIR": str(tmp_path / "state")}
        return load_settings({"PGKEEPER_ENV_FILE": "/dev/null", **places, **variables})

    return made


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Let these copies be known: they are, to the operation, a plain list."""

    def known(*copies: StoredCopy) -> None:
        monkeypatch.setattr(operation, "_stored", lambda _settings: copies)

    return known


def back_up(settings: Settings, days: float, size: int = SIZE, database: str = "app", *, database_bytes: int = 4 * SIZE) -> None:
    """Publish a backup that says of itself that it is so old and so large."""
    said = manifest(NOW - timedelta(days=days), database=database, size=database_bytes)
    store = local_store(settings)
    with store.building("15-main", database, said.backup_id) as place:
        (place / "data").write_bytes(b"x")
        store.publish(place, said.model_copy(update={"files": (FileEntry(name="data", size=size, sha256="0" * 64),)}))


def month_of_copies(
    store: str = "cloud", provider: str = "backblaze", storage_class: str = "STANDARD", database: str = "app", growth: int = 0
) -> tuple[StoredCopy, ...]:
    return tuple(
        StoredCopy(store, provider, storage_class, "15-main", database, NOW - timedelta(days=day + 0.5), SIZE - day * growth)
        for day in range(30)
    )


def at(report: CostReport, provider: str, storage_class: str = "STANDARD") -> list[float]:
    """What the copies would cost at a provider, in the months that are told."""
    (found,) = (one for one in report.providers if (one.price.provider, one.price.storage_class) == (provider, storage_class))
    return [month.dollars for month in found.forecast]


def test_before_anything_is_off_site_the_providers_are_compared_with_a_full_retention(configure: Configure) -> None:
    settings = configure()
    back_up(settings, 1, 5)
    back_up(settings, 0)
    report = cost(settings)
    assert (report.off_site, report.stores, report.forecast) == (False, (), ())
    assert at(report, "backblaze") == [0.199] * 4
    assert at(report, "aws") == [1.1454] * 4
    assert at(report, "gcs") == [0.996] * 4
    assert at(report, "gcs", "COLDLINE") == [0.5976] * 4
    first = [one.forecast[0] for one in report.providers]
    assert {(month.copies, month.size_bytes) for month in first} == {(30, 30 * SIZE)}
    assert [month.dollars for month in first] == sorted(month.dollars for month in first)


def test_every_database_of_every_cluster_counts(configure: Configure) -> None:
    settings = configure(BACKUP_RETENTION_DAYS="90")
    back_up(settings, 0)
    back_up(settings, 0, database="shop")
    report = cost(settings)
    assert {month.size_bytes for one in report.providers for month in one.forecast} == {180 * SIZE}
    assert {one.restore_dollars for one in report.providers if one.price.provider == "gcs" and not one.price.retrieval} == {0.3984}


def test_without_backups_there_is_nothing_to_reckon_with(configure: Configure) -> None:
    with pytest.raises(UsageError, match="no backup"):
        cost(configure())


def test_a_backup_from_the_future_tells_nothing(configure: Configure) -> None:
    settings = configure()
    back_up(settings, -5, 1)
    with pytest.raises(UsageError, match="no backup"):
        cost(settings)


def test_growth_is_measured_of_the_backups_where_there_are_some_days_of_them(configure: Configure) -> None:
    settings = configure()
    for day in range(4):
        back_up(settings, day, SIZE - day * 1_000_000, database_bytes=SIZE)
        back_up(settings, day + 0.1, 9 * SIZE - day * 5_000_000, database="shop")
    report = cost(settings)
    growth, other = report.databases
    assert (other.database, other.bytes_per_day) == ("shop", 5_000_000)
    assert (growth.newest_bytes, growth.bytes_per_day, growth.measured_by) == (SIZE, 1_000_000, "backups")
    assert at(report, "aws")[3] == pytest.approx((30 * (10 * SIZE + 715 * 6_000_000)) / 10**9 * 0.023, rel=0.01)


def test_else_growth_is_that_of_the_database_as_far_as_it_is_compressed(configure: Configure) -> None:
    from pgkeeper.operations.size_history import remember_backup

    settings = configure()
    back_up(settings, 0, SIZE, database_bytes=4 * SIZE)
    for day in range(1, 20):
        remember_backup(settings, "15-main", "app", NOW - timedelta(days=day), 4 * SIZE - day * 8_000_000)
    (growth,) = cost(settings).databases
    assert (growth.bytes_per_day, growth.measured_by) == (2_000_000, "database")


def test_else_growth_is_not_known_and_the_forecast_is_flat(configure: Configure) -> None:
    settings = configure()
    back_up(settings, 0)
    report = cost(settings)
    (growth,) = report.databases
    assert (growth.bytes_per_day, growth.measured_by) == (None, "none")
    assert len(set(at(report, "aws"))) == 1


def test_while_there_is_nothing_to_reckon_with_the_next_step_is_named(configure: Configure) -> None:
    with pytest.raises(UsageError, match="pgkeeper backup"):
        cost(configure(**CLOUD))


def test_copies_cost_what_they_do_where_they_are(configure: Configure, stored: Stored) -> None:
    stored(*month_of_copies(), *month_of_copies("replica", "aws", "STANDARD_IA"))
    report = cost(configure(**CLOUD))
    assert [(one.store, one.copies, one.dollars, one.restore_bytes) for one in report.stores] == [
        ("cloud", 30, 0.199, SIZE),
        ("replica", 30, 0.6225, SIZE),
    ]
    assert [one.restore_dollars for one in report.stores] == [0, pytest.approx(0.0166)]
    assert [month.months for month in report.forecast] == [0, 6, 12, 24]
    assert [month.dollars for month in report.forecast] == [0.8215] * 4
    assert [month.copies for month in report.forecast] == [60] * 4
    assert at(report, "gcs") == [0.996] * 4, "elsewhere is reckoned with the copies of one store"


def test_what_is_free_at_a_provider_is_free_once(configure: Configure, stored: Stored) -> None:
    stored(*month_of_copies(), *month_of_copies("replica"), *month_of_copies(database="shop"))
    report = cost(configure(**CLOUD))
    assert [one.dollars for one in report.stores] == [pytest.approx(0.448), pytest.approx(0.249)]
    assert sum(one.dollars for one in report.stores) == pytest.approx(report.forecast[0].dollars)


def test_copies_of_several_classes_are_told_apart_and_new_ones_come_into_the_newest(configure: Configure, stored: Stored) -> None:
    old = month_of_copies("cloud", "aws", "STANDARD")[10:]
    stored(*month_of_copies("cloud", "aws", "GLACIER_IR")[:10], *old)
    report = cost(configure(**CLOUD))
    assert [(one.storage_class, one.copies, one.restore_bytes) for one in report.stores] == [("GLACIER_IR", 10, SIZE), ("STANDARD", 20, 0)]
    # All are in the new class by then, and paid for during 90 days.
    assert report.forecast[1].dollars == pytest.approx(90 * SIZE / 10**9 * 0.004, abs=1e-4)


def test_a_price_that_is_not_known_is_not_left_out(configure: Configure, stored: Stored) -> None:
    stored(*month_of_copies("cloud", "aws", "DEEP_ARCHIVE"))
    with pytest.raises(ConfigurationError, match="aws:DEEP_ARCHIVE"):
        cost(configure(**CLOUD))
    report = cost(configure(**CLOUD, BACKUP_PRICES="aws:DEEP_ARCHIVE storage=0.001 minimum_days=180"))
    assert report.stores[0].dollars == pytest.approx(0.0498)
    assert at(report, "aws", "DEEP_ARCHIVE")[3] == pytest.approx(180 * SIZE / 10**9 * 0.001, abs=1e-4)


@pytest.mark.parametrize(
    ("budget", "over", "warning"),
    [
        ("0.10", 0, "cost $0.19 a month, more than the $0.10 of BACKUP_MONTHLY_BUDGET"),
        ("0.21", 2, "will cost $0.22 a month, more than the $0.21 of BACKUP_MONTHLY_BUDGET, in 2 months"),
        ("0.40", 16, ""),
        ("5", None, ""),
    ],
)
def test_a_budget_is_warned_about_when_it_is_exceeded_or_will_be_within_a_year(
    configure: Configure, stored: Stored, budget: str, over: int | None, warning: str
) -> None:
    stored(*month_of_copies(growth=3_000_000))
    report = cost(configure(**CLOUD, BACKUP_MONTHLY_BUDGET=budget))
    assert report.over_budget_in_months == over
    assert " ".join(report.warnings).endswith(warning)
    assert bool(report.warnings) == bool(warning)


def test_without_copies_each_provider_is_held_against_the_budget_and_nobody_is_warned(configure: Configure) -> None:
    settings = configure(BACKUP_MONTHLY_BUDGET="0.5")
    back_up(settings, 0)
    report = cost(settings)
    verdicts = {(one.price.provider, one.price.storage_class): one.over_budget_in_months for one in report.providers}
    assert (verdicts["backblaze", "STANDARD"], verdicts["aws", "STANDARD"], verdicts["gcs", "NEARLINE"]) == (None, 0, None)
    assert (report.over_budget_in_months, report.warnings) == (None, ())
