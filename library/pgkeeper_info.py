# SPDX-License-Identifier: Apache-2.0
"""Tell what pgkeeper has on a host, or how a job of it is doing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgkeeper_info
short_description: Tell what pgkeeper has on a host
version_added: 0.1.0
description:
  - Returns pgkeeper's version and settings on the host, its backups, replacements and jobs; or follows one job.
  - Changes nothing, and never returns a secret.
author: pgkeeper
options:
  database:
    description: Return the backups and replacements of this database only.
    type: str
  job:
    description: Return this job instead of everything else.
    type: str
  window:
    description:
      - Return RV(window), too, which moments the whole cluster can be recovered to.
      - The repositories are looked into for it, the one off site as well, which takes some seconds.
    type: bool
    default: false
  wait:
    description:
      - For how many seconds to wait for news of the job O(job).
      - News is its end, another phase, or another tenth of the phase's bytes. V(0) returns at once.
    type: int
    default: 0
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    description: Only ever reads.
  diff_mode:
    support: none
    description: There is nothing to compare.
  platform:
    platforms: debian
notes:
  - Needs root, or the user postgres.
seealso:
  - module: pgkeeper_backup
  - module: pgkeeper_verify
  - module: pgkeeper_restore
  - module: pgkeeper_pitr
"""

EXAMPLES = r"""
- name: Read which backups there are
  pgkeeper_info:
  become: true
  register: pgkeeper

- name: Fail where there is none
  ansible.builtin.assert:
    that: pgkeeper.backups | length > 0

- name: Wait for a job to end
  pgkeeper_info:
    job: before-release-42
    wait: 60
  become: true
  register: pgkeeper
  until: pgkeeper.job.state != 'running'
  retries: 120
  delay: 0
"""

RETURN = r"""
version:
  description: pgkeeper's version.
  returned: when pgkeeper is on the host
  type: str
  sample: 0.1.0
release:
  description: Directory of the release in use.
  returned: when pgkeeper is on the host
  type: str
  sample: /opt/pgkeeper/releases/0.1.0-3f1c9a7be012-py3.11
settings:
  description: The settings in force, without those that may hold secrets.
  returned: when O(job) is not given
  type: dict
  sample:
    project_name: db1
    databases: []
    dir: /var/backups/pgkeeper
    state_dir: /var/lib/pgkeeper
    log_dir: /var/log/pgkeeper
    local_retention_days: 7
    notify_urls: 1
    warnings: []
backups:
  description: The backups on the host, newest first.
  returned: when O(job) is not given
  type: list
  elements: dict
  sample:
    - backup_id: app-20260301T030000Z
      database: app
      created_at: "2026-03-01T03:00:00Z"
      size_bytes: 287309824
      database_bytes: 1782579200
      tables: 39
      rows: 2772000
      made_by: pgkeeper 0.1.0
replacements:
  description:
    - The replacements of databases by backups, and their undoings, the last begun first.
    - C(old_name) is what the database that was put aside is called, and C(saved_backup) the backup made of it just before.
      C(step) is V(done) or V(undone) for those that are over.
  returned: when O(job) is not given
  type: list
  elements: dict
  sample:
    - replacement_id: app-20260302T091500000000
      kind: replace
      step: done
      begun_at: "2026-03-02T09:15:00Z"
      database: app
      backup_id: app-20260301T030000Z
      old_name: app_before_20260302_091500_5f0c9a71
      saved_backup: app-20260302T091501Z
      request_id: ticket-1234
cluster_replacements:
  description:
    - The replacements of the whole cluster by a recovered one, and their undoings, the last begun first.
    - C(kept_as) holds the files that were production's; it is empty where they were written over (C(in_place)). C(step) is V(done) or
      V(undone) for those that are over.
  returned: when O(job) is not given
  type: list
  elements: dict
  sample:
    - replacement_id: main-20260302T091500000000
      kind: replace
      step: done
      begun_at: "2026-03-02T09:15:00Z"
      changed_at: "2026-03-02T09:16:24Z"
      target: 2026-03-02 08:59:30 UTC
      timeline: 2
      data_directory: /var/lib/postgresql/15/main
      kept_as: /var/lib/postgresql/15/main.before-20260302T091500Z
      in_place: false
      request_id: ticket-1235
window:
  description:
    - Which moments the whole cluster can be recovered to, from each repository, and the marks, as C(pgkeeper pitr window --json) tells.
  returned: when O(window=true) and recovery to any second is set up
  type: dict
  sample:
    stanza: main
    repositories:
      - repository: local
        spans:
          - timeline: 1
            begins_at: "2026-03-01T03:04:42Z"
            ends_at: "2026-03-02T09:14:26.803050Z"
        gaps: []
    marks:
      - name: before-migration-42
        at: "2026-03-02T08:31:26.315983Z"
    warnings: []
jobs:
  description: The host's jobs that the catalog remembers, the last started first, each like RV(job).
  returned: when O(job) is not given
  type: list
  elements: dict
job:
  description: The job O(job); nothing when there is none of that name.
  returned: when O(job) is given
  type: dict
  contains:
    job_id:
      description: The job's name.
      type: str
      sample: before-release-42
    operation:
      description: What it does.
      type: str
      sample: backup
    state:
      description: V(running), V(done), V(failed), or V(lost) when it ended without saying how.
      type: str
      sample: running
    progress:
      description: Where it stands, for people.
      type: str
      sample: dump app, 42 % of 1.8 GB
    message:
      description: What went wrong, in one line.
      type: str
      sample: ""
    seconds:
      description: For how long it has run.
      type: float
      sample: 21.4
    result:
      description: What the work reports, as the module would in RV(pgkeeper_backup#module:report).
      type: dict
    error:
      description: What went wrong.
      type: dict
"""

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgkeeper_module import ask, enter, failures

