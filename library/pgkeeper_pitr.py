# SPDX-License-Identifier: Apache-2.0
"""Have a whole cluster recovered to a moment, beside production or in its place, or that undone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgkeeper_pitr
short_description: Have a PostgreSQL cluster recovered to a moment, beside production or in its place
version_added: 0.1.0
description:
  - Recovers the whole cluster to any moment that physical backups and archived log reach, into a directory of its own. It runs there,
    reachable through a socket in that directory, for a look. Production is not touched.
  - With O(replace=true) what was recovered then takes production's place, whose files are kept. With O(undo=true) it gets them back.
  - The same O(request_id) means the same recovery. While the cluster that it recovered beside production is there, nothing more is done.
    What was replaced or undone by it once is left alone, even if production was changed since; RV(plan) says so.
author: pgkeeper
options:
  request_id:
    description:
      - Name of this recovery, of your choice. Another name means another recovery.
      - Recoveries beside, replacements and undoings have names each of their own.
    type: str
    required: true
  target_time:
    description:
      - The moment, with its offset or time zone, such as V(2026-03-01 12:00:00+01) or V(2026-03-01 12:00 Europe/Berlin).
      - Exactly one of O(target_time), O(target_name), O(target_xid), O(target_lsn), O(immediate) and O(latest) is needed, but for
        O(undo=true).
    type: str
  target_name:
    description: The name of a mark (C(pgkeeper pitr mark)).
    type: str
  target_xid:
    description: The number of a transaction.
    type: int
  target_lsn:
    description: A position in the log.
    type: str
  immediate:
    description: Recover to the end of the backup itself.
    type: bool
    default: false
  latest:
    description: Recover to the end of what is archived.
    type: bool
    default: false
  exclusive:
    description: Stop just before the target, not behind it. For times, transactions and positions.
    type: bool
    default: false
  timeline:
    description: The timeline to recover on. Left out, one that production was on, its present one before others.
    type: int
  backup:
    description: Label of the physical backup to begin with. Left out, the last one before the target.
    type: str
  source:
    description: The repository, the one on the host, or the one off site.
    type: str
    choices: [local, cloud]
    default: local
  to_dir:
    description:
      - Absolute path of the directory to recover into. Left out, one in the directory that the setting C(BACKUP_PITR_DIR) names.
      - The request of one O(request_id) has one directory. Not together with O(replace=true) or O(undo=true).
    type: str
  exports:
    description:
      - Tables to copy out into files that C(psql) loads, such as V(public.orders). They need O(database).
      - Not together with O(replace=true) or O(undo=true).
    type: list
    elements: str
    default: []
  database:
    description: The database that O(exports) are in.
    type: str
  replace:
    description:
      - Put what was recovered in the place of production. Services that the setting C(BACKUP_APP_SERVICES) names and PostgreSQL are
        stopped for a few renames, and production's files are kept beside as they were.
    type: bool
    default: false
  in_place:
    description:
      - With O(replace=true), where there is no room for a second cluster, write over production's own files. Production is down for the
        whole recovery, and nothing of its files is kept, so there is no undo. Its log is archived to the end first.
      - Cut off amid it, production stays down until the same is asked for once more, and done.
    type: bool
    default: false
  undo:
    description: Give production the files of before the last replacement back. What was written since is kept beside.
    type: bool
    default: false
  confirmation:
    description: Must be the word V(RESTORE), for O(replace=true) and O(undo=true). Not needed in check mode.
    type: str
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
    description: >-
      Returns the plan, and refuses what would be refused at once. For a moment that has only just passed PostgreSQL ends the segment
      that it writes (C(pg_switch_wal)), and that is waited for.
  diff_mode:
    support: full
    description: Shows what the directory, or production, holds before and after.
  platform:
    platforms: debian
notes:
  - Needs root, or the user postgres.
  - A cluster that was recovered beside production runs until C(pgkeeper pitr stop DIR --remove) ends and removes it.
seealso:
  - module: pgkeeper_info
  - module: pgkeeper_restore
"""

EXAMPLES = r"""
- name: Look at how everything was before the accident
  pgkeeper_pitr:
    request_id: ticket-1234
    target_time: "2026-03-01 11:59:30+01"
  become: true
  register: pgkeeper

- name: Fetch one table of that moment
  pgkeeper_pitr:
    request_id: ticket-1234-orders
    target_time: "2026-03-01 11:59:30+01"
    database: shop
    exports: [public.orders]
  become: true

- name: Put the whole cluster back to the mark that was made before the migration
  pgkeeper_pitr:
    request_id: ticket-1235
    target_name: before-migration-42
    replace: true
    confirmation: RESTORE
  become: true

- name: The same where the disk has no room for a second cluster
  pgkeeper_pitr:
    request_id: ticket-1235
    target_name: before-migration-42
    replace: true
    in_place: true
    confirmation: RESTORE
  become: true

- name: Have today's data back
  pgkeeper_pitr:
    request_id: ticket-1236
    undo: true
    confirmation: RESTORE
  become: true
"""

