"""Jobs as such."""

from datetime import UTC, datetime, timedelta

import pytest

from pgkeeper.model.errors import ErrorInfo, UsageError
from pgkeeper.model.job import SILENCE, Job, new_job_id, require_job_id

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("job_id", ["", "../x", ".x", "a b", "x" * 101, "a/b", "-x", "x\n"])
def test_an_id_that_could_be_a_path_or_an_option_is_refused(job_id: str) -> None:
    with pytest.raises(UsageError):
        require_job_id(job_id)


def test_a_job_without_a_name_gets_one() -> None:
    assert require_job_id(new_job_id("backup", AT, "3f9a1c")) == "backup-20260102T030405Z-3f9a1c"


@pytest.mark.parametrize(("silent", "state"), [(SILENCE, "running"), (SILENCE + timedelta(seconds=1), "lost")])
def test_from_afar_long_silence_is_loss(silent: timedelta, state: str) -> None:
    job = Job(job_id="x", host="db2", pid=1, operation="backup", state="running", started_at=AT, heartbeat_at=AT)
    assert job.seen_from_afar(AT + silent).state == state
    assert job.model_copy(update={"state": "done"}).seen_from_afar(AT + timedelta(days=9)).state == "done"


def test_a_failed_job_says_why_and_for_which_database() -> None:
    job = Job(job_id="x", host="db2", pid=1, operation="backup", state="failed", started_at=AT, heartbeat_at=AT)
    wrong = ErrorInfo(what="backup of app failed", why="No space left on device")
    outcomes = [{"database": "shop", "error": None}, {"database": "app", "error": wrong.model_dump(mode="json")}]
    assert job.model_copy(update={"result": {"outcomes": outcomes}}).reasons == (f"app: {wrong}",)
    assert job.model_copy(update={"error": wrong}).reasons == (str(wrong),)
    assert job.reasons == ()
