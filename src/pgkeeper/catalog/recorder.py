"""Recording a job while it works, without ever holding it up.

The work only says where it stands; a thread of its own writes that down, and a heartbeat when there is nothing new. If the catalog can't
be used the work goes on, and the thread tries again: the record is whole again as soon as the catalog is.
"""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from pgkeeper.catalog.catalog import Catalog
from pgkeeper.catalog.errors import CatalogUnusable
from pgkeeper.catalog.jobs import begin_job, write_job
from pgkeeper.catalog.orphans import read_settled
from pgkeeper.catalog.place import PATIENCE
from pgkeeper.model.errors import ErrorInfo
from pgkeeper.model.job import Job, JobEvent, Kind
from pgkeeper.model.progress import Progress

_SECONDS_BETWEEN_BYTES = 1.0
_SECONDS_BETWEEN_HEARTBEATS = 10.0
_MOST_UNWRITTEN = 1000


class JobRecorder:
    """Progress that is written to the catalog, and passed on to another watcher."""

    def __init__(self, catalog: Catalog, job: Job, then: Progress) -> None:
        """The job is recorded from now on, until `finish`."""
        self._catalog = catalog
        self._then = then
        self._job = job
        self._events: list[JobEvent] = []
        self._changing = threading.Lock()
        self._news = threading.Event()
        self._over = False
        self._begun = False
        self._noted = time.monotonic()
        # A catalog that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._write_on, name=f"job {job.job_id}", daemon=True)
        self._thread.start()

    def phase(self, name: str) -> None:
        """Begin a phase."""
        self._change("phase", name, phase=name, done_bytes=0, total_bytes=None)
        self._then.phase(name)

    def advance(self, done_bytes: int, total_bytes: int | None) -> None:
        """Report bytes; the record follows about once a second."""
        if time.monotonic() - self._noted >= _SECONDS_BETWEEN_BYTES:
            self._noted = time.monotonic()
            self._change(done_bytes=done_bytes, total_bytes=total_bytes)
        self._then.advance(done_bytes, total_bytes)

    def note(self, text: str) -> None:
        """Record a remark."""
        self.remark("note", text)
        self._then.note(text)

    def remark(self, kind: Kind, text: str) -> None:
        """Add a line to the job's log, and to nothing else."""
        self._change(kind, text)

    def finish(self, result: dict[str, Any] | None, error: ErrorInfo | None, *, failed: bool) -> None:
        """Settle the job, and wait a moment until that is written."""
        self._change(state="failed" if failed else "done", result=result, error=error, finished_at=datetime.now(UTC))
        self._over = True
        self._news.set()
        # A catalog that is in trouble already has had its time.
        self._thread.join(1.0 if self._catalog.problem else PATIENCE.total_seconds() + 1)
        if self._thread.is_alive() and not self._catalog.problem:
            why = f"the end of job {self._job.job_id} could not be written in time"
            self._catalog.give_up(CatalogUnusable(self._catalog.place.name, why))

    def _change(self, kind: Kind | None = None, text: str = "", **values: object) -> None:
        now = datetime.now(UTC)
        with self._changing:
            self._job = self._job.model_copy(update={**values, "heartbeat_at": now})
            if kind is not None and len(self._events) < _MOST_UNWRITTEN:
                self._events.append(JobEvent(at=now, kind=kind, text=text))
        self._news.set()

    def _write_on(self) -> None:
        over = False
        while not over:
            over = self._over
            self._news.clear()
            written = self._write()
            if over:
                return
            # In trouble there is no hurry, whatever news there is: only the end does not wait.
            self._sleep(in_trouble=not written)
            if not self._news.is_set():
                self._change()

    def _sleep(self, *, in_trouble: bool) -> None:
        deadline = time.monotonic() + _SECONDS_BETWEEN_HEARTBEATS
        while not self._over and (left := deadline - time.monotonic()) > 0:
            if self._news.wait(left) and not in_trouble:
                return
            if in_trouble:
                self._news.clear()

    def _write(self) -> bool:
        with self._changing:
            job, events = self._job, tuple(self._events)
        try:
            if not self._begun:
                self._catalog.run(lambda connection: begin_job(connection, job), writing=True)
                self._begun = True
                # Also a chance to look for those that died before.
                read_settled(self._catalog, host=job.host, state="running")
            self._catalog.run(lambda connection: write_job(connection, job, events), writing=True)
        except CatalogUnusable as error:
            self._catalog.give_up(error)
            return False
        with self._changing:
            del self._events[: len(events)]
        return True
