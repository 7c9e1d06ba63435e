"""What copies off site would cost is told from real backups, and never gets into the way of anything."""

from __future__ import annotations

from .support.history import history
from .support.product import CONFIGURATION, DONE, USAGE, Pgkeeper

NOWHERE = {"PGHOST": "/nonexistent", "PGPORT": "1"}


def test_the_providers_are_compared_without_a_server_or_a_bucket(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper, 3, 2, 1)
    document = pgkeeper("cost", "--json", env=NOWHERE).exits(DONE).json
    assert (document["schema"], document["off_site"], document["stores"]) == ("pgkeeper.cost/1", False, [])
    (database,) = document["databases"]
    assert (database["database"], database["bytes_per_day"], database["measured_by"]) == ("app", 0, "backups")
    sizes = {month["size_bytes"] for one in document["providers"] for month in one["forecast"]}
    assert sizes == {30 * database["newest_bytes"]}
    text = pgkeeper("cost", env=NOWHERE).exits(DONE)
    assert text.warnings == ""
    for one in document["providers"]:
        assert any(line.split()[:2] == [one["price"]["provider"], one["price"]["storage_class"]] for line in text.stdout.splitlines())
    assert "BUDGET" not in text.stdout
    assert "<$0.01" in text.stdout


def test_prices_and_budget_of_the_settings_count(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper)
    pgkeeper.configure(BACKUP_PRICES="aws:STANDARD storage=999999", BACKUP_MONTHLY_BUDGET="0.01")
    run = pgkeeper("cost").exits(DONE)
    (dear,) = (line for line in run.stdout.splitlines() if line.startswith("aws") and " STANDARD " in line)
    assert dear.endswith("exceeded")
    (cheap,) = (line for line in run.stdout.splitlines() if line.startswith("backblaze"))
    assert cheap.endswith("kept")
    assert "is not known yet, so the forecast is flat" in run.stdout
    pgkeeper.configure(BACKUP_PRICES="aws:STANDARD storage=cheap")
    assert "BACKUP_PRICES" in pgkeeper("cost").exits(CONFIGURATION).error


def test_what_cannot_be_reckoned_says_what_to_do(pgkeeper: Pgkeeper) -> None:
    assert "pgkeeper backup" in pgkeeper("cost").exits(USAGE).error
    pgkeeper.configure(
        BACKUP_CLOUD_ENABLED="true",
        BACKUP_CLOUD_PROVIDER="gcs",
        BACKUP_ENCRYPTION_KEY="k" * 44,
        GCS_BUCKET_NAME="copies",
        GCS_ACCESS_KEY_ID="id",
        GCS_SECRET_ACCESS_KEY="key",
    )
    assert "pgkeeper backup" in pgkeeper("cost").exits(USAGE).error


def test_before_the_first_copy_is_made_the_providers_are_compared_all_the_same(pgkeeper: Pgkeeper) -> None:
    history(pgkeeper)
    planned = pgkeeper("cost", "--json").exits(DONE).json
    pgkeeper.configure(
        BACKUP_CLOUD_ENABLED="true",
        BACKUP_CLOUD_PROVIDER="gcs",
        BACKUP_ENCRYPTION_KEY="k" * 44,
        GCS_BUCKET_NAME="copies",
        GCS_ACCESS_KEY_ID="id",
        GCS_SECRET_ACCESS_KEY="key",
    )
    assert pgkeeper("cost", "--json").exits(DONE).json == planned
