"""All keys of this host, from its settings."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgkeeper.crypto.age import AgeOpener, AgeSealer
from pgkeeper.crypto.age_keys import age_identities, age_recipients
from pgkeeper.crypto.envelope import KeyRing, Opener, Sealer
from pgkeeper.crypto.keys import encryption_keys, refuse_weak_key
from pgkeeper.crypto.openssl import OpensslKey
from pgkeeper.crypto.signer import Signer, is_signer, open_signed
from pgkeeper.model.copy import Method
from pgkeeper.model.errors import ConfigurationError, IntegrityError, UnknownKeyError
from pgkeeper.model.seal import parse_document
from pgkeeper.off_site_settings import OffSiteSettings

_KEY_ID = re.compile("[0-9a-f]{16}")


def key_ring(settings: OffSiteSettings, state_dir: Path) -> KeyRing:
    """Return the keys that the settings name: the method's that encrypts, and all that open. `state_dir` holds the host's signing key.

    Raises ConfigurationError (exit status 3) for a key or a file that can't be used, and where the key that encrypts is missing or weak.
    """
    keys = tuple(OpensslKey(key) for key in encryption_keys(settings))
    signer = Signer(state_dir)
    for number, name in enumerate(settings.age_signers, 1):
        if not is_signer(name):
            raise ConfigurationError(f"word {number} of BACKUP_AGE_SIGNERS is no signer", "", "they begin with pgkeeper-signer-")
    sealer = _age_sealer(settings, signer) if settings.encryption_method == "age" else _openssl_sealer(keys)
    return _Ring(sealer, keys, age_identities(settings), signer, settings.age_signers)


def _openssl_sealer(keys: Sequence[OpensslKey]) -> OpensslKey:
    if not keys:
        raise ConfigurationError("there is no key to encrypt with", "", "set BACKUP_ENCRYPTION_KEY_FILE")
    refuse_weak_key(keys[0].key)
    return keys[0]


def _age_sealer(settings: OffSiteSettings, signer: Signer) -> AgeSealer:
    recipients = age_recipients(settings)
    if not recipients:
        raise ConfigurationError("there is no public key to encrypt for", "", "set BACKUP_AGE_RECIPIENTS")
    return AgeSealer(recipients, signer)


@dataclass(frozen=True)
class _Ring:
    _sealer: Sealer
    _openssl: Sequence[OpensslKey]
    _identities: Sequence[Any] = field(repr=False)
    _signer: Signer
    _signers: Collection[str]

    def sealer(self) -> Sealer:
        return self._sealer

    def signer(self) -> str:
        return self._signer.name if self._sealer.method == "age" else ""

    def opener(self, method: Method, key_id: str) -> Opener:
        # Which identity fits, the file itself says: recipients come and go.
        return AgeOpener(key_id, self._identities) if method == "age" else self._openssl_key(key_id, "the copy is encrypted")

    def open(self, label: str, content: bytes) -> dict[str, Any]:
        claims = parse_document(label, content)
        method, key_id = str(claims.get("method")), str(claims.get("key_id"))
        if method not in {"openssl", "age"} or not _KEY_ID.fullmatch(key_id):
            raise IntegrityError(f"the {label} cannot be understood", "it does not say how it was sealed")
        if method == "openssl":
            opened = self._openssl_key(key_id, f"the {label} is sealed").open(label, content)
        else:
            own = self._signer.existing_name()
            opened = open_signed(label, content, {*self._signers, *([own] if own else [])})
        document = opened.get("document")
        if not isinstance(document, dict):
            raise IntegrityError(f"the {label} cannot be understood", "there is no document in it")
        return document

    def _openssl_key(self, key_id: str, what: str) -> OpensslKey:
        for key in self._openssl:
            if key.key_id == key_id:
                return key
        ours = ", ".join(key.key_id for key in self._openssl) or "none"
        raise UnknownKeyError(
            f"{what} with key {key_id}",
            f"this host has {ours}",
            "add the key as another line to the file that BACKUP_ENCRYPTION_KEY_FILE names",
        )
