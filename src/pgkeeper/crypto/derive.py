"""Keys for other ends than encryption, derived from the encryption key: nobody learns one from another, nor the encryption key from any.

What they make is there for all who can read the bucket. So trying an encryption key against it has to cost more than against a file that
openssl encrypts: the master is PBKDF2 with 20 times its iterations. Its salt is fixed, since key ids have to be the same on every host.
"""

import hashlib
from functools import lru_cache

_ITERATIONS = 200_000
_SALT = b"pgkeeper/1 master"
_KEY_BYTES = 32


@lru_cache(maxsize=64)
def derived_key(encryption_key: bytes, label: str) -> bytes:
    """Return the key (32 bytes) that `label` names."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    return HKDFExpand(SHA256(), _KEY_BYTES, f"pgkeeper/1 {label}".encode()).derive(_master(encryption_key))


@lru_cache(maxsize=64)
def _master(encryption_key: bytes) -> bytes:
    """Return what all are derived from; it takes a tenth of a second, once in a process."""
    return hashlib.pbkdf2_hmac("sha256", encryption_key, _SALT, _ITERATIONS, _KEY_BYTES)
