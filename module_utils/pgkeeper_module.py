"""What pgkeeper's modules share: getting into the payload, asking it, and starting work that outlives the connection.

The modules run in Ansible's Python first, which knows nothing of pgkeeper. `enter` starts them again in the Python of
the current release; only after it may they import `pgkeeper`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from ansible.module_utils.common.respawn import has_respawned, respawn_module

if TYPE_CHECKING:
    from datetime import timedelta

    from ansible.module_utils.basic import AnsibleModule

    from pgkeeper.settings import Settings

CURRENT = Path("/opt/pgkeeper/current")
DEPLOY = "run playbooks/deploy.yml for this host first"
# How long a detached job may take until it is in the catalog: Python and pgkeeper have to start on a busy host.
SECONDS_TO_APPEAR = 30
# How long work that can't be followed is watched for an end right at its beginning, such as a wrong argument.
SECONDS_UNFOLLOWED = 5

# Options of every module that can leave its work running on the host.
JOB_ARGUMENTS: dict[str, Any] = {
    "detach": {"type": "bool", "default": False},
    "job": {"type": "str"},
}
JOB_RULES: dict[str, Any] = {"required_if": [("detach", True, ("job",))], "required_by": {"job": ("detach",)}}


def enter(module: AnsibleModule, *, would: str, changed: bool) -> None:
    """Go on in the Python of the current release.

    Where there is none, the module ends: in check mode with `changed` and the remark that after a deployment it
    `would`, otherwise with an error that says what to run.
    """
    if has_respawned():
        return
    # The release itself, not the link to it: the link may be switched while this runs.
    python = CURRENT.resolve() / "bin" / "python"
    if python.exists():
        respawn_module(str(python))
    if module.check_mode:
        module.exit_json(changed=changed, msg=f"pgkeeper is not on this host yet; once it is deployed, this would {would}")
    fail(module, f"pgkeeper is not installed on this host: {DEPLOY}", exit_status=3)


def fail(module: AnsibleModule, message: str, exit_status: int) -> NoReturn:
    """End the module with an error, and the exit status that `pgkeeper` documents for it."""
    module.fail_json(msg=message, exit_status=exit_status)
    raise AssertionError("fail_json ends the process")


def ask(module: AnsibleModule, work: Callable[[Settings], dict[str, Any]]) -> dict[str, Any]:
    """Return what `work` makes of the host's settings, done as the service user. Ends the module when it fails.

    The work happens in a child process, because this one has to stay root: Ansible's files belong to root, and are
    still needed to report.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(writing, work)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if not text:
        fail(module, "pgkeeper ended without an answer; was it killed?", exit_status=1)
    answer: dict[str, Any] = json.loads(text)
    if "error" in answer:
        module.fail_json(**answer["error"])
    result: dict[str, Any] = answer["result"]
    return result


def _answer(writing: int, work: Callable[[Settings], dict[str, Any]]) -> NoReturn:
    """In the child: become the service user, do the work, write the answer, and leave without Ansible's cleaning up."""
    try:
        # Ansible reads this process's standard output as the module's result.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        answer = {"result": _work_as_service_user(work)}
    except BaseException as error:  # noqa: BLE001  whatever it is, it has to reach the user through the pipe
        answer = {"error": _explain(error)}
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        json.dump(answer, pipe)
    os._exit(0)


def _work_as_service_user(work: Callable[[Settings], dict[str, Any]]) -> dict[str, Any]:
    from pgkeeper.host.logs import configure_logs
    from pgkeeper.host.user import become_service_user
    from pgkeeper.settings import load_settings

    become_service_user()
    settings = load_settings()
    configure_logs(settings.log_dir)
    return work(settings)


def _explain(error: BaseException) -> dict[str, Any]:
    """The error as a result of the module. An unforeseen one is named without its text, which might hold a secret."""
    from pgkeeper.model.errors import PgkeeperError

    if isinstance(error, PgkeeperError):
        return {"msg": str(error), "exit_status": error.exit_status}
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name} line {place.lineno}"
    return {"msg": f"pgkeeper failed unexpectedly: {type(error).__name__} in {where}", "exit_status": 1}


def duration(module: AnsibleModule, option: str) -> timedelta | None:
    """The option's value as a timedelta, or None when it was not given; ends the module when it is no duration."""
    from pgkeeper.model.durations import parse_duration

    text = module.params[option]
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        fail(module, f"{option}: {error}", exit_status=2)


