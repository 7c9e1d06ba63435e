"""Who we run as: everything pgkeeper does, it does as the OS user that owns PostgreSQL."""

import os
import pwd

from pgkeeper.host.terminal import end_with, leave_terminal, shut_out_others
from pgkeeper.model.errors import ConfigurationError

SERVICE_USER = "postgres"


def as_service_user(command: str, *, pty: bool = False) -> str:
    """Return `command` as root pastes it to run it as the service user, with `pty` on a terminal of its own."""
    return f"runuser {'--pty ' if pty else ''}-u {SERVICE_USER} -- {command}"


def become_service_user() -> bool:
    """Make sure this process is the OS user `postgres`; return whether root became it.

    Root becomes that user for good, before anything is touched, with its groups and its home. Whoever else is that user can then neither
    type into root's terminal nor look into this process. Raises ConfigurationError (exit status 3) for any other user, or when there is no
    such user.
    """
    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        raise ConfigurationError(
            "this host has no OS user postgres", "pgkeeper works as the owner of PostgreSQL", "install PostgreSQL first"
        ) from None
    os.umask(0o077)
    if os.geteuid() == entry.pw_uid:
        return False
    if os.geteuid() != 0:
        raise ConfigurationError(f"this must be run as root or {SERVICE_USER}", f"this is user id {os.geteuid()}", "try again with sudo")
    parent = leave_terminal()
    os.initgroups(SERVICE_USER, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    shut_out_others()
    end_with(parent)
    os.environ["HOME"] = entry.pw_dir
    os.environ["USER"] = os.environ["LOGNAME"] = SERVICE_USER
    # Root's current directory may be closed to us, and children would inherit it.
    if not os.access(".", os.R_OK | os.X_OK):
        os.chdir("/")
    return True
