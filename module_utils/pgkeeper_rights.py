"""Working as root below directories that somebody else may write, without being led astray by what they plant there.

Root itself follows a path only as far as nobody else decides where it leads. From there on everything is done with that user's rights.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_LINKS = 40


class Problem(Exception):
    """What went wrong, in one line: what, why, what to do."""


class User:
    """An account of this host, and what may be done with its rights; where there is no such account, with the caller's."""

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self.account: pwd.struct_passwd | None = pwd.getpwnam(name)
        except KeyError:
            self.account = None

    @contextmanager
    def rights(self) -> Iterator[None]:
        """Have this user's rights for the block, and no others. Whoever is not root keeps their own."""
        if self.account is None or os.geteuid() != 0:
            yield
            return
        groups, group = os.getgroups(), os.getegid()
        os.setgroups(os.getgrouplist(self.name, self.account.pw_gid))
        os.setegid(self.account.pw_gid)
        os.seteuid(self.account.pw_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(group)
            os.setgroups(groups)

    def owns(self, status: os.stat_result) -> bool:
        """Whether a file is this user's."""
        return self.account is not None and status.st_uid == self.account.pw_uid

    def decides(self, directory: int) -> bool:
        """Whether somebody but root may put something else into an open directory: its owner, or this user."""
        if os.fstat(directory).st_uid != 0:
            return True
        with self.rights():
            return os.geteuid() != 0 and os.access(".", os.W_OK, dir_fd=directory, effective_ids=True)


def names_in(path: str) -> list[str]:
    """The names that a path is made of."""
    return [name for name in path.split("/") if name not in ("", ".")]


def follow(path: str, user: User) -> tuple[int, list[str]]:
    """Follow an absolute path as far as root alone decides where it leads, through root's links as well.

    Returns a descriptor of the directory where that ends, and the names that are left, of which the first does not exist, is no directory,
    or lies in a directory in which somebody else decides. Raises Problem.
    """
    directory, left, links = os.open("/", DIRECTORY), names_in(path), 0
    while left and not user.decides(directory):
        try:
            status = os.stat(left[0], dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            break
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > MOST_LINKS:
                os.close(directory)
                raise Problem(f"{path} leads round in a circle of links: remove them")
            target = os.readlink(left[0], dir_fd=directory)
            left = names_in(target) + left[1:]
            directory = _step(directory, "/") if target.startswith("/") else directory
        elif stat.S_ISDIR(status.st_mode):
            directory, left = _step(directory, left[0]), left[1:]
        else:
            break
    return directory, left


def enter(directory: int, names: list[str]) -> int:
    """Go on through directories as the user whose rights this process has, links included; the descriptor is closed. Raises OSError."""
    for name in names:
        try:
            # Whoever may pass through a directory need not be able to list it.
            following = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        finally:
            os.close(directory)
        directory = following
    return directory


def status_of(name: str, directory: int) -> os.stat_result | None:
    """What lies in an open directory under a name, a link being a link; None for nothing."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _step(directory: int, name: str) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=directory)
    finally:
        os.close(directory)