RETURN = r"""
plan:
  description:
    - What is asked for. C(target) says in words to which moment, in UTC and in production's time zone.
    - C(directory) is where the cluster would be recovered beside production. With O(replace=true) and O(undo=true), C(data_directory)
      is production's. With O(undo=true), C(undone) is the replacement that would be undone, and C(returning) holds the files of before.
    - C(size_bytes) is what would be fetched, and C(age_seconds) how far production would go back; null where that is not known.
  returned: when pgkeeper is on the host and nothing was recovered by this task itself
  type: dict
  sample:
    target: 2026-03-01 10:59:30 UTC (2026-03-01 11:59:30+01:00 Europe/Berlin)
    repository: local
    backup: 20260301-030002F
    timeline: 1
    directory: /var/lib/pgkeeper/pitr/side/main-1f0d8a3c5e77
    would_change: true
    reason: >-
      the cluster would be recovered to 2026-03-01 10:59:30 UTC (2026-03-01 11:59:30+01:00 Europe/Berlin), beside production, into
      /var/lib/pgkeeper/pitr/side/main-1f0d8a3c5e77
    size_bytes: 2298893500
report:
  description:
    - What was done. Beside production, C(host) and C(port) are what C(psql -h) and C(psql -p) need, and C(exports) the files with tables.
    - With O(replace=true) and O(undo=true), C(kept_as) holds the files that were production's (empty with O(in_place=true)), and
      C(downtime_seconds) tells for how long production was down. Where C(archived) is false or C(backup) is null, the task fails, though
      production runs.
  returned: when the work was done by this task
  type: dict
  sample:
    target: 2026-03-01 10:59:30 UTC (2026-03-01 11:59:30+01:00 Europe/Berlin)
    repository: local
    backup: 20260301-030002F
    timeline: 1
    new_timeline: 2
    directory: /var/lib/pgkeeper/pitr/side/main-1f0d8a3c5e77
    host: /var/lib/pgkeeper/pitr/side/main-1f0d8a3c5e77
    port: 5432
    exports: []
    changed: true
    seconds: 84.2
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgkeeper_module import JOB_ARGUMENTS, JOB_RULES, ask, enter, fail, failures, run_detached

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pgkeeper.settings import Settings

ARGUMENTS: dict[str, Any] = {
    "request_id": {"type": "str", "required": True},
    "target_time": {"type": "str"},
    "target_name": {"type": "str"},
    "target_xid": {"type": "int"},
    "target_lsn": {"type": "str"},
    "immediate": {"type": "bool", "default": False},
    "latest": {"type": "bool", "default": False},
    "exclusive": {"type": "bool", "default": False},
    "timeline": {"type": "int"},
    "backup": {"type": "str"},
    "source": {"type": "str", "choices": ["local", "cloud"], "default": "local"},
    "to_dir": {"type": "str"},
    "exports": {"type": "list", "elements": "str", "default": []},
    "database": {"type": "str"},
    "replace": {"type": "bool", "default": False},
    "in_place": {"type": "bool", "default": False},
    "undo": {"type": "bool", "default": False},
    "confirmation": {"type": "str"},
    **JOB_ARGUMENTS,
}
TARGETS = ("target_time", "target_name", "target_xid", "target_lsn", "immediate", "latest")
CONFIRMATION = "RESTORE"


def given(value: object) -> bool:
    """Whether an option asks for anything; 0 does, false does not."""
    return value is not None and value is not False and value not in ("", [])


def contradiction(params: dict[str, Any]) -> str:
    """What cannot be asked for so, or empty. An option that says false asks for nothing, so Ansible's own rules do not fit."""
    targets = [option for option in TARGETS if given(params[option])]
    if params["undo"]:
        others = ("exclusive", "timeline", "backup", "to_dir", "exports", "replace", "in_place")
        asked = [*targets, *(option for option in others if given(params[option]))]
        return f"undo excludes {' and '.join(asked)}" if asked else ""
    if len(targets) != 1:
        return f"say to which moment: one of {', '.join(TARGETS)}" if not targets else f"{' and '.join(targets)} exclude one another"
    if params["replace"]:
        asked = [option for option in ("to_dir", "exports") if given(params[option])]
        return f"replace excludes {' and '.join(asked)}" if asked else ""
    if params["in_place"]:
        return "in_place is for replace: a recovery beside writes over nothing"
    return ""


def unconfirmed(params: dict[str, Any]) -> str:
    """What is missing to replace or to undo, or empty."""
    if not (params["replace"] or params["undo"]) or params["confirmation"] == CONFIRMATION:
        return ""
    return f"nothing was done: to {'undo' if params['undo'] else 'replace'}, confirmation must be {CONFIRMATION}"