if TYPE_CHECKING:
    from pgkeeper.model.job import Job
    from pgkeeper.settings import Settings

ARGUMENTS: dict[str, Any] = {
    "database": {"type": "str"},
    "job": {"type": "str"},
    "window": {"type": "bool", "default": False},
    "wait": {"type": "int", "default": 0},
}
SECONDS_BETWEEN_LOOKS = 0.5


def progress(job: dict[str, Any]) -> str:
    """Where the job stands, in one line."""
    if job["state"] != "running":
        return str(job["state"])
    done, total = job["done_bytes"], job["total_bytes"]
    phase = job["phase"] or "starting"
    if total:
        # The total is an estimate, and a dump may come out larger.
        return f"{phase}, {min(99, 100 * done // total)} % of {size(total)}"
    return f"{phase}, {size(done)}" if done else str(phase)


def message(job: Job) -> str:
    """What went wrong, in one line; empty when nothing did."""
    if job.state == "lost":
        return f"the job {job.job_id} ended without a word, in the phase: {job.phase or 'starting'}"
    if job.error:
        return str(job.error)
    return failures(job.result) if job.state == "failed" and job.result else ""


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit in ("bytes", "kB") else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def tenth(job: dict[str, Any]) -> int:
    """How many tenths of the phase's bytes are done."""
    total = job["total_bytes"]
    return int(10 * job["done_bytes"] // total) if total else 0


def is_news(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether somebody who follows the job wants to hear of this."""
    return (before["state"], before["phase"]) != (now["state"], now["phase"]) or tenth(now) > tenth(before)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    enter(module, would="tell what is there", changed=False)

    def job(settings: Settings) -> dict[str, Any]:
        from pgkeeper.catalog.errors import CatalogUnusable
        from pgkeeper.operations.jobs import own_job

        deadline = time.monotonic() + params["wait"]

        def look() -> dict[str, Any] | None:
            while True:
                try:
                    found = own_job(settings, params["job"])
                except CatalogUnusable:
                    # Somebody may hold the catalog for a while; the job goes on.
                    if time.monotonic() >= deadline:
                        raise
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                else:
                    return None if found is None else described(found)

        first = latest = look()
        while first and latest and latest["state"] == "running" and not is_news(first, latest):
            if time.monotonic() >= deadline:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
            latest = look()
        return {"job": latest}

    def everything(settings: Settings) -> dict[str, Any]:
        from pgkeeper import __version__
        from pgkeeper.catalog.errors import CatalogUnusable
        from pgkeeper.operations.jobs import own_jobs
        from pgkeeper.operations.listing import list_backups
        from pgkeeper.operations.replacements import replacements

        kept = settings.model_dump(mode="json", exclude={"catalog_url", "libpq", "notify_urls"})
        backups = [backup.model_dump(mode="json") for backup in list_backups(settings)]
        jobs, trouble = [], ""
        try:
            jobs = [described(found) for found in own_jobs(settings)]
        except CatalogUnusable as error:
            trouble = str(error)
        return {
            "version": __version__,
            "release": sys.prefix,
            "settings": {**kept, "notify_urls": len(settings.notify_urls)},
            "backups": [backup for backup in backups if params["database"] in (None, backup["database"])],
            "replacements": [
                known.model_dump(mode="json") for known in replacements(settings) if params["database"] in (None, known.database)
            ],
            "jobs": jobs,
            "trouble": trouble,
            **whole_cluster(settings, window=params["window"]),
        }

    answer = ask(module, job if params["job"] else everything)
    trouble = answer.pop("trouble", "")
    if trouble:
        module.warn(f"which jobs there are is not known: {trouble}")
    module.exit_json(changed=False, **answer)


def whole_cluster(settings: Settings, *, window: bool) -> dict[str, Any]:
    """What is known of recoveries of the whole cluster; with `window` also to which moments there could be some."""
    from pgkeeper.operations.cluster_replacements import cluster_replacements
    from pgkeeper.operations.pitr_window import window as look

    # Where every file went is nobody's business but that of whoever settles it.
    known = [known.model_dump(mode="json", exclude={"moves", "coming"}) for known in cluster_replacements(settings)]
    seen = {"window": look(settings).model_dump(mode="json")} if window and settings.pitr_enabled else {}
    return {"cluster_replacements": known, **seen}


def described(job: Job) -> dict[str, Any]:
    """The job, with what people want to know of it."""
    end = job.finished_at or (datetime.now(UTC) if job.state == "running" else job.heartbeat_at)
    values: dict[str, Any] = job.model_dump(mode="json")
    seconds = round((end - job.started_at).total_seconds(), 1)
    return {**values, "progress": progress(values), "seconds": seconds, "message": message(job)}


if __name__ == "__main__":
    main()
