"""The host's own key, with which it seals what it writes for itself."""

from pathlib import Path

from pgkeeper.host.own_key import own_key
from pgkeeper.model.seal import Seal


def host_seal(state_dir: Path) -> Seal:
    """Return the seal of this host; its key is made at the first use and kept in `BACKUP_STATE_DIR/seal.key`, mode 0600.

    A host that lost its key makes a new one: proofs sealed before are then no longer believed, and backups have to be proven again.
    Raises OperationFailed when the key can neither be read nor made.
    """
    return Seal(own_key(state_dir / "seal.key"))