def command_line(params: dict[str, Any]) -> list[str]:
    """The arguments of `pgkeeper` that do what the parameters ask for."""
    named = f"--request-id={params['request_id']}"
    if params["undo"]:
        return ["pitr", "undo", named, f"--confirm={params['confirmation']}"]
    arguments = ["pitr", "restore", named]
    for option in ("target_time", "target_name", "target_xid", "target_lsn", "timeline", "backup", "to_dir"):
        arguments += [f"--{option.replace('_', '-')}={params[option]}"] if given(params[option]) else []
    arguments += [f"--{option}" for option in ("immediate", "latest", "exclusive") if params[option]]
    arguments.append(f"--from={params['source']}")
    if params["replace"]:
        return [*arguments, "--replace", *(["--in-place"] if params["in_place"] else []), f"--confirm={params['confirmation']}"]
    arguments += [f"--database={params['database']}"] if given(params["database"]) else []
    return [*arguments, *(f"--export={table}" for table in params["exports"])]


def difference(plan: dict[str, Any]) -> dict[str, str]:
    """What the directory, or production, holds before and after, as a diff."""
    if "undone" in plan:
        before, after = f"production: as {plan['undone']} left it\n", f"production: as before {plan['undone']}\n"
    elif "directory" in plan:
        before, after = f"{plan['directory']}: no cluster\n", f"{plan['directory']}: the cluster, recovered to {plan['target']}\n"
    else:
        before, after = "production: as it is now\n", f"production: recovered to {plan['target']}\n"
    return {"before": before if plan["would_change"] else after, "after": after}


def intention(params: dict[str, Any]) -> str:
    """What is asked for, for a host that has no pgkeeper yet."""
    if params["undo"]:
        return "undo the last replacement of the cluster"
    return f"recover the cluster {'in the place of production' if params['replace'] else 'beside production'}"


def choose(params: dict[str, Any]) -> tuple[Callable[[Settings], BaseModel], Callable[[Settings], BaseModel]]:
    """The operation that the parameters ask for: what plans it, and what does it."""
    from pgkeeper.model.progress import NullProgress
    from pgkeeper.operations.pitr_request import RecoveryWish
    from pgkeeper.operations.pitr_restore import PitrRestoreRequest, pitr_restore, plan_pitr_restore
    from pgkeeper.operations.plan_replace_cluster import plan_replace_cluster
    from pgkeeper.operations.plan_undo_cluster import plan_undo_cluster
    from pgkeeper.operations.replace_cluster import ReplaceClusterRequest, replace_cluster
    from pgkeeper.operations.undo_cluster import UndoClusterRequest, undo_cluster

    quiet = NullProgress()
    named = {"request_id": params["request_id"]}
    word = {"confirmation": params["confirmation"] or ""}
    if params["undo"]:
        back = UndoClusterRequest(**named, **word)
        return lambda settings: plan_undo_cluster(back, settings), lambda settings: undo_cluster(back, settings, quiet)
    targets = {name.removeprefix("target_"): params[name] for name in TARGETS}
    wish = RecoveryWish(**targets, **{name: params[name] for name in ("exclusive", "source", "timeline", "backup")})
    if params["replace"]:
        instead = ReplaceClusterRequest(wish=wish, in_place=params["in_place"], **named, **word)
        return lambda settings: plan_replace_cluster(instead, settings, quiet), lambda settings: replace_cluster(instead, settings, quiet)
    to_dir = Path(params["to_dir"]) if given(params["to_dir"]) else None
    beside = PitrRestoreRequest(wish=wish, to_dir=to_dir, exports=tuple(params["exports"]), database=params["database"], **named)
    return lambda settings: plan_pitr_restore(beside, settings, quiet), lambda settings: pitr_restore(beside, settings, quiet)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **JOB_RULES)
    params = module.params
    if wrong := contradiction(params):
        fail(module, wrong, exit_status=2)
    if not module.check_mode and (missing := unconfirmed(params)):
        fail(module, missing, exit_status=6)
    enter(module, would=intention(params), changed=True)

    def preview(settings: Settings) -> dict[str, Any]:
        plan_it, _ = choose(params)
        plan = plan_it(settings).model_dump(mode="json")
        done = {} if plan["would_change"] else {"msg": plan["reason"]}
        return {"changed": plan["would_change"], "plan": plan, "diff": difference(plan), **done}

    def work(settings: Settings) -> dict[str, Any]:
        _, do_it = choose(params)
        report = do_it(settings)
        status = getattr(report, "exit_status", 0)
        return {"report": report.model_dump(mode="json"), **({"exit_status": status} if status else {})}

    planned = ask(module, preview)
    if module.check_mode or not planned["changed"]:
        module.exit_json(**planned)
    if params["detach"]:
        started = run_detached(module, command_line(params))
        module.exit_json(**{**planned, **started})
    result = {"changed": True, "diff": planned["diff"], **ask(module, work)}
    for warning in result["report"]["warnings"]:
        module.warn(warning)
    if "exit_status" in result:
        module.fail_json(msg=failures(result["report"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
