"""How much of a file is read before it is called damaged: nobody's file may cost more memory or time than its kind ever takes.

A file's size on the disk stands in the manifest. What it decompresses to does not, and nor does the manifest's own size.
"""

from collections.abc import Iterable, Iterator

from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.sizes import format_size

_MIB = 1 << 20
MANIFEST_BYTES = 128 * _MIB
"""Some 230 bytes a table: that is half a million tables."""
HEADER_BYTES = 512 * _MIB
"""A copy's header holds the manifest in base64, and 70 bytes for each 8 MiB."""
RECORD_BYTES = 16 * _MIB
"""Pins, proofs, records of damage and owners: mostly a few hundred bytes; a proof's warnings may name many objects."""
CONFIG_BYTES = 64 * _MIB
"""The server's configuration, decompressed. It is all that is ever held in memory of it, and at most."""
SCHEMA_BYTES = 2048 * _MIB
"""What pg_restore gets of a copy off site, which is decrypted in memory."""
_DECOMPRESSED_BYTES = 1024 * _MIB
_SMALL_BYTES = 64 * _MIB
_RATIO = 200


def bounded(chunks: Iterable[bytes], most: int, name: str) -> Iterator[bytes]:
    """Yield `chunks` as long as they are not more than `most` bytes together. Raises IntegrityError naming the file as soon as they are."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise IntegrityError(f"{name} is damaged", f"it holds more than {format_size(most)}")
        yield chunk


def most_decompressed(compressed_bytes: int) -> int:
    """Return how many bytes a compressed file other than the dump may hold: text shrinks to a hundredth at best, and roles are few."""
    return min(_DECOMPRESSED_BYTES, _SMALL_BYTES + _RATIO * compressed_bytes)
