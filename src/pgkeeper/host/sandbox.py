"""A sandbox for programs that run other people's code: namespaces of its own in which nothing of this host's data exists.

Bubblewrap makes it, without any privilege: user, mount, process, network and IPC namespaces of their own, no new privileges, no
capabilities. What is inside sees the system's programs read-only, its own writable directories, and nothing else: no sockets, keys,
stores or processes of the host, no network but a loopback of its own. Where the host allows it, it can make no further user
namespaces, the usual way to a kernel's weak spots. The kernel ends everything inside when our process dies.
"""

import functools
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pgkeeper.host.processes import Child, run
from pgkeeper.model.errors import PgkeeperError, RefusedError

# Users' names for peer authentication; how programs find their libraries; dictionaries that Debian keeps outside of /usr.
_READABLE = ("/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/var/cache/postgresql/dicts")
_TOPS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_NO_MORE_NAMESPACES = ("--unshare-user", "--disable-userns")
_TRY_SECONDS = 20


def require_sandbox() -> None:
    """Find out by trying whether a sandbox can be had. Raises RefusedError (exit status 6) with the reason."""
    hint = "install the package bubblewrap, and allow user namespaces (sysctl user.max_user_namespaces)"
    if bubblewrap() is None:
        raise RefusedError("programs cannot be shut in on this host", "bwrap (package bubblewrap) is missing", hint)
    try:
        run([*_shut_in({}), "/usr/bin/true"], {}, timeout=_TRY_SECONDS)
    except PgkeeperError as error:
        raise RefusedError("programs cannot be shut in on this host", error.why or error.what, hint) from error


@dataclass(frozen=True)
class Inside:
    """What a sandbox has inside: `writable` maps its directories there to ours, `environment` is all its programs get.

    What they say goes to an unnamed file in our directory `messages`. They may say any amount: it should lie on the disk that is theirs.
    """

    writable: Mapping[str, Path]
    environment: Mapping[str, str]
    messages: Path


def shut_in(arguments: Sequence[str | Path], inside: Inside) -> Child:
    """Start a program in a sandbox. Leaving the block ends all that runs inside, and waits for its end."""
    # Should memory run out, the sandbox goes first, not production.
    whole = ["/usr/bin/choom", "--adjust", "1000", "--", *_shut_in(inside.writable), *arguments]
    return _ShutIn(whole, inside.environment, death_signal="KILL", messages=inside.messages)


class _ShutIn(Child):
    """Bubblewrap: one process outside, whose only child is the first process inside.

    When the first process of a PID namespace dies, the kernel kills the others, and shows it as dead only after them (pid_namespaces(7)).
    Killing the one outside instead would let us go on while some inside are still writing.
    """

    def kill(self) -> None:
        """End all that runs inside at once. May be called from any thread."""
        if not self._kill_first():
            super().kill()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        """End all that runs inside, and wait for its end."""
        self.kill()
        super().__exit__(kind, value, traceback)

    def _kill_first(self) -> bool:
        """Kill the first process inside; tell whether there was one. A descriptor makes sure that nobody else's process is meant."""
        for pid in self._children():
            with suppress(OSError):
                descriptor = os.pidfd_open(pid)
                try:
                    if pid in self._children():
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                        return True
                finally:
                    os.close(descriptor)
        return False

    def _children(self) -> list[int]:
        if not self.running:
            return []
        try:
            return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()]
        except OSError:
            return []


@functools.cache
def _may_forbid_namespaces() -> bool:
    """Tell whether a sandbox can be kept from making user namespaces of its own: not where /proc/sys is read-only, as in containers."""
    try:
        run([bubblewrap() or "bwrap", *_NO_MORE_NAMESPACES, "--ro-bind", "/", "/", "/usr/bin/true"], {}, timeout=_TRY_SECONDS)
    except PgkeeperError:
        return False
    return True


def bubblewrap() -> str | None:
    """Return the program that makes namespaces without any privilege; None where it is not installed."""
    return shutil.which("bwrap", path="/usr/bin:/usr/local/bin")


def _shut_in(writable: Mapping[str, Path]) -> list[str]:
    arguments = [
        bubblewrap() or "bwrap",
        "--unshare-all",
        *(_NO_MORE_NAMESPACES if _may_forbid_namespaces() else ()),
        "--die-with-parent",
        "--new-session",
        "--hostname",
        "sandbox",
    ]
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
