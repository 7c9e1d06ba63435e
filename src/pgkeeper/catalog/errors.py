"""What can be wrong with a catalog."""

from pgkeeper.model.errors import OperationFailed


class CatalogUnusable(OperationFailed):
    """The catalog can't be used now: unreachable, locked, forbidden, full, or made by a newer release."""

    def __init__(self, place: str, why: str, hint: str = "") -> None:
        super().__init__(f"the catalog {place} cannot be used", why, hint)


class CatalogNewer(CatalogUnusable):
    """A newer release has made the catalog."""

    def __init__(self, place: str) -> None:
        super().__init__(place, "a newer pgkeeper made it", "deploy that version again, or begin a new one with `pgkeeper catalog rebuild`")


class CatalogForbidden(CatalogUnusable):
    """The catalog's file may not be read or written by us."""

    def __init__(self, place: str) -> None:
        super().__init__(place, "permission denied", "it must belong to postgres; `pgkeeper catalog rebuild` begins a new one")


class CatalogDamaged(Exception):
    """The file is no whole database. `inode` tells this file from one that somebody puts in its place meanwhile."""

    def __init__(self, inode: int) -> None:
        super().__init__("the catalog is damaged")
        self.inode = inode
