"""What waits to be copied is found in one pass over backups and ledger."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgkeeper.model.ledger import CopyRecord, Ledger
from pgkeeper.operations.waiting import waiting_for
from tests.unit.operations.backups import a_store, publish


def test_looking_for_what_waits_asks_the_ledger_for_no_single_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = a_store(tmp_path)
    now = datetime(2026, 1, 5, tzinfo=UTC)
    sent, waiting = publish(store, now - timedelta(days=2)), publish(store, now - timedelta(days=1))
    record = CopyRecord(
        backup_id=sent.backup_id, cluster=sent.cluster, database=sent.database, created_at=sent.created_at, copied_at=now, seconds=1.0,
        storage_class="", objects={}, manifest_sha256="a" * 64,
    )  # fmt: skip

    def one_by_one(_ledger: Ledger, _cluster: str, _backup_id: str) -> CopyRecord | None:
        pytest.fail("with n backups and n copies that is n times n")

    monkeypatch.setattr(Ledger, "find", one_by_one)
    assert waiting_for(Ledger(copies=(record,)), store.backups(), now, 30) == (waiting,)
