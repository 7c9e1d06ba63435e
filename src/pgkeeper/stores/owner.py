"""Whose place in a store it is: two owners in one place could remove each other's backups."""

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.errors import RefusedError

OWNER_FILE = "owner.json"


class Owner(BaseModel):
    """The owner of a host's place: the machine, and the system identifier of each of its clusters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    clusters: dict[str, str]

    def owns(self, machine: str, cluster: str, system_identifier: str) -> bool:
        """Tell whether this is the very machine and cluster."""
        return self.machine == machine and self.clusters.get(cluster) == system_identifier

    def with_cluster(self, machine: str, cluster: str, system_identifier: str, *, adopt: bool, where: str) -> "Owner":
        """Return the owner once this machine's cluster has made the place its own.

        Raises RefusedError (exit status 6) when the place is another machine's, or its cluster of that name another one, unless `adopt`.
        """
        if not adopt:
            self.require(machine, where)
            other = self.clusters.get(cluster, system_identifier)
            if other != system_identifier:
                raise _foreign(where, f"another cluster {cluster} (system identifier {other})")
        return Owner(machine=machine, clusters={**self.clusters, cluster: system_identifier})

    def require(self, machine: str, where: str) -> None:
        """Raise RefusedError (exit status 6) when the place is another machine's."""
        if self.machine != machine:
            raise _foreign(where, "another machine")


def _foreign(where: str, who: str) -> RefusedError:
    return RefusedError(
        f"{where} belongs to {who}",
        "two owners in one place could remove each other's backups",
        "if this place is yours now, run it once with --adopt",
    )
