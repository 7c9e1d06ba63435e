"""What a catalog promises, wherever it is. A subclass brings the fixture `catalog`, an empty one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.health import look
from pgkeeper.catalog.index import Entry, Version, change_index, read_index, replace_index
from pgkeeper.catalog.jobs import begin_job, count_jobs, forget_jobs_before, read_events, read_jobs, settle_job, write_job
from pgkeeper.catalog.orphans import job_lock, read_settled
from pgkeeper.catalog.rebuild import rebuild
from pgkeeper.catalog.recorder import JobRecorder
from pgkeeper.catalog.sizes import KEPT, add_size, read_sizes
from pgkeeper.model.errors import ErrorInfo
from pgkeeper.model.job import Job, JobEvent
from pgkeeper.model.progress import NullProgress
from tests.integration.support.waiting import wait_until

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ODD = "Ü'\";\\ \n\0 \udc80 %s :x"


def a_job(catalog: Catalog, job_id: str = "j1", at: datetime = AT, **values: object) -> Job:
    job = Job(job_id=job_id, host=catalog.host, pid=42, operation="backup", state="running", started_at=at, heartbeat_at=at)
    return job.model_copy(update=values)


def put(catalog: Catalog, job: Job, *events: JobEvent) -> None:
    catalog.run(lambda connection: write_job(connection, job, events), writing=True)


def jobs(catalog: Catalog) -> list[Job]:
    return list(catalog.run(read_jobs))


def said(catalog: Catalog, job: Job) -> list[tuple[str, str]]:
    return [(event.kind, event.text) for _, event in catalog.run(lambda connection: read_events(connection, job))]


class CatalogContract:
    """The promises."""

    def test_a_job_is_read_as_it_was_written(self, catalog: Catalog) -> None:
        job = a_job(
            catalog, state="failed", phase="dump", done_bytes=2**40, total_bytes=2**41, finished_at=AT + timedelta(seconds=1),
            result={"outcomes": [{"at": "x", "n": 2**50, "ü": None}]}, error=ErrorInfo(what="no space", exit_status=4),
        )  # fmt: skip
        put(catalog, job)
        assert jobs(catalog) == [job]
        empty = a_job(catalog)
        put(catalog, empty)
        assert jobs(catalog) == [empty]

    def test_text_of_any_kind_can_be_said(self, catalog: Catalog) -> None:
        job = a_job(catalog, phase=ODD)
        put(catalog, job, JobEvent(at=AT, kind="note", text=ODD))
        expected = ODD.replace("\0", "\\x00").replace("\udc80", "\\udc80")
        assert said(catalog, job) == [("note", expected)]
        assert jobs(catalog)[0].phase == expected

    def test_times_are_utc_whatever_they_were(self, catalog: Catalog) -> None:
        from zoneinfo import ZoneInfo

        put(catalog, a_job(catalog, at=AT.astimezone(ZoneInfo("Asia/Tokyo"))))
        assert jobs(catalog)[0].started_at == AT
        assert jobs(catalog)[0].started_at.utcoffset() == timedelta()

    def test_a_limit_leaves_out_the_oldest_but_none_that_runs(self, catalog: Catalog) -> None:
        for number in range(4):
            put(catalog, a_job(catalog, f"j{number}", at=AT + timedelta(hours=number), state="done" if number else "running"))
        for limit, expected in ((None, "3210"), (9, "3210"), (2, "30"), (1, "0")):
            found = catalog.run(lambda connection, limit=limit: read_jobs(connection, limit))  # type: ignore[misc]
            assert [job.job_id for job in found] == [f"j{number}" for number in expected]
        assert catalog.run(count_jobs) == 4

    def test_a_job_begun_again_has_a_log_of_its_own(self, catalog: Catalog) -> None:
        job = a_job(catalog, state="failed")
        put(catalog, job, JobEvent(at=AT, kind="error", text="no"))
        again = a_job(catalog, at=AT + timedelta(hours=1))
        catalog.run(lambda connection: begin_job(connection, again), writing=True)
        assert jobs(catalog) == [again]
        assert said(catalog, again) == []

    def test_the_log_can_be_read_from_where_one_was(self, catalog: Catalog) -> None:
        job = a_job(catalog)
        put(catalog, job, *[JobEvent(at=AT, kind="note", text=str(number)) for number in range(5)])
        first = catalog.run(lambda connection: read_events(connection, job))
        rest = catalog.run(lambda connection: read_events(connection, job, first[2][0]))
        assert [event.text for _, event in rest] == ["3", "4"]

    def test_a_recorder_writes_phases_remarks_and_the_end(self, catalog: Catalog) -> None:
        with job_lock(catalog.state_dir, "j1"):
            recorder = JobRecorder(catalog, a_job(catalog), NullProgress())
            recorder.phase("dump of app")
            recorder.note("waiting")
            recorder.advance(5, 10)
            recorder.remark("warning", "odd")
            recorder.finish({"outcomes": []}, None, failed=False)
        (job,) = jobs(catalog)
        assert (job.state, job.phase, job.result, job.total_bytes) == ("done", "dump of app", {"outcomes": []}, None)
        assert job.finished_at is not None
        assert said(catalog, job) == [("phase", "dump of app"), ("note", "waiting"), ("warning", "odd")]

    def test_a_job_that_says_nothing_still_shows_that_it_lives(self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pgkeeper.catalog.recorder._SECONDS_BETWEEN_HEARTBEATS", 0.05)
        with job_lock(catalog.state_dir, "j1"):
            recorder = JobRecorder(catalog, a_job(catalog), NullProgress())
            first = wait_until(lambda: jobs(catalog), "the job")[0].heartbeat_at
            wait_until(lambda: jobs(catalog)[0].heartbeat_at > first, "a heartbeat")
            recorder.finish(None, None, failed=False)

    def test_a_job_of_this_host_without_its_lock_is_settled(self, catalog: Catalog) -> None:
        for job_id in ("alive", "dead"):
            put(catalog, a_job(catalog, job_id, at=datetime.now(UTC)))
        with job_lock(catalog.state_dir, "alive"):
            assert {job.job_id: job.state for job in read_settled(catalog)} == {"alive": "running", "dead": "lost"}
        assert {job.job_id: job.state for job in jobs(catalog)} == {"alive": "running", "dead": "lost"}
        assert [kind for kind, _ in said(catalog, a_job(catalog, "dead"))] == ["error"]

    def test_what_was_begun_anew_meanwhile_is_not_settled(self, catalog: Catalog) -> None:
        again = a_job(catalog, at=AT + timedelta(hours=1))
        put(catalog, again)
        catalog.run(lambda connection: settle_job(connection, a_job(catalog), AT), writing=True)
        assert jobs(catalog) == [again]

    def test_on_another_host_silence_is_shown_as_loss_and_not_written(self, catalog: Catalog) -> None:
        now = datetime.now(UTC)
        put(catalog, a_job(catalog, "silent", at=now - timedelta(minutes=3), host="db2"))
        put(catalog, a_job(catalog, "fresh", at=now - timedelta(minutes=1), host="db2"))
        assert {job.job_id: job.state for job in read_settled(catalog)} == {"silent": "lost", "fresh": "running"}
        assert {job.state for job in jobs(catalog)} == {"running"}

    def test_hosts_may_give_jobs_the_same_name(self, catalog: Catalog) -> None:
        put(catalog, a_job(catalog))
        put(catalog, a_job(catalog, host="db2"), JobEvent(at=AT, kind="note", text="over there"))
        assert len(jobs(catalog)) == 2
        assert said(catalog, a_job(catalog)) == []

    def test_only_jobs_that_ended_long_ago_are_forgotten(self, catalog: Catalog) -> None:
        put(catalog, a_job(catalog, "old", state="done"), JobEvent(at=AT, kind="note", text="x"))
        put(catalog, a_job(catalog, "running"))
        put(catalog, a_job(catalog, "elsewhere", state="done", host="db2"))
        put(catalog, a_job(catalog, "new", at=AT + timedelta(days=31), state="lost"))
        catalog.run(lambda connection: forget_jobs_before(connection, catalog.host, AT + timedelta(days=30)), writing=True)
        assert {job.job_id for job in jobs(catalog)} == {"running", "elsewhere", "new"}
        assert said(catalog, a_job(catalog, "old")) == []

    def test_the_index_is_changed_and_replaced_for_one_host_alone(self, catalog: Catalog) -> None:
        entries = {path: Entry(Version(2**62, 1, 2), {"rows": 1, "warnings": [ODD[:3]]}) for path in ("/a", "/b")}
        for host in ("db1", "db2"):
            catalog.run(lambda connection, host=host: replace_index(connection, host, entries), writing=True)  # type: ignore[misc]
        newer = {"/b": Entry(Version(3, 1, 2), {"rows": 2})}
        catalog.run(lambda connection: change_index(connection, "db1", newer, ["/a"]), writing=True)
        assert catalog.run(lambda connection: read_index(connection, "db1")) == newer
        assert catalog.run(lambda connection: read_index(connection, "db2")) == entries

    def test_sizes_are_remembered_apart_and_not_for_ever(self, catalog: Catalog) -> None:
        def add(at: datetime, size: int, apart: timedelta = timedelta()) -> bool:
            return catalog.run(lambda connection: add_size(connection, "db1", "15-main", "app", at, size, apart=apart), writing=True)

        hour = timedelta(hours=1)
        assert add(AT, 1)
        assert not add(AT, 2)
        assert not add(AT + hour / 2, 3, hour)
        assert add(AT + 2 * hour, 2**45, hour)
        assert catalog.run(lambda connection: read_sizes(connection, "db1", "15-main", "app")) == ((AT, 1), (AT + 2 * hour, 2**45))
        assert add(AT + KEPT + hour, 5)
        assert [size for _, size in catalog.run(lambda connection: read_sizes(connection, "db1", "15-main", "app"))] == [2**45, 5]

    def test_a_rebuild_keeps_jobs_and_sizes(self, catalog: Catalog) -> None:
        put(catalog, a_job(catalog))
        catalog.run(lambda connection: add_size(connection, catalog.host, "15-main", "app", AT, 1), writing=True)
        health = rebuild(
            catalog, {"/a": Entry(Version(1, 1, 1), {})}, [("15-main", "app", AT, 1), ("15-main", "app", AT + timedelta(days=1), 2)]
        )
        assert (health.backups, health.sizes, health.jobs) == (1, 2, 1)

    def test_work_that_fails_changes_nothing(self, catalog: Catalog) -> None:
        def work(connection: object) -> None:
            write_job(connection, a_job(catalog), ())  # type: ignore[arg-type]
            raise ZeroDivisionError

        assert catalog.tried(work, "otherwise", writing=True) == "otherwise"  # type: ignore[arg-type]
        assert "ZeroDivisionError" in catalog.problem
        assert look(catalog).jobs == 0
        assert not catalog.problem, "whoever gets through says that it is usable again"
