"""Method `age`: files that `age -d -i identity.txt` opens; the host that makes them has public keys alone, and cannot.

Whoever has the public keys can encrypt. So documents are signed with the host's own key, and tags stand in them: they need no key.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgkeeper.crypto.age_keys import IDENTITY_FILE, age_key_id
from pgkeeper.crypto.age_stream import StreamFile, streamed
from pgkeeper.crypto.pieces import piece_heading
from pgkeeper.crypto.signer import Signer
from pgkeeper.model.copy import Method
from pgkeeper.model.errors import IntegrityError, RefusedError


@dataclass(frozen=True)
class AgeSealer:
    """Encrypts for `recipients`, and signs as `signer`."""

    recipients: Sequence[str]
    signer: Signer

    @property
    def method(self) -> Method:
        """The method's name."""
        return "age"

    @property
    def key_id(self) -> str:
        """What tells these recipients from others: 16 hexadecimal digits."""
        return age_key_id(self.recipients)

    def encrypt(self, chunks: Iterable[bytes], salt: bytes | None = None) -> Iterator[bytes]:
        """Yield the ciphertext. There is no salt that would make it the same again."""
        import pyrage

        if salt is not None:
            raise ValueError("encryption with age can't be repeated")
        recipients = [pyrage.x25519.Recipient.from_str(recipient) for recipient in self.recipients]
        yield from streamed(chunks, lambda file: pyrage.encrypt_io(file, file, recipients))

    def salt_of(self, beginning: bytes) -> None:  # noqa: ARG002 - the signature is the protocol's
        """Return None: encryption can't be repeated."""
        return

    def tag(self, context: str, number: int, chunk: bytes) -> str:
        """Return the piece's tag."""
        return _tag(context, number, chunk)

    def seal(self, label: str, document: Mapping[str, Any]) -> bytes:
        """Return the content of an object that holds `document`, with what tells who signed it."""
        return self.signer.close(label, {"method": self.method, "key_id": self.key_id, "document": dict(document)})


@dataclass(frozen=True)
class AgeOpener:
    """Opens what was encrypted for one of `identities` (pyrage's), and only checks it where there are none."""

    key_id: str
    identities: Sequence[Any] = field(repr=False)

    @property
    def method(self) -> Method:
        """The method's name."""
        return "age"

    @property
    def can_decrypt(self) -> bool:
        """Whether there is an identity. Whether it is the right one only the file tells."""
        return bool(self.identities)

    def decrypt(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the plaintext; each piece was found genuine. Raises IntegrityError, and RefusedError without an identity."""
        import pyrage

        if not self.identities:
            raise RefusedError(
                "this host cannot open its copies", "it has no private key of age", f"name the file that holds it in {IDENTITY_FILE}"
            )
        identities = list(self.identities)

        def work(file: StreamFile) -> None:
            try:
                pyrage.decrypt_io(file, file, identities)
            except (pyrage.DecryptError, OSError) as error:
                raise IntegrityError("an encrypted file cannot be opened", _why(str(error))) from None

        yield from streamed(chunks, work)

    def tag(self, context: str, number: int, chunk: bytes) -> str:
        """Return the piece's tag."""
        return _tag(context, number, chunk)


def _why(said: str) -> str:
    if "No matching keys" in said:
        return f"it was encrypted for others than the keys in {IDENTITY_FILE} belong to"
    return "it is damaged, cut off, or was not made with age"


def _tag(context: str, number: int, chunk: bytes) -> str:
    digest = hashlib.sha256(piece_heading(context, number))
    digest.update(chunk)
    return digest.hexdigest()
