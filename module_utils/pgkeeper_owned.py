"""Directories, files and links of one user: made and removed with that user's rights, whatever was planted on the way."""

from __future__ import annotations

import fnmatch
import os
import secrets
import shutil
import stat
from pathlib import PurePosixPath

from ansible.module_utils.pgkeeper_rights import Problem, User, enter, follow, names_in, status_of

# What is longer was not written by us.
MOST_BYTES = 1024 * 1024
ABSENT = "absent\n"
ELSE = "something else\n"
HERE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """An absolute path. Each method has it so, and returns what was there before and is after; `dry` changes nothing.

    They raise Problem, and OSError for what the user may not do.
    """

    def __init__(self, path: str, user: User, *, dry: bool) -> None:
        if not path.startswith("/") or len(names_in(path)) < 2 or ".." in names_in(path):
            raise Problem(f"{path} is no place of its own: name an absolute path of two directories or more")
        self.path, self.user, self.dry = path, user, dry
        self._way, self._name = str(PurePosixPath(path).parent), PurePosixPath(path).name

    def directory(self, mode: int) -> tuple[str, str]:
        """Have a directory of the user there. Those that are missing on the way are made alike."""
        after = _told(self.user.name, mode)
        directory, left = follow(self.path, self.user)
        if left and not self.user.decides(directory) and status_of(left[0], directory) is None:
            if self.dry:
                return ABSENT, after
            directory, left = _made_by_root(directory, left[0], mode, self.user), left[1:]
            if not left:
                return ABSENT, after
        if not left:
            # Nobody but root could have led us here.
            return self._settled(directory, mode, owner_as_well=True), after
        with self.user.rights():
            found, made = self._made(directory, left, mode)
            if found is None:
                return ABSENT, after
            if not self.user.owns(os.fstat(found)):
                raise self._foreign(os.fstat(found))
            return (ABSENT if made else self._settled(found, mode, owner_as_well=False)), after

    def _made(self, directory: int, names: list[str], mode: int) -> tuple[int | None, bool]:
        """The directory that names lead to, and whether its last one had to be made; None where it only would be."""
        made = False
        for name in names:
            made = status_of(name, directory) is None
            if made and self.dry:
                return None, True
            if made:
                os.mkdir(name, 0o700, dir_fd=directory)
                os.chmod(name, mode, dir_fd=directory)
            directory = enter(directory, [name])
        return directory, made

    def _settled(self, directory: int, mode: int, *, owner_as_well: bool) -> str:
        """What an existing directory was; it is as it should be then."""
        status, account = os.fstat(directory), self.user.account
        found = _told(self.user.name if self.user.owns(status) else f"user {status.st_uid}", stat.S_IMODE(status.st_mode))
        if owner_as_well and account is not None and not self.dry and not self.user.owns(status):
            os.fchown(directory, account.pw_uid, account.pw_gid)
        if not self.dry and stat.S_IMODE(status.st_mode) != mode:
            # Serves a descriptor that was opened to pass through, too.
            os.chmod(f"/proc/self/fd/{directory}", mode)  # noqa: PTH101 - by descriptor, which leads nowhere else
        return found

    def _foreign(self, status: os.stat_result) -> Problem:
        real = os.path.realpath(self.path)
        whose = f"belongs to user {status.st_uid} and not to {self.user.name}"
        if real != self.path:
            return Problem(f"{self.path} leads to {real}, which {whose}: remove the link")
        return Problem(f"{self.path} {whose}: see what it is, and chown or remove it")

    def file(self, content: str | None, mode: int) -> tuple[str, str]:
        """Have a file of the user there with this content; or, without one, any plain file."""
        directory, left = follow(self._way, self.user)
        with self.user.rights():
            parent = self._parent(directory, left)
            if parent is None:
                return ABSENT, content or ""
            status = status_of(self._name, parent)
            if content is None and status is not None:
                if not stat.S_ISREG(status.st_mode):
                    raise Problem(f"{self.path} is no plain file: remove it")
                return "", ""
            before = ABSENT if status is None else self._content(parent, status, mode)
            if before != content and not self.dry:
                self._written(parent, content or "", mode)
            return before, content or ""

    def _parent(self, directory: int, left: list[str]) -> int | None:
        """The directory in which the place is; None where it would have been made before, if this were no dry run."""
        try:
            found: int = enter(directory, left)
        except FileNotFoundError:
            if not self.dry:
                raise
            return None
        return found

    def _content(self, parent: int, status: os.stat_result, mode: int) -> str:
        """What a file holds; with a line about itself if that is not as it should be."""
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            return ELSE
        with os.fdopen(os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent), "rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8", "replace")
        if self.user.owns(status) and stat.S_IMODE(status.st_mode) == mode:
            return text
        return f"# user {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}\n{text}"

    def _written(self, parent: int, content: str, mode: int) -> None:
        """Write a file beside it, and rename that, so that the old or the new one is there at any time."""
        temporary = ".pgkeeper-" + secrets.token_hex(8)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.encode())
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self._name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            os.unlink(temporary, dir_fd=parent)
            raise

    def link(self, target: str) -> tuple[str, str]:
        """Have a link there that leads to `target`."""
        after = f"link to {target}\n"
        directory, left = follow(self._way, self.user)
        with self.user.rights():
            parent = self._parent(directory, left)
            if parent is None:
                return ABSENT, after
            before = self._led(parent)
            if before != after and not self.dry:
                temporary = ".pgkeeper-" + secrets.token_hex(8)
                os.symlink(target, temporary, dir_fd=parent)
                os.rename(temporary, self._name, src_dir_fd=parent, dst_dir_fd=parent)
            return before, after

    def _led(self, parent: int) -> str:
        status = status_of(self._name, parent)
        if status is None:
            return ABSENT
        return f"link to {os.readlink(self._name, dir_fd=parent)}\n" if stat.S_ISLNK(status.st_mode) else ELSE

    def absent(self, only: list[str]) -> tuple[str, str]:
        """Have nothing there; with `only`, no file of these names in it, and nothing when it is empty then.

        What is in a directory is removed with the user's rights. Root takes the directory itself from one of root's own, and only when it
        is empty.
        """
        directory, left = follow(self._way, self.user)
        in_roots = not left and not self.user.decides(directory)
        with self.user.rights():
            try:
                parent = enter(directory, left)
            except (FileNotFoundError, NotADirectoryError):
                return ABSENT, ABSENT
            status = status_of(self._name, parent)
            if status is None:
                return ABSENT, ABSENT
            is_directory = stat.S_ISDIR(status.st_mode)
            before, after, goes = ("directory\n" if is_directory else "file or link\n"), ABSENT, True
            if only:
                before, after, goes = self._emptied_of(parent, only)
            elif is_directory and not self.dry:
                _empty(os.open(self._name, HERE, dir_fd=parent))
            if goes and not self.dry and not in_roots:
                self._taken(parent, is_directory=is_directory)
        if goes and not self.dry and in_roots:
            self._taken(parent, is_directory=is_directory)
        return before, ABSENT if goes else after

    def _taken(self, parent: int, *, is_directory: bool) -> None:
        (os.rmdir if is_directory else os.unlink)(self._name, dir_fd=parent)

    def _emptied_of(self, parent: int, only: list[str]) -> tuple[str, str, bool]:
        """What was in the directory, what is left, and whether that is nothing."""
        inside = os.open(self._name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        before = sorted(os.listdir(inside))  # noqa: PTH208 - by descriptor
        named = [name for name in before if any(fnmatch.fnmatchcase(name, pattern) for pattern in only)]
        doomed = [name for name in named if not _is_directory(name, inside)]
        if not self.dry:
            for name in doomed:
                os.unlink(name, dir_fd=inside)
        after = [name for name in before if name not in doomed]
        return "\n".join(["directory", *before, ""]), "\n".join(["directory", *after, ""]), not after


def _told(owner: str, mode: int) -> str:
    return f"directory of {owner}, mode {mode:04o}\n"


def _made_by_root(parent: int, name: str, mode: int, user: User) -> int:
    """A new directory of the user in a directory that root alone may write."""
    if user.account is None:
        raise Problem(f"this host has no user {user.name}: install PostgreSQL first")
    os.mkdir(name, 0o700, dir_fd=parent)
    made = os.open(name, HERE, dir_fd=parent)
    os.fchmod(made, mode)
    os.fchown(made, user.account.pw_uid, user.account.pw_gid)
    return made


def _is_directory(name: str, parent: int) -> bool:
    status = status_of(name, parent)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _empty(directory: int) -> None:
    """Remove all that is in an open directory."""
    for name in os.listdir(directory):
        if _is_directory(name, directory):
            shutil.rmtree(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
