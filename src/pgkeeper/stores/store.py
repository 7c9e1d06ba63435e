"""What every store guarantees, be it a directory or a bucket."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from pgkeeper.model.copy import StoreName
from pgkeeper.stores.copy import Copy

Kind = TypeVar("Kind", bound=Copy)


class Store(Protocol[Kind]):
    """The copies of one host in one place. What is listed is whole: a copy without a manifest is none."""

    @property
    def name(self) -> StoreName:
        """How settings and people call it."""

    @property
    def where(self) -> str:
        """The place, for people."""

    def backups(self) -> Sequence[Kind]:
        """Return all copies, newest first. Raises OperationFailed when the place cannot be read."""

    def find(self, backup_id: str) -> Kind:
        """Return one copy by its id. Raises UsageError (exit status 2) when there is none, or several clusters have it."""

    def delete(self, backup: Kind) -> None:
        """Remove a copy: what makes it one first, then its files. Whoever calls holds the store lock.

        Raises BusyError (exit status 5) while it is being read; then nothing was removed. Raises OSError or OperationFailed.
        """
