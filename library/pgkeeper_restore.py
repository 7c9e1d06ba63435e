# SPDX-License-Identifier: Apache-2.0
"""Have a backup restored beside the original."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgkeeper_restore
short_description: Have a PostgreSQL backup restored beside the original
version_added: 0.1.0
description:
  - Restores a backup into a new database, and compares it with the manifest. The original is never touched.
  - The same O(request_id) means the same restore. While the database that it made is there, nothing more is done.
author: pgkeeper
options:
  request_id:
    description: Name of this restore, of your choice. Another name means another restore.
    type: str
    required: true
  backup:
    description: Identifier of the backup, or V(latest).
    type: str
    default: latest
  database:
    description: Database whose backup is restored, needed for O(backup=latest) where there are backups of several.
    type: str
  to:
    description: Name of the new database. Left out, it is made from the database's and the backup's.
    type: str
  trust_database:
    description: Load data as a superuser, which lets the database's own code run as one.
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
    description: Returns the plan.
  diff_mode:
    support: full
    description: Shows the new database before and after.
  platform:
    platforms: debian
notes:
  - Needs root, or the user postgres.
seealso:
  - module: pgkeeper_info
  - module: pgkeeper_backup
"""

EXAMPLES = r"""
- name: Have yesterday's data beside today's
  pgkeeper_restore:
    request_id: ticket-1234
    backup: app-20260301T030000Z
    to: app_yesterday
  become: true
"""

RETURN = r"""
plan:
  description: What is asked for.
  returned: when pgkeeper is on the host and nothing was restored by this task itself
  type: dict
  sample:
    backup_id: app-20260301T030000Z
    database: app
    target: app_yesterday
    would_change: true
    reason: there is no database app_yesterday
    size_bytes: 287309824
report:
  description: What was done.
  returned: when the work was done by this task
  type: dict
  sample:
    backup_id: app-20260301T030000Z
    database: app
    target: app_yesterday
    changed: true
    seconds: 35.1
    tables: 39
    rows: 2772000
    warnings: []
job:
  description:
    - The job that was started or found. M(pgkeeper_info) tells how it goes on.
    - Missing where the catalog of jobs cannot be used. The work goes on all the same, as RV(msg) says.
  returned: when O(detach=true) and there was something to do
  type: dict
exit_status:
  description: Exit status that C(pgkeeper) documents for the error.
  returned: on failure
  type: int
  sample: 6
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgkeeper_module import JOB_ARGUMENTS, JOB_RULES, ask, enter, run_detached

if TYPE_CHECKING:
    from pgkeeper.settings import Settings

ARGUMENTS: dict[str, Any] = {
    "request_id": {"type": "str", "required": True},
    "backup": {"type": "str", "default": "latest"},
    "database": {"type": "str"},
    "to": {"type": "str"},
    "trust_database": {"type": "bool", "default": False},
    **JOB_ARGUMENTS,
}


def command_line(params: dict[str, Any]) -> list[str]:
    """The arguments of `pgkeeper` that do what the parameters ask for."""
    arguments = ["restore", f"--request-id={params['request_id']}"]
    arguments += [f"--{option}={params[option]}" for option in ("database", "to") if params[option]]
    arguments += ["--trust-database"] if params["trust_database"] else []
    return [*arguments, "--", params["backup"]]  # an identifier begins with the database's name, maybe with a dash


def difference(plan: dict[str, Any]) -> dict[str, str]:
    """The new database before and after, as a diff."""
    there = f"{plan['target']}: restored from {plan['backup_id']}\n"
    return {"before": f"{plan['target']}: no such database\n" if plan["would_change"] else there, "after": there}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **JOB_RULES)
    params = module.params
    enter(module, would=f"restore the backup {params['backup']} into a new database", changed=True)

    from pgkeeper.model.progress import NullProgress
    from pgkeeper.operations.restore import RestoreRequest, plan_restore, restore

    request = RestoreRequest(**{name: params[name] for name in ("backup", "database", "to", "request_id", "trust_database")})

    def preview(settings: Settings) -> dict[str, Any]:
        plan = plan_restore(request, settings).model_dump(mode="json")
        return {"changed": plan["would_change"], "plan": plan, "diff": difference(plan)}

    def work(settings: Settings) -> dict[str, Any]:
        return {"report": restore(request, settings, NullProgress()).model_dump(mode="json")}

    planned = ask(module, preview)
    if module.check_mode or not planned["changed"]:
        module.exit_json(**planned)
    if params["detach"]:
        started = run_detached(module, command_line(params))
        module.exit_json(**{**planned, **started})
    module.exit_json(changed=True, diff=planned["diff"], **ask(module, work))


if __name__ == "__main__":
    main()
