# SPDX-License-Identifier: Apache-2.0
"""Have a backup restored beside the original or in its place, or that undone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgkeeper_restore
short_description: Have a PostgreSQL backup restored, beside the original or in its place
version_added: 0.1.0
description:
  - Restores a backup into a new database, and compares it with the manifest. The original is not touched.
  - With O(replace=true) the new database then takes the original's place, which is kept beside. With O(undo=true) it gets it back.
  - The same O(request_id) means the same restore. While the database that it made is there, nothing more is done.
    What was replaced or undone by it once is left alone, even if the database was changed since; RV(plan) says so.
author: pgkeeper
options:
  request_id:
    description:
      - Name of this restore, of your choice. Another name means another restore.
      - Restores beside, replacements and undoings have names each of their own.
    type: str
    required: true
  backup:
    description:
      - Identifier of the backup, or V(latest).
      - With O(replace=true), V(latest) is never the one that was made just before the database was replaced.
    type: str
    default: latest
  database:
    description:
      - Database whose backup is restored, needed for O(backup=latest) where there are backups of several.
      - With O(undo=true) the database whose last replacement is undone, needed where several were replaced.
    type: str
  source:
    description: Which copy is restored, the one on the host, or one off site.
    type: str
    choices: [local, cloud, replica]
    default: local
  host:
    description: With O(source=cloud) or O(source=replica), the host whose backups are meant. Left out, this one.
    type: str
    default: ""
  to:
    description:
      - Name of the new database. Left out, it is made from the database's and the backup's.
      - Not together with O(replace=true) or O(undo=true).
    type: str
  replace:
    description:
      - Put the restored database in the place of the original. A backup of the original is made first, services that the setting
        C(BACKUP_APP_SERVICES) names are stopped for the moment of the swap, and the original is kept as C(<name>_before_<time>_<random>).
    type: bool
    default: false
  undo:
    description: Undo the last replacement. What was written since is kept as C(<name>_after_<time>_<random>).
    type: bool
    default: false
  confirmation:
    description: Must be the word V(RESTORE), for O(replace=true) and O(undo=true).
    type: str
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
    description: Returns the plan, and refuses what would be refused at once.
  diff_mode:
    support: full
    description: Shows the new database, or whose data the database holds, before and after.
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

- name: Put yesterday's data in the place of today's
  pgkeeper_restore:
    request_id: ticket-1234
    backup: app-20260301T030000Z
    replace: true
    confirmation: RESTORE
  become: true

- name: Have today's data back
  pgkeeper_restore:
    request_id: ticket-1234
    database: app
    undo: true
    confirmation: RESTORE
  become: true
"""

RETURN = r"""
plan:
  description:
    - What is asked for. C(size_bytes) is the size of the database in the backup, or of the one that an undoing brings back.
    - With O(replace=true) and O(undo=true), C(size_now_bytes) is the size of the database that would be put aside.
      C(age_seconds) is the age of what comes into its place.
  returned: when pgkeeper is on the host and nothing was restored by this task itself
  type: dict
  sample:
    backup_id: app-20260301T030000Z
    database: app
    target: app_yesterday
    would_change: true
    reason: there is no database app_yesterday
    size_bytes: 287309824
    age_seconds: 108000.0
report:
  description:
    - What was done. With O(replace=true) and O(undo=true), C(kept_as) is what the database that was put aside is called,
      and C(downtime_seconds) tells for how long there was none.
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

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgkeeper_module import JOB_ARGUMENTS, JOB_RULES, ask, enter, fail, run_detached

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pgkeeper.settings import Settings

ARGUMENTS: dict[str, Any] = {
    "request_id": {"type": "str", "required": True},
    "backup": {"type": "str", "default": "latest"},
    "database": {"type": "str"},
    "source": {"type": "str", "choices": ["local", "cloud", "replica"], "default": "local"},
    "host": {"type": "str", "default": ""},
    "to": {"type": "str"},
    "replace": {"type": "bool", "default": False},
    "undo": {"type": "bool", "default": False},
    "confirmation": {"type": "str"},
    "trust_database": {"type": "bool", "default": False},
    **JOB_ARGUMENTS,
}
RULES: dict[str, Any] = {
    **JOB_RULES,
    "required_if": [*JOB_RULES["required_if"], ("replace", True, ("confirmation",)), ("undo", True, ("confirmation",))],
}


def contradiction(params: dict[str, Any]) -> str:
    """What cannot be asked for together, or empty. An option that says false asks for nothing, so Ansible's own rules do not fit."""
    asked = [option for option in ("to", "replace", "undo") if params[option]]
    return f"{' and '.join(asked)} exclude one another" if len(asked) > 1 else ""


