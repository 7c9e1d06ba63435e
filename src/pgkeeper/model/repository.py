"""The repositories of physical backups and archived log: one on the host, one off site."""

from typing import Literal

RepositoryName = Literal["local", "cloud"]
REPOSITORIES: tuple[RepositoryName, ...] = ("local", "cloud")


def number_of(repository: RepositoryName) -> int:
    """Return the number by which pgBackRest calls a repository."""
    return REPOSITORIES.index(repository) + 1