def failures(report: dict[str, Any]) -> str:
    """What went wrong in a report, in one line; empty when nothing did."""
    from pgkeeper.model.errors import ErrorInfo

    found = [(outcome, outcome["error"]) for outcome in report.get("outcomes", ()) if outcome.get("error")]
    named = [(outcome.get("database") or outcome.get("repository") or outcome.get("name"), error) for outcome, error in found]
    lines = [f"{name}: {ErrorInfo.model_validate(error)}" for name, error in named]
    lines += [str(ErrorInfo.model_validate(report["error"]))] if report.get("error") else []
    if "archive_problem" in report:
        # The cluster was replaced, now or before, but can't be recovered again.
        lines += [f"production runs, but its log is not archived: {report['archive_problem']}"] if not report["archived"] else []
        lines += ["production runs, but there is no full backup of it"] if report["backup"] is None else []
    return "; ".join(lines)


def run_detached(module: AnsibleModule, arguments: list[str]) -> dict[str, Any]:
    """Start `pgkeeper` with these arguments, the command's words first, as the job the module names; return it, running or already over.

    A job of that name that runs or is done is returned as it is; one that failed or was lost is started again. The
    answer's `changed` says whether something was started. Where the catalog can't be used, the work is started all the
    same, and the answer has a `msg` that says so instead of a `job`.
    """
    job_id = module.params["job"]
    before, trouble = _job(module, job_id)
    if before and before["state"] in ("running", "done"):
        return {"changed": False, "job": before}
    words = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    command = [str(Path(sys.prefix) / "bin" / "pgkeeper"), *words, "--job", job_id, "--json", *arguments[len(words) :]]
    with tempfile.TemporaryFile("w+") as complaints:
        process = _start(job_id, command, complaints)
        began = time.monotonic()
        while not process.poll() and time.monotonic() < began + (SECONDS_UNFOLLOWED if trouble else SECONDS_TO_APPEAR):
            time.sleep(0.5)
            if trouble:
                # Once is enough to know it, and each look may take as long as the catalog's patience.
                continue
            job, trouble = _job(module, job_id)
            if job and (before is None or job["started_at"] != before["started_at"]):
                return {"changed": True, "job": job}
        if not process.poll():
            return _unfollowed(module, job_id, trouble or "the catalog does not name it", over=process.returncode == 0)
        complaints.seek(0)
        said = " ".join(complaints.read().split()) or "it said nothing"
    fail(module, f"the job {job_id} did not start: {said}", exit_status=process.returncode or 1)


def _unfollowed(module: AnsibleModule, job_id: str, trouble: str, *, over: bool) -> dict[str, Any]:
    """The answer about work that nobody can follow."""
    goes_on = "was done" if over else "goes on"
    message = f"the work of {job_id} {goes_on}, but it cannot be followed: {trouble}. pgkeeper's log on the host says how it ends"
    module.warn(message)
    return {"changed": True, "msg": message}


def _job(module: AnsibleModule, job_id: str) -> tuple[dict[str, Any] | None, str]:
    """The job, and why that can't be known; empty when it is."""

    def read(settings: Settings) -> dict[str, Any]:
        from pgkeeper.catalog.errors import CatalogUnusable
        from pgkeeper.operations.jobs import own_job

        try:
            job = own_job(settings, job_id)
        except CatalogUnusable as error:
            return {"job": None, "trouble": str(error)}
        return {"job": job.model_dump(mode="json") if job else None, "trouble": ""}

    answer = ask(module, read)
    return answer["job"], answer["trouble"]


def _start(job_id: str, command: list[str], complaints: IO[str]) -> subprocess.Popen[str]:
    """Start the command so that the end of this connection is not its own.

    Where systemd is in charge the command gets a unit of its own, since systemd may end all that a login session
    has started; what is returned then is `systemd-run`, which waits for the unit, but is not missed by it.
    """
    if os.geteuid() == 0 and Path("/run/systemd/system").is_dir():
        # A server that the work is to leave running, a recovered one, must not end with it; all else ends by itself.
        options = ["--quiet", "--collect", "--wait", "--pipe", "--property=KillMode=process", f"--unit=pgkeeper-{job_id}"]
        command = ["systemd-run", *options, "--", *command]
    # Only what pgkeeper needs: it takes its settings from the host, not from whoever connects.
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
        cwd="/",
        env=environment,
        start_new_session=True,
        text=True,
    )