def command_line(params: dict[str, Any]) -> list[str]:
    """The arguments of `pgkeeper` that do what the parameters ask for."""
    arguments = ["restore", f"--request-id={params['request_id']}"]
    arguments += [f"--{option}={params[option]}" for option in ("database", "to") if params[option]]
    if params["undo"]:
        return [*arguments, "--undo", f"--confirm={params['confirmation']}"]
    arguments.append(f"--from={params['source']}")
    arguments += [f"--host={params['host']}"] if params["host"] else []
    arguments += ["--replace", f"--confirm={params['confirmation']}"] if params["replace"] else []
    arguments += ["--trust-database"] if params["trust_database"] else []
    return [*arguments, "--", params["backup"]]  # an identifier begins with the database's name, maybe with a dash


def difference(plan: dict[str, Any]) -> dict[str, str]:
    """What the database is before and after, as a diff."""
    if "undone" in plan:
        before, after = f"{plan['database']}: as {plan['undone']} left it\n", f"{plan['database']}: as before {plan['undone']}\n"
    elif "target" in plan:
        before, after = f"{plan['target']}: no such database\n", f"{plan['target']}: restored from {plan['backup_id']}\n"
    else:
        before, after = f"{plan['database']}: as it is now\n", f"{plan['database']}: restored from {plan['backup_id']}\n"
    return {"before": before if plan["would_change"] else after, "after": after}


def intention(params: dict[str, Any]) -> str:
    """What is asked for, for a host that has no pgkeeper yet."""
    if params["undo"]:
        return "undo the last replacement"
    where = "in the place of the original" if params["replace"] else "into a new database"
    return f"restore the backup {params['backup']} {where}"


def choose(params: dict[str, Any]) -> tuple[Callable[[Settings], BaseModel], Callable[[Settings], BaseModel]]:
    """The operation that the parameters ask for: what plans it, and what does it."""
    from pgkeeper.model.progress import NullProgress
    from pgkeeper.operations.plan_replace import plan_replace
    from pgkeeper.operations.plan_undo import plan_undo
    from pgkeeper.operations.replace import replace
    from pgkeeper.operations.replace_request import ReplaceRequest
    from pgkeeper.operations.restore import RestoreRequest, plan_restore, restore
    from pgkeeper.operations.undo import undo
    from pgkeeper.operations.undo_request import UndoRequest

    given = {name: params[name] for name in ("database", "request_id")}
    if params["undo"]:
        back = UndoRequest(confirmation=params["confirmation"], **given)
        return lambda settings: plan_undo(back, settings), lambda settings: undo(back, settings, NullProgress())
    given |= {name: params[name] for name in ("backup", "source", "host", "trust_database")}
    if params["replace"]:
        instead = ReplaceRequest(confirmation=params["confirmation"], **given)
        return lambda settings: plan_replace(instead, settings), lambda settings: replace(instead, settings, NullProgress())
    beside = RestoreRequest(to=params["to"], **given)
    return lambda settings: plan_restore(beside, settings), lambda settings: restore(beside, settings, NullProgress())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **RULES)
    params = module.params
    if wrong := contradiction(params):
        fail(module, wrong, exit_status=2)
    enter(module, would=intention(params), changed=True)
    plan_it, do_it = choose(params)

    def preview(settings: Settings) -> dict[str, Any]:
        plan = plan_it(settings).model_dump(mode="json")
        done = {} if plan["would_change"] else {"msg": plan["reason"]}
        return {"changed": plan["would_change"], "plan": plan, "diff": difference(plan), **done}

    def work(settings: Settings) -> dict[str, Any]:
        return {"report": do_it(settings).model_dump(mode="json")}

    planned = ask(module, preview)
    if module.check_mode or not planned["changed"]:
        module.exit_json(**planned)
    if params["detach"]:
        started = run_detached(module, command_line(params))
        module.exit_json(**{**planned, **started})
    module.exit_json(changed=True, diff=planned["diff"], **ask(module, work))


if __name__ == "__main__":
    main()
