"""What every way to encrypt copies guarantees."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from pgkeeper.model.copy import Method

CHUNK = 8 << 20
"""Ciphertext is checked in pieces of this many bytes, the last of a file being shorter."""


class Sealer(Protocol):
    """Encrypts new copies. Its `key_id` tells which key opens them, and nothing about the key itself."""

    @property
    def method(self) -> Method:
        """The method's name."""

    @property
    def key_id(self) -> str:
        """The key's id: 16 hexadecimal digits."""

    def encrypt(self, chunks: Iterable[bytes], salt: bytes | None = None) -> Iterator[bytes]:
        """Yield the ciphertext of one file in pieces of any size, in constant memory.

        With the `salt` that an earlier call used (`salt_of` its ciphertext), the same plaintext gives the same ciphertext again.
        Raises what `chunks` raises.
        """

    def salt_of(self, beginning: bytes) -> bytes | None:
        """Return the salt that a ciphertext begins with (its first 64 bytes are enough), None where encryption can't be repeated."""

    def tag(self, context: str, number: int, chunk: bytes) -> str:
        """Return what identifies one piece of ciphertext: piece `number` (from 0) of the file that `context` names.

        A piece that was changed, moved within the file, or taken from another file has another tag.
        """

    def seal(self, label: str, document: Mapping[str, Any]) -> bytes:
        """Return the content of an object that holds `document` as a `label`, so that nobody without our key can make or change one."""


class Opener(Protocol):
    """Opens what was encrypted with one key. `can_decrypt` is False where it can only check, for want of a private key."""

    @property
    def method(self) -> Method:
        """The method's name."""

    @property
    def key_id(self) -> str:
        """The key's id, as `Sealer.key_id`."""

    @property
    def can_decrypt(self) -> bool:
        """Whether the key that `decrypt` needs is there."""

    def decrypt(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the plaintext of one file, in constant memory.

        Raises IntegrityError (exit status 4) for a wrong key and for ciphertext that is damaged or cut off, as far as the method can
        notice; RefusedError (exit status 6) where the private key is missing.
        """

    def tag(self, context: str, number: int, chunk: bytes) -> str:
        """Return the tag that `Sealer.tag` gave this piece."""


class KeyRing(Protocol):
    """All keys of this host: one that encrypts, and those that open."""

    def sealer(self) -> Sealer:
        """Return what encrypts new copies."""

    def signer(self) -> str:
        """Return the name under which this host signs its copies, for BACKUP_AGE_SIGNERS elsewhere; empty where it does not sign."""

    def opener(self, method: Method, key_id: str) -> Opener:
        """Return what opens copies of that key. Raises IntegrityError (exit status 4) naming the key where we do not have it."""

    def open(self, label: str, content: bytes) -> dict[str, Any]:
        """Return the document in `content`, sealed as a `label` by a key of ours (or with age by a signer we trust).

        Raises IntegrityError naming what is wrong: not understood, not genuine, an unknown key or signer.
        """
