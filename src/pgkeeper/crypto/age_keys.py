"""Public keys that copies are encrypted for with age, and the private ones that open them (age-encryption.org/v1)."""

import hashlib
from collections.abc import Iterable
from typing import Any

from pgkeeper.crypto.secret_file import read_secret_file
from pgkeeper.model.errors import ConfigurationError
from pgkeeper.off_site_settings import OffSiteSettings

IDENTITY_FILE = "BACKUP_AGE_IDENTITY_FILE"
_PRIVATE = "AGE-SECRET-KEY-1"
_KEY_ID_DIGITS = 16


def age_recipients(settings: OffSiteSettings) -> tuple[str, ...]:
    """Return the public keys in order, each once. Raises ConfigurationError (exit status 3) for what is none."""
    import pyrage

    found = set()
    for number, word in enumerate(settings.age_recipients, 1):
        try:
            found.add(str(pyrage.x25519.Recipient.from_str(word)))
        except pyrage.RecipientError:
            # A private key in the wrong place must not be shown.
            hint = "that is a private key, keep it off this host" if word.upper().startswith(_PRIVATE) else "public keys begin with age1"
            raise ConfigurationError(f"word {number} of BACKUP_AGE_RECIPIENTS is no public key of age", "", hint) from None
    return tuple(sorted(found))


def age_key_id(recipients: Iterable[str]) -> str:
    """Return what tells these recipients from others: 16 hexadecimal digits."""
    return hashlib.sha256("\n".join(("pgkeeper/1 age recipients", *sorted(recipients))).encode()).hexdigest()[:_KEY_ID_DIGITS]


def age_identities(settings: OffSiteSettings) -> tuple[Any, ...]:
    """Return the private keys in the identity file, none where none is set: a key a line, as age-keygen writes them, with comments.

    Raises ConfigurationError (exit status 3) for a file that can't be used.
    """
    if settings.age_identity_file is None:
        return ()
    import pyrage

    path = settings.age_identity_file
    what = f"cannot use {path}, which {IDENTITY_FILE} names"
    content = read_secret_file(path, IDENTITY_FILE)
    if content.startswith((b"age-encryption.org/", b"-----BEGIN AGE")):
        raise ConfigurationError(what, "it is encrypted itself, and nobody is there to type a passphrase")
    found = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            found.append(pyrage.x25519.Identity.from_str(word))
        except pyrage.IdentityError:
            raise ConfigurationError(what, f"line {number} is no private key of age", f"they begin with {_PRIVATE}") from None
    if not found:
        raise ConfigurationError(what, "it holds no private key", f"they begin with {_PRIVATE}")
    return tuple(found)
