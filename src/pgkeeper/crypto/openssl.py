"""Method `openssl`: files as `openssl enc -aes-256-cbc -salt -pbkdf2` makes them, so that openssl alone opens them.

"Salted__", 8 bytes of salt, then AES-256-CBC with PKCS #7 padding; key and IV are PBKDF2-HMAC-SHA256 of the encryption key, 10,000
iterations (openssl-enc(1)). That notices no tampering, which is what tags are for.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgkeeper.crypto.derive import derived_key
from pgkeeper.crypto.pieces import piece_heading
from pgkeeper.model.copy import Method
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.seal import Seal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import CBC

_MAGIC = b"Salted__"
_SALT_BYTES = 8
_BEGINNING = len(_MAGIC) + _SALT_BYTES
_BLOCK = 16
_ITERATIONS = 10_000
_KEY_BYTES = 32
_KEY_ID_DIGITS = 16


@dataclass(frozen=True)
class OpensslKey:
    """Encrypts and opens with one encryption key, as the Sealer and the Opener of it."""

    key: bytes = field(repr=False)

    @property
    def method(self) -> Method:
        """The method's name."""
        return "openssl"

    @property
    def key_id(self) -> str:
        """What tells this key from others: 16 hexadecimal digits."""
        return derived_key(self.key, "key id").hex()[:_KEY_ID_DIGITS]

    @property
    def can_decrypt(self) -> bool:
        """Always: the key that encrypts is the one that opens."""
        return True

    def encrypt(self, chunks: Iterable[bytes], salt: bytes | None = None) -> Iterator[bytes]:
        """Yield the ciphertext, in pieces as large as the chunks. `salt` is 8 bytes, random ones by default."""
        salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
        encryptor = self._cipher(salt).encryptor()
        yield _MAGIC + salt
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if piece := encryptor.update(chunk):
                yield piece
        padding = _BLOCK - size % _BLOCK
        yield encryptor.update(bytes([padding]) * padding) + encryptor.finalize()

    def salt_of(self, beginning: bytes) -> bytes | None:
        """Return the salt, None unless this is the beginning of such a file."""
        return beginning[len(_MAGIC) : _BEGINNING] if beginning.startswith(_MAGIC) and len(beginning) >= _BEGINNING else None

    def decrypt(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the plaintext, the last block when its padding was found right. Raises IntegrityError.

        A wrong key shows in the padding alone, and there in 255 of 256 cases: whoever wants to be sure checks tags first.
        """
        pieces = iter(chunks)
        beginning = bytearray()
        while len(beginning) < _BEGINNING and (piece := next(pieces, None)) is not None:
            beginning += piece
        salt = self.salt_of(bytes(beginning[:_BEGINNING]))
        if salt is None:
            why = "it does not begin with Salted__ and a salt" if beginning else "it is empty"
            raise IntegrityError("this is no file encrypted with openssl", why)
        decryptor = self._cipher(salt).decryptor()
        plain = decryptor.update(bytes(beginning[_BEGINNING:]))
        size = len(beginning) - _BEGINNING
        for piece in pieces:
            if len(plain) > _BLOCK:
                yield plain[:-_BLOCK]
            plain = plain[-_BLOCK:] + decryptor.update(piece)
            size += len(piece)
        if size == 0 or size % _BLOCK:
            raise IntegrityError("an encrypted file is cut off", f"{size} bytes are no whole number of blocks")
        yield _without_padding(plain)

    def tag(self, context: str, number: int, chunk: bytes) -> str:
        """Return the piece's HMAC-SHA256, in hexadecimal digits."""
        mac = hmac.new(derived_key(self.key, "tag"), piece_heading(context, number), hashlib.sha256)
        mac.update(chunk)
        return mac.hexdigest()

    def seal(self, label: str, document: Mapping[str, Any]) -> bytes:
        """Return the content of an object that holds `document`, with what tells who can open it."""
        return self._seal().close(label, {"method": self.method, "key_id": self.key_id, "document": dict(document)})

    def open(self, label: str, content: bytes) -> dict[str, Any]:
        """Return all that is in `content`, when it was sealed with this key as a `label`. Raises IntegrityError for any other."""
        return self._seal().open(label, content)

    def _seal(self) -> Seal:
        return Seal(derived_key(self.key, "seal"))

    def _cipher(self, salt: bytes) -> "Cipher[CBC]":
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        if len(salt) != _SALT_BYTES:
            raise ValueError("a salt has 8 bytes")
        both = hashlib.pbkdf2_hmac("sha256", self.key, salt, _ITERATIONS, _KEY_BYTES + _BLOCK)
        return Cipher(algorithms.AES(both[:_KEY_BYTES]), modes.CBC(both[_KEY_BYTES:]))


def _without_padding(plain: bytes) -> bytes:
    padding = plain[-1]
    if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
        raise IntegrityError("an encrypted file cannot be opened", "its end makes no sense: a wrong key, or it is damaged or cut off")
    return plain[:-padding]
