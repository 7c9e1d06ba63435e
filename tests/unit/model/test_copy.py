"""What the headers of copies say together."""

from datetime import UTC, datetime, timedelta

from pgkeeper.model.copy import CopyHeader, missing_predecessors
from pgkeeper.model.names import backup_id

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAYS = 30


def header(age: float, follows: float | None, cluster: str = "15-main") -> CopyHeader:
    """The header of a copy that is `age` days old, and was sent after one that is `follows` days old."""
    at = NOW - timedelta(days=age)
    return CopyHeader(
        backup_id=backup_id("app", at),
        host="db1",
        cluster=cluster,
        database="app",
        created_at=at,
        predecessor=None if follows is None else backup_id("app", NOW - timedelta(days=follows)),
        made_by="pgkeeper 0.1.0",
        method="openssl",
        key_id="0" * 16,
        files=(),
        manifest="",
        manifest_sha256="0" * 64,
    )


def test_a_copy_that_was_taken_out_from_between_others_is_noticed() -> None:
    first, second, third = header(3, None), header(2, 3), header(1, 2)
    assert missing_predecessors([first, second, third], NOW, DAYS) == ()
    assert missing_predecessors([first, third], NOW, DAYS) == ((third.backup_id, second.backup_id),)


def test_a_copy_whose_time_is_over_is_not_missed() -> None:
    assert missing_predecessors([header(29.5, 30.5)], NOW, DAYS) == ()
    assert missing_predecessors([header(29, 29.5)], NOW, DAYS) == ((header(29, None).backup_id, header(29.5, None).backup_id),)


def test_the_copy_of_another_cluster_does_not_stand_in() -> None:
    assert len(missing_predecessors([header(2, None, "15-other"), header(1, 2)], NOW, DAYS)) == 1
