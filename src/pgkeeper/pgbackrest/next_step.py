"""What to do about an error of pgBackRest, as commands that root can paste."""

import re
from pathlib import Path

from pgkeeper.host.user import SERVICE_USER, as_service_user
from pgkeeper.model.errors import ConfigurationError
from pgkeeper.model.shell import quoted
from pgkeeper.pgbackrest.configuration import used_directories

_CLUSTER_NOT_FOUND = (56, 58)
"""DbConnectError and DbMismatchError of its source, `src/build/error/error.yaml`: no cluster answers, or another one does."""
_PATH = re.compile(r"'(/[^']*)'")


def create_stanza(config_file: Path, attached: Path, stanza: str) -> str:
    """Return how to make the repositories know the cluster."""
    where = f"--config={quoted(config_file)} --config-include-path={quoted(attached)} --stanza={quoted(stanza)}"
    return f"create it with `{as_service_user(f'pgbackrest {where} stanza-create')}`, or deploy again"


def next_step(config_file: Path, attached: Path, stanza: str, code: int, why: str) -> str:
    """Return what to do about the error with this number and cause, nothing where pgBackRest's own hints must do."""
    if "Permission denied" in why:
        return _give_back(config_file, attached, stanza, why)
    if code in _CLUSTER_NOT_FOUND or "[DbConnectError]" in why:
        return (
            f"pg1-path, pg1-port and pg1-socket-path in {config_file} must be those of the running cluster, "
            "which `pg_lsclusters` shows; deploy again when it has moved"
        )
    if "/backup.info" in why and "FileMissingError" in why:
        return create_stanza(config_file, attached, stanza)
    return ""


def _give_back(config_file: Path, attached: Path, stanza: str, why: str) -> str:
    """Return how to make pgBackRest's files its user's again: under a directory of the configuration alone, never the path that was told.

    `chown -Rh` follows no link on its way down, so that whoever can write there gains nothing from root's call.
    """
    try:
        used = used_directories(config_file, attached, stanza)
    except ConfigurationError:
        return ""
    for path in map(Path, _PATH.findall(why)):
        for directory in used:
            if path.is_relative_to(directory):
                return f"make it {SERVICE_USER}'s again with `chown -Rh --from=root {quoted(SERVICE_USER)} {quoted(directory)}`"
    return ""
