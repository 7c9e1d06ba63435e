"""Sealing what pgkeeper writes for itself: a document with a seal, so that nobody without the key can make or change one.

The seal is over a label and the canonical document. The label keeps a document of one kind from passing for another. On a host it is
HMAC-SHA256 (RFC 2104) with the host's key.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgkeeper.model.errors import IntegrityError

_FIELD = "seal"


@dataclass(frozen=True)
class Seal:
    """Seals documents with one `key` (32 bytes)."""

    key: bytes = field(repr=False)

    def close(self, label: str, document: Mapping[str, Any]) -> bytes:
        """Return the content of a file that holds `document`, sealed as a `label`."""
        return close_document(label, document, self._mac)

    def open(self, label: str, content: bytes) -> dict[str, Any]:
        """Return the document in `content`. Raises IntegrityError unless it was sealed as a `label` with this key and is unchanged."""
        return open_document(label, content, lambda message, seal: hmac.compare_digest(seal.encode(), self._mac(message).encode()))

    def _mac(self, message: bytes) -> str:
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()


def close_document(label: str, document: Mapping[str, Any], sealed: Callable[[bytes], str]) -> bytes:
    """Return the content of a file that holds `document` as a `label`; `sealed` returns the seal of a message."""
    fields = _fields(document)
    return _canonical({**fields, **_fields({_FIELD: sealed(_message(label, fields))})})


def open_document(label: str, content: bytes, genuine: Callable[[bytes, str], bool]) -> dict[str, Any]:
    """Return the document in `content`; `genuine` tells whether a message has a seal that we believe.

    Raises IntegrityError unless it is genuine and not a byte was changed, even where the change would mean the same.
    """
    document = parse_document(label, content)
    try:
        seal = str(document.pop(_FIELD))
        fields = _fields(document)
        believed = content == _canonical({**fields, **_fields({_FIELD: seal})}) and genuine(_message(label, fields), seal)
    except (ValueError, KeyError, RecursionError) as error:
        raise _not_understood(label, error) from None
    if not believed:
        raise IntegrityError(f"the {label} is not genuine", "it was changed, or sealed with another host's key")
    return document


def parse_document(label: str, content: bytes) -> dict[str, Any]:
    """Return what `content` claims to hold, its seal included: nothing that may be believed yet. Raises IntegrityError for no document."""
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise _not_understood(label, error) from None


def _not_understood(label: str, error: Exception) -> IntegrityError:
    return IntegrityError(f"the {label} cannot be understood", type(error).__name__)


def _message(label: str, fields: Mapping[str, str]) -> bytes:
    # No canonical document holds a byte 0, so that which label it is can't be mistaken.
    return label.encode() + b"\0" + _canonical(fields)


def _fields(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the canonical text of each value, so that the document with its seal and the one without share the serialization."""
    # No string holds a line feed as it is, so what is indented here are lines of the document alone.
    return {name: _written(value).replace("\n", "\n ") for name, value in document.items()}


def _canonical(fields: Mapping[str, str]) -> bytes:
    """Return the document of these fields: JSON, keys sorted, one space for each level."""
    lines = ",\n ".join(f"{_written(name)}: {value}" for name, value in sorted(fields.items()))
    return (f"{{\n {lines}\n}}\n" if lines else "{}\n").encode()


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, indent=1, sort_keys=True)
