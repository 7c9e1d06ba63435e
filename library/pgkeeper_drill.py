# SPDX-License-Identifier: Apache-2.0
"""Have a disaster recovery drill made."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgkeeper_drill
short_description: Have a disaster recovery drill made
version_added: 0.1.0
description:
  - Brings the newest copy of each database back from off site, as if the host that made it were lost. Each is fetched, proven in a sandbox,
    restored into this host's PostgreSQL, and compared, and each phase is timed.
  - Nothing is written to the bucket. The drill fails when the bucket does not list as before.
  - The protocol is kept on the host, where C(pgkeeper drill show) shows it. The owner is told how it went.
author: pgkeeper
options:
  host:
    description: Name of the host whose copies are drilled, as it stands in the bucket. Left out, this host's own.
    type: str
  source:
    description: The store that the copies come from.
    type: str
    choices: [cloud, replica]
    default: cloud
  databases:
    description: The databases that are drilled. Left out, all that have a copy.
    type: list
    elements: str
    default: []
  keep:
    description:
      - Leave the restored databases there.
      - Each has its own name, or where that was taken C(<name>_drill_<time>).
    type: bool
    default: false
  trust_database:
    description: Let superusers restore everything, which lets the database's own code run as one.
    type: bool
    default: false
  detach:
    description: Start the work as the job O(job) and return at once.
    type: bool
    default: false
  job:
    description:
      - Name of the job, needed for O(detach=true).
      - If a job of this name is running or done, nothing is started; one that failed is started again.
    type: str
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    description: Looks which copies would be drilled now. Nothing is fetched.
  diff_mode:
    support: full
    description: Shows the last drill before and after, and the databases that are to stay.
  platform:
    platforms: debian
notes:
  - Needs root, or the user postgres.
seealso:
  - module: pgkeeper_info
  - module: pgkeeper_restore
"""

EXAMPLES = r"""
- name: See whether what was on db1 could be had back on this host
  pgkeeper_drill:
    host: db1
  become: true

- name: Bring one database back, and keep it
  pgkeeper_drill:
    host: db1
    databases: [app]
    keep: true
  become: true
"""

RETURN = r"""
plan:
  description: What is drilled. C(target) is what each database is restored as, C(last) when the last drill of the same host was made here.
  returned: when pgkeeper is on the host
  type: dict
  sample:
    host: db1
    where: s3://shop-backups/pgkeeper/db1
    databases:
      - database: app
        cluster: 15-main
        backup_id: app-20260301T030000Z
        created_at: "2026-03-01T03:00:00Z"
        size_bytes: 39459717
        target: app
    last:
report:
  description: The protocol of the drill, as C(pgkeeper drill show --json) prints it.
  returned: when the work was done by this task
  type: dict
job:
  description:
    - The job that was started or found. M(pgkeeper_info) tells how it goes on.
    - Missing where the catalog of jobs cannot be used. The work goes on all the same, as RV(msg) says.
  returned: when O(detach=true)
  type: dict
exit_status:
  description: Exit status of C(pgkeeper drill run), which documents it.
  returned: when the work was done by this task, and on failure
  type: int
  sample: 0
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgkeeper_module import JOB_ARGUMENTS, JOB_RULES, ask, enter, failures, run_detached

if TYPE_CHECKING:
    from pgkeeper.settings import Settings

ARGUMENTS: dict[str, Any] = {
    "host": {"type": "str"},
    "source": {"type": "str", "choices": ["cloud", "replica"], "default": "cloud"},
    "databases": {"type": "list", "elements": "str", "default": []},
    "keep": {"type": "bool", "default": False},
    "trust_database": {"type": "bool", "default": False},
    **JOB_ARGUMENTS,
}


def command_line(params: dict[str, Any]) -> list[str]:
    """The arguments of `pgkeeper` that do what the parameters ask for."""
    arguments = ["drill", "run", f"--from={params['source']}"]
    arguments += [f"--host={params['host']}"] if params["host"] else []
    arguments += [f"--database={name}" for name in params["databases"]]
    arguments += ["--keep"] if params["keep"] else []
    arguments += ["--trust-database"] if params["trust_database"] else []
    return arguments


def difference(plan: dict[str, Any], *, keep: bool) -> dict[str, str]:
    """When the last drill was and will be, and the databases that stay, as a diff."""
    before = f"last drill of {plan['host']}: {plan['last'] or 'none here'}\n"
    after = f"last drill of {plan['host']}: now\n"
    if keep:
        before += "".join(f"{one['target']}: no such database\n" for one in plan["databases"])
        after += "".join(f"{one['target']}: restored from {one['backup_id']}\n" for one in plan["databases"])
    return {"before": before, "after": after}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **JOB_RULES)
    params = module.params
    enter(module, would=f"drill the recovery of {params['host'] or 'this host'}", changed=True)

    from pgkeeper.model.progress import NullProgress
    from pgkeeper.operations.drill import drill, plan_drill
    from pgkeeper.operations.drill_report import DrillRequest

    request = DrillRequest(
        host=params["host"] or "",
        source=params["source"],
        databases=tuple(params["databases"]),
        keep=params["keep"],
        trust_database=params["trust_database"],
    )

    def preview(settings: Settings) -> dict[str, Any]:
        plan = plan_drill(request, settings).model_dump(mode="json")
        return {"changed": True, "plan": plan, "diff": difference(plan, keep=params["keep"])}

    def work(settings: Settings) -> dict[str, Any]:
        report = drill(request, settings, NullProgress())
        return {"report": report.model_dump(mode="json"), "exit_status": report.exit_status}

    planned = ask(module, preview)
    if module.check_mode:
        module.exit_json(**planned)
    if params["detach"]:
        module.exit_json(**{**planned, **run_detached(module, command_line(params))})
    result = {**planned, **ask(module, work)}
    if result["exit_status"]:
        module.fail_json(msg=failures(result["report"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
