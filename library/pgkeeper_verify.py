# SPDX-License-Identifier: Apache-2.0
"""Have backups checked."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgkeeper_verify
short_description: Have PostgreSQL backups checked
version_added: 0.1.0
description:
  - Checks that backups are whole, and fails when one is not.
  - The result is kept beside the backup, so that O(max_age) can tell whether it is time to check again.
author: pgkeeper
options:
  backup:
    description: Identifier of the backup, or V(latest) for the newest one of each database.
    type: str
    default: latest
  databases:
    description: With O(backup=latest), the databases whose newest backup is checked. Left out, all that have one.
    type: list
    elements: str
    default: []
  source:
    description: Which copy is checked, the one on the host, or one off site.
    type: str
    choices: [local, cloud, replica]
    default: local
  host:
    description: With O(source=cloud) or O(source=replica), the host whose backups are meant. Left out, this one.
    type: str
    default: ""
  level:
    description:
      - V(checksum) compares every byte with the manifest.
      - V(contents) also reads the dump to its end, and compares the rows of every table with the manifest.
      - V(restore) restores it for real, into a throwaway PostgreSQL in a sandbox, and compares what comes out.
    type: str
    choices: [checksum, contents, restore]
    default: contents
  max_age:
    description:
      - A backup that passed a check of this level, or a higher one, less than this ago is left alone.
      - With O(backup=latest), a database of which any backup did.
      - For example V(7d).
      - Left out, the check is made in any case.
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
    description: Looks which backups would be checked now.
  diff_mode:
    support: full
    description: Shows the last check of each backup before and after, unless O(detach=true).
  platform:
    platforms: debian
notes:
  - Needs root, or the user postgres.
  - A check that was made counts as a change, as its result was written down.
seealso:
  - module: pgkeeper_info
  - module: pgkeeper_backup
"""

EXAMPLES = r"""
- name: Have the newest backup of every database checked once a week
  pgkeeper_verify:
    max_age: 7d
  become: true

- name: Compare one backup with its checksums
  pgkeeper_verify:
    backup: app-20260301T030000Z
    level: checksum
  become: true
"""

RETURN = r"""
report:
  description: What was found, backup by backup.
  returned: when the work was done by this task
  type: dict
  contains:
    outcomes:
      description: One entry per backup.
      type: list
      elements: dict
      sample:
        - database: app
          backup_id: app-20260301T030000Z
          level: contents
          status: done
          seconds: 4.2
          problems: []
backups:
  description: Backups that would be checked.
  returned: in check mode, and when O(detach=true) and there is nothing to do
  type: list
  elements: str
  sample: [app-20260301T030000Z]
job:
  description:
    - The job that was started or found. M(pgkeeper_info) tells how it goes on.
    - Missing where the catalog of jobs cannot be used. The work goes on all the same, as RV(msg) says.
  returned: when O(detach=true) and there was something to do
  type: dict
exit_status:
  description: Exit status of C(pgkeeper verify), which documents it, V(4) for a damaged backup.
  returned: when the work was done by this task, and on failure
  type: int
  sample: 0
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgkeeper_module import JOB_ARGUMENTS, JOB_RULES, ask, duration, enter, failures, run_detached

if TYPE_CHECKING:
    from pgkeeper.settings import Settings
    from pgkeeper.stores.copy import Copy

ARGUMENTS: dict[str, Any] = {
    "backup": {"type": "str", "default": "latest"},
    "databases": {"type": "list", "elements": "str", "default": []},
    "source": {"type": "str", "choices": ["local", "cloud", "replica"], "default": "local"},
    "host": {"type": "str", "default": ""},
    "level": {"type": "str", "choices": ["checksum", "contents", "restore"], "default": "contents"},
    "max_age": {"type": "str"},
    **JOB_ARGUMENTS,
}


def command_line(params: dict[str, Any]) -> list[str]:
    """The arguments of `pgkeeper` that do what the parameters ask for."""
    arguments = ["verify", f"--level={params['level']}", f"--from={params['source']}"]
    arguments += [f"--host={params['host']}"] if params["host"] else []
    if params["max_age"]:
        arguments.append(f"--if-older-than={params['max_age']}")
    arguments += [f"--database={name}" for name in params["databases"]]
    return [*arguments, "--", params["backup"]]  # an identifier begins with the database's name, maybe with a dash


def checks(backups: tuple[Copy, ...]) -> str:
    """When each of these backups was last checked, as text for a diff."""
    lines = []
    for backup in sorted(backups, key=lambda backup: backup.backup_id):
        done = [f"{level} at {at:%Y-%m-%dT%H:%M:%SZ}" for level, at in sorted(backup.verified().items())]
        lines.append(f"{backup.backup_id}: {', '.join(done) or 'not checked'}\n")
    return "".join(lines)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, **JOB_RULES)
    params = module.params
    enter(module, would=f"check the backup {params['backup']}", changed=True)

    from pgkeeper.model.progress import NullProgress
    from pgkeeper.operations.verify import VerifyRequest, due, verify

    max_age = duration(module, "max_age")
    request = VerifyRequest(
        backup=params["backup"],
        source=params["source"],
        host=params["host"],
        databases=tuple(params["databases"]),
        level=params["level"],
        if_older_than=max_age,
    )

    def preview(settings: Settings) -> dict[str, Any]:
        backups = due(request, settings)
        after = "".join(f"{name}: {params['level']} now\n" for name in sorted(backup.backup_id for backup in backups))
        return {
            "changed": bool(backups),
            "backups": [backup.backup_id for backup in backups],
            "diff": {"before": checks(backups), "after": after},
        }

    def work(settings: Settings) -> dict[str, Any]:
        backups = due(request, settings)
        before = checks(backups)
        report = verify(request, settings, NullProgress())
        return {
            "changed": any(outcome.status != "skipped" for outcome in report.outcomes),
            "report": report.model_dump(mode="json"),
            "exit_status": report.exit_status,
            "diff": {"before": before, "after": checks(backups)},
        }

    if module.check_mode:
        module.exit_json(**ask(module, preview))
    if params["detach"]:
        # Without a job there is nothing to follow, so look first whether there is anything to do.
        if max_age is not None and not (planned := ask(module, preview))["changed"]:
            module.exit_json(**planned)
        module.exit_json(**run_detached(module, command_line(params)))
    result = ask(module, work)
    if result["exit_status"]:
        module.fail_json(msg=failures(result["report"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
