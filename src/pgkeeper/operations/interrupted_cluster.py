"""Whether a replacement of the cluster was interrupted, for those who look whether all is well."""

from pgkeeper.host.locks import is_held
from pgkeeper.model.cluster_replacement import cluster_ending
from pgkeeper.operations.cluster_replacements import cluster_replacements
from pgkeeper.settings import Settings

LOCK = "pitr replace"
"""Whoever replaces the cluster, undoes that, or settles what was interrupted, holds it."""


def interrupted_cluster(settings: Settings) -> str:
    """Return what an interrupted replacement means for production; empty where there is none, or while one is at work."""
    if not settings.pitr_enabled or is_held(settings.state_dir, LOCK):
        return ""
    for known in cluster_replacements(settings):
        # How far renames came does not matter here.
        match cluster_ending(known, "before"):
            case "nothing":
                continue
            case "stay_down":
                return (
                    f"production is down: the recovery in place {known.replacement_id} did not come to its end, and its files are of no use"
                )
            case _:
                return f"{known.replacement_id} was interrupted, and production may be down"
    return ""
