"""Jobs as files."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgkeeper.host.jobs import forget_jobs, list_jobs, read_job, running_job
from pgkeeper.model.errors import BusyError, ErrorInfo, UsageError
from pgkeeper.model.progress import NullProgress

DYING = """
import os, sys
from pathlib import Path
from pgkeeper.host.jobs import running_job
from pgkeeper.model.progress import NullProgress
with running_job(Path(sys.argv[1]), "j1", "backup", NullProgress()) as job:
    job.phase("dump of app")
    os.kill(os.getpid(), 9)
"""


def test_a_job_tells_how_far_it_is_and_how_it_ended(tmp_path: Path) -> None:
    with running_job(tmp_path, "j1", "backup", NullProgress()) as recorder:
        recorder.phase("dump of app")
        job = read_job(tmp_path, "j1")
        assert job is not None
        assert (job.state, job.phase) == ("running", "dump of app")
        with pytest.raises(BusyError), running_job(tmp_path, "j1", "backup", NullProgress()):
            pass
        recorder.finish({"outcomes": []}, None, failed=False)
    job = read_job(tmp_path, "j1")
    assert job is not None
    assert (job.state, job.result) == ("done", {"outcomes": []})
    assert job.finished_at is not None


def test_a_failed_job_keeps_its_error(tmp_path: Path) -> None:
    with running_job(tmp_path, "j1", "backup", NullProgress()) as recorder:
        recorder.finish(None, ErrorInfo(what="no space"), failed=True)
    job = read_job(tmp_path, "j1")
    assert job is not None
    assert (job.state, str(job.error)) == ("failed", "no space")


def test_a_job_whose_process_died_is_lost_not_running(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", DYING, tmp_path], check=False).returncode == -9
    job = read_job(tmp_path, "j1")
    assert job is not None
    assert (job.state, job.phase) == ("lost", "dump of app")
    assert [job.job_id for job in list_jobs(tmp_path)] == ["j1"]


@pytest.mark.parametrize("job_id", ["", "../x", ".x", "a b", "x" * 101, "a/b"])
def test_an_id_that_could_be_a_path_is_refused(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(UsageError):
        read_job(tmp_path, job_id)


def test_an_unknown_job_is_none(tmp_path: Path) -> None:
    assert read_job(tmp_path, "j1") is None
    assert list_jobs(tmp_path) == ()


def test_only_jobs_that_ended_long_ago_are_forgotten(tmp_path: Path) -> None:
    with running_job(tmp_path, "ended", "backup", NullProgress()) as recorder:
        recorder.finish(None, None, failed=False)
    with running_job(tmp_path, "running", "backup", NullProgress()):
        forget_jobs(tmp_path, datetime.now(UTC) - timedelta(minutes=1))
        assert len(list_jobs(tmp_path)) == 2
        forget_jobs(tmp_path, datetime.now(UTC) + timedelta(minutes=1))
        assert [job.job_id for job in list_jobs(tmp_path)] == ["running"]
