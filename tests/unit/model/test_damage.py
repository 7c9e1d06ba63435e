"""What a record of damage says, and what it advises."""

from datetime import UTC, datetime

import pytest

from pgkeeper.model.damage import Damage
from pgkeeper.model.proof import Level

AT = datetime(2026, 1, 3, tzinfo=UTC)


def damage(level: Level, *, contents_right: bool | None = None) -> Damage:
    return Damage(
        backup_id="app-20260102T030000Z", manifest_sha256="a" * 64, level=level, found="x", found_at=AT, contents_right=contents_right
    )


def test_a_record_of_an_older_release_is_understood() -> None:
    old = {
        "format": "pgkeeper.damage/1", "backup_id": "app-20260102T030000Z", "manifest_sha256": "a" * 64,
        "level": "restore", "found": "x", "found_at": "2026-01-03T00:00:00Z",
    }  # fmt: skip
    assert Damage.model_validate(old) == damage("restore")


@pytest.mark.parametrize(
    ("level", "contents_right", "deletes"),
    [
        ("checksum", None, True),
        ("contents", None, True),
        ("restore", False, True),
        ("restore", True, False),
        ("restore", None, False),
    ],
)
def test_deletion_is_advised_only_where_checksum_or_contents_failed(level: Level, contents_right: bool | None, deletes: bool) -> None:
    advice = damage(level, contents_right=contents_right).advice
    assert ("pgkeeper delete" in advice) == deletes
    assert ("keep it" in advice) != deletes
