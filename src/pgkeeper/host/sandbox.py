"""A sandbox for programs that run other people's code: namespaces of its own in which nothing of this host's data exists.

Bubblewrap makes it, without any privilege: user, mount, process, network and IPC namespaces of their own, no new privileges, no
capabilities. What is inside sees the system's programs read-only, its own writable directories, and nothing else: no sockets, keys,
stores or processes of the host, no network but a loopback of its own. The kernel ends everything inside when our process dies.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pgkeeper.host.processes import Child, run
from pgkeeper.model.errors import PgkeeperError, RefusedError

# Users' names for peer authentication; how programs find their libraries; dictionaries that Debian keeps outside of /usr.
_READABLE = ("/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/var/cache/postgresql/dicts")
_TOPS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_TRY_SECONDS = 20


def require_sandbox() -> None:
    """Find out by trying whether a sandbox can be had. Raises RefusedError (exit status 6) with the reason."""
    hint = "install the package bubblewrap, and allow user namespaces (sysctl user.max_user_namespaces)"
    if _bubblewrap() is None:
        raise RefusedError("programs cannot be shut in on this host", "bwrap (package bubblewrap) is missing", hint)
    try:
        run([*_shut_in({}), "/usr/bin/true"], {}, timeout=_TRY_SECONDS)
    except PgkeeperError as error:
        raise RefusedError("programs cannot be shut in on this host", error.why or error.what, hint) from error


def shut_in(arguments: Sequence[str | Path], writable: Mapping[str, Path], environment: Mapping[str, str]) -> Child:
    """Start a program in a sandbox; `writable` maps its directories there to ours. Leaving the block ends all that runs inside."""
    # Should memory run out, the sandbox goes first, not production.
    return Child(["/usr/bin/choom", "--adjust", "1000", "--", *_shut_in(writable), *arguments], environment, death_signal="KILL")


def _bubblewrap() -> str | None:
    return shutil.which("bwrap", path="/usr/bin:/usr/local/bin")


def _shut_in(writable: Mapping[str, Path]) -> list[str]:
    arguments = [_bubblewrap() or "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--hostname", "sandbox"]
    arguments += ["--ro-bind", "/usr", "/usr"]
    for top in (Path("/") / name for name in _TOPS):
        if top.is_symlink():
            arguments += ["--symlink", str(top.readlink()), str(top)]
        elif top.exists():
            arguments += ["--ro-bind", str(top), str(top)]
    for path in _READABLE:
        arguments += ["--ro-bind-try", path, path]
    arguments += ["--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    for inside, ours in writable.items():
        arguments += ["--bind", str(ours), inside]
    return [*arguments, "--chdir", "/", "--"]
