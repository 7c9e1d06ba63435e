# SPDX-License-Identifier: Apache-2.0
"""Have a backup of databases."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgkeeper_backup
short_description: Have a backup of PostgreSQL databases
version_added: 0.1.0
description:
  - Makes a backup of every database, or of those named, unless there is one that is young enough.
  - The host needs pgkeeper, which C(playbooks/deploy.yml) puts there, and its settings apply.
  - A backup may take hours. With O(detach=true) it goes on by itself, and M(pgkeeper_info) tells how far it is.
author: pgkeeper
options:
  state:
    description: A backup is there.
    type: str
    choices: [present]
    default: present
  databases:
    description: Databases to back up. Left out, all that the host's settings name.
    type: list
    elements: str
    default: []
  max_age:
    description:
      - A database whose newest backup is younger than this is left alone, for example V(24h) or V(7d).
      - Left out, a backup is made in any case.
    type: str
  wait:
    description: How long to wait for a backup that is already running before giving up, for example V(2h).
    type: str
    default: 0s
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
    description: Looks which databases would be backed up now.
  diff_mode:
    support: full
    description: Shows the newest backup of each database before and after, unless O(detach=true).
  platform:
    platforms: debian
notes:
  - Needs root, or the user postgres.
seealso:
  - module: pgkeeper_info
  - module: pgkeeper_verify
  - module: pgkeeper_restore
"""

EXAMPLES = r"""
- name: Have a backup of every database that is at most a day old
  pgkeeper_backup:
    max_age: 24h
  become: true

- name: Back up one database before an upgrade, waiting for the nightly backup if it is still at work
  pgkeeper_backup:
    databases: [app]
    wait: 2h
  become: true

- name: Start a long backup, to be followed with pgkeeper_info
  pgkeeper_backup:
    detach: true
    job: before-release-42
  become: true
"""

RETURN = r"""
report:
  description: What happened, database by database.
  returned: when the work was done by this task
  type: dict
  contains:
    outcomes:
      description: One entry per database.
      type: list
      elements: dict
      sample:
        - database: app
          status: done
          backup_id: app-20260301T030000Z
          path: /var/backups/pgkeeper/4f0c.../15-main/app/app-20260301T030000Z
          size_bytes: 274877906
          database_bytes: 1782579200
          seconds: 21.4
          warnings: []
databases:
  description: Databases that would be backed up.
  returned: in check mode, and when O(detach=true) and there is nothing to do
  type: list
  elements: str
  sample: [app]
job:
  description:
    - The job that was started or found. M(pgkeeper_info) tells how it goes on.
    - Missing where the catalog of jobs cannot be used. The work goes on all the same, as RV(msg) says.
  returned: when O(detach=true) and there was something to do
  type: dict
exit_status:
  description: Exit status of C(pgkeeper backup), which documents it.
  returned: when the work was done by this task, and on failure
  type: int
  sample: 0
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgkeeper_module import JOB_ARGUMENTS, JOB_RULES, ask, duration, enter, failures, run_detached

if TYPE_CHECKING:
    from pgkeeper.settings import Settings

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    "databases": {"type": "list", "elements": "str", "default": []},
    "max_age": {"type": "str"},
    "wait": {"type": "str", "default": "0s"},
    **JOB_ARGUMENTS,
}


def command_line(params: dict[str, Any]) -> list[str]:
    """The arguments of `pgkeeper` that do what the parameters ask for."""
    arguments = ["backup", f"--wait={params['wait']}"]
    if params["max_age"]:
        arguments.append(f"--if-older-than={params['max_age']}")
    return arguments + [f"--database={name}" for name in params["databases"]]


def newest(settings: Settings, names: list[str]) -> str:
    """The newest backup of each of these databases, as text for a diff."""
    from pgkeeper.operations.listing import list_copies

    found: dict[str, str] = {}
    for backup in list_copies(settings, "local"):  # newest first
        found.setdefault(backup.database, backup.backup_id)
    return "".join(f"{name}: {found.get(name, 'no backup')}\n" for name in sorted(names))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **JOB_RULES)
    names = module.params["databases"]
    enter(module, would=f"back up {', '.join(names) or 'every database'}", changed=True)

    from pgkeeper.model.progress import NullProgress
    from pgkeeper.operations.backup import BackupRequest, backup, due

    max_age = duration(module, "max_age")
    wait = duration(module, "wait") or timedelta()
    request = BackupRequest(databases=tuple(names), if_older_than=max_age, wait=wait)

    def preview(settings: Settings) -> dict[str, Any]:
        wanted = list(due(request, settings))
        after = "".join(f"{name}: a new backup\n" for name in sorted(wanted))
        diff = {"before": newest(settings, wanted), "after": after}
        return {"changed": bool(wanted), "databases": wanted, "diff": diff}

    def work(settings: Settings) -> dict[str, Any]:
        wanted = list(due(request, settings))
        before = newest(settings, wanted)
        report = backup(request, settings, NullProgress())
        return {
            "changed": any(outcome.status == "done" for outcome in report.outcomes),
            "report": report.model_dump(mode="json"),
            "exit_status": report.exit_status,
            "diff": {"before": before, "after": newest(settings, wanted)},
        }

    if module.check_mode:
        module.exit_json(**ask(module, preview))
    if module.params["detach"]:
        # Without a job there is nothing to follow, so look first whether there is anything to do.
        if max_age is not None and not (planned := ask(module, preview))["changed"]:
            module.exit_json(**planned)
        module.exit_json(**run_detached(module, command_line(module.params)))
    result = ask(module, work)
    if result["exit_status"]:
        module.fail_json(msg=failures(result["report"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
