#!/usr/bin/python3
"""Stop or start services because pgkeeper asks for it. Belongs to root, is started by systemd.

services.py [--all] SPOOL LIST STATE [SYSTEMCTL]
  --all  start all units of the list, also what we did not stop: for PostgreSQL itself, which may be down when it is to come back
  SPOOL  directory of user postgres: `request` holds "ready|stop|start TOKEN", and `answer` will hold "TOKEN done|WHAT IS WRONG"
  LIST   file of root's: the names of the units, one a line. Nothing else is ever stopped or started.
  STATE  directory of root's: remembers which units were stopped, so that only these are started again, after a crash too

Whatever is in the spool is read and written as user postgres: a link planted there leads no further than that user could go.
"""

import os
import pwd
import re
import subprocess
import sys

USER = "postgres"
REQUEST = re.compile(r"(ready|stop|start) ([0-9a-f]{16})\n")
MOST_BYTES = 64


def as_user(work):
    """Do the work with the rights of user postgres."""
    account, groups = pwd.getpwnam(USER), os.getgroups()
    os.setgroups(os.getgrouplist(USER, account.pw_gid))
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        return work()
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def take_request(spool):
    """What is asked for and its token; None when that is nothing we understand. The request is gone then."""
    path = os.path.join(spool, "request")

    def take():
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            text = b""
        else:
            text = os.read(descriptor, MOST_BYTES)
            os.close(descriptor)
        try:
            os.unlink(path)
        except OSError as error:
            sys.stderr.write("cannot remove %s: %s\n" % (path, error.strerror))
        return text

    found = REQUEST.fullmatch(as_user(take).decode("ascii", "replace"))
    return found.groups() if found else None


def give_answer(spool, token, text):
    """Leave the answer, whole or not at all."""

    def give():
        temporary = os.path.join(spool, ".answer-" + token)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, ("%s %s\n" % (token, " ".join(text.split()))).encode())
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(temporary, os.path.join(spool, "answer"))

    as_user(give)


def names_in(path):
    """The lines of a file; none when it is not there."""
    try:
        with open(path) as lines:
            return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    except OSError:
        return []


def remember(path, names):
    """Write down which units we stopped, before they are."""
    with open(path + ".new", "w") as file:
        file.write("".join(name + "\n" for name in names))
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def run(systemctl, *arguments):
    """What is wrong with what systemctl did; empty when nothing is."""
    done = subprocess.run([systemctl, *arguments], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return "" if done.returncode == 0 else done.stdout.decode("utf-8", "replace").strip() or "systemctl failed"


def serve(what, units, stopped, systemctl, start_all):
    """Do what is asked for; what is wrong, or empty."""
    if what == "stop":
        running = [unit for unit in units if not run(systemctl, "is-active", "--quiet", unit)]
        remember(stopped, sorted(set(names_in(stopped)) & set(units) | set(running)))
        return run(systemctl, "stop", *running) if running else ""
    if what == "start":
        waiting = [unit for unit in units if start_all or unit in names_in(stopped)]
        wrong = run(systemctl, "start", *waiting) if waiting else ""
        if not wrong and os.path.exists(stopped):
            os.unlink(stopped)
        return wrong
    return "" if units else "the list of services is empty"


def main():
    """Serve one request."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    spool, listed, state = arguments[:3]
    systemctl = arguments[3] if len(arguments) > 3 else "/usr/bin/systemctl"
    request = take_request(spool)
    if request is None:
        sys.exit("no request that makes sense in " + spool)
    what, token = request
    wrong = serve(what, names_in(listed), os.path.join(state, "stopped"), systemctl, "--all" in sys.argv[1:])
    give_answer(spool, token, wrong or "done")
    if wrong:
        sys.exit(wrong)


if __name__ == "__main__":
    main()
