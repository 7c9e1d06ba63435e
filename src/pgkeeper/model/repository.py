"""The repositories of physical backups and archived log: one on the host, one off site."""

from typing import Literal

RepositoryName = Literal["local", "cloud"]
REPOSITORIES: tuple[RepositoryName, ...] = ("local", "cloud")


def number_of(repository: RepositoryName) -> int:
    """Return the number by which pgBackRest calls a repository."""
    return REPOSITORIES.index(repository) + 1


def name_of(number: int) -> str:
    """Return how we call a repository."""
    return REPOSITORIES[number - 1] if 0 < number <= len(REPOSITORIES) else str(number)
