"""Who signs documents where nothing but public keys encrypts: each host with an Ed25519 key (RFC 8032) of its own.

A signer is named by its public key: `pgkeeper-signer-` and the key in base64url. That is what BACKUP_AGE_SIGNERS holds.
"""

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgkeeper.host.own_key import existing_key, own_key
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.seal import close_document, open_document, parse_document

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX = "pgkeeper-signer-"
_NAME = re.compile(_PREFIX + r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")  # the last character has but four bits
_FIELD = "signer"


@dataclass(frozen=True)
class Signer:
    """The signer of the host whose state is in `state_dir`; its key, `signing.key`, is made at the first use.

    A host that lost it makes a new one, and believes its older copies again when BACKUP_AGE_SIGNERS names the lost one.
    """

    state_dir: Path

    @property
    def name(self) -> str:
        """The public key, as BACKUP_AGE_SIGNERS of other hosts names it. Raises OperationFailed when it can't be made or read."""
        return _name(own_key(self._path))

    def existing_name(self) -> str | None:
        """Return the public key, None where this host has signed nothing yet."""
        key = existing_key(self._path)
        return None if key is None else _name(key)

    def close(self, label: str, document: Mapping[str, Any]) -> bytes:
        """Return the content of an object that holds `document`, signed as a `label`."""
        return close_document(
            label,
            {**document, _FIELD: self.name},
            lambda message: base64.b64encode(_private(own_key(self._path)).sign(message)).decode(),
        )

    @property
    def _path(self) -> Path:
        return self.state_dir / "signing.key"


def is_signer(name: str) -> bool:
    """Tell whether this can be a signer's name."""
    return _NAME.fullmatch(name) is not None


def open_signed(label: str, content: bytes, trusted: Collection[str]) -> dict[str, Any]:
    """Return all that is in `content`, when one of the `trusted` signed it as a `label`. Raises IntegrityError for any other."""
    signer = str(parse_document(label, content).get(_FIELD))
    if not is_signer(signer):
        raise IntegrityError(f"the {label} cannot be understood", "it does not name who signed it")
    if signer not in trusted:
        raise IntegrityError(
            f"the {label} is not genuine",
            f"it was signed by {signer}, whom this host does not trust",
            "if that is a host of yours, add it to BACKUP_AGE_SIGNERS",
        )
    return open_document(label, content, lambda message, seal: _signed(signer, message, seal))


def _signed(signer: str, message: bytes, seal: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = base64.urlsafe_b64decode(signer.removeprefix(_PREFIX) + "=")
    signature = base64.b64decode(seal, validate=True)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    # Base64 has several ways to write the same bytes.
    return base64.b64encode(signature).decode() == seal


def _private(key: bytes) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(key)


def _name(key: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(_private(key).public_key().public_bytes_raw()).decode().rstrip("=")
