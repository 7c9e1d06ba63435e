"""Sealing what pgkeeper writes for itself: a document with a MAC, so that nobody without the host's key can make or change one.

HMAC-SHA256 (RFC 2104) over a label and the canonical document. The label keeps a document of one kind from passing for another.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgkeeper.model.errors import IntegrityError

_FIELD = "seal"


@dataclass(frozen=True)
class Seal:
    """Seals documents with one host's `key` (32 bytes)."""

    key: bytes = field(repr=False)

    def close(self, label: str, document: Mapping[str, Any]) -> bytes:
        """Return the content of a file that holds `document`, sealed as a `label`."""
        return _canonical({**document, _FIELD: self._mac(label, document)})

    def open(self, label: str, content: bytes) -> dict[str, Any]:
        """Return the document in `content`. Raises IntegrityError unless it was sealed as a `label` with this key and is unchanged."""
        try:
            document = json.loads(content)
            seal = document.pop(_FIELD)
            genuine = hmac.compare_digest(str(seal).encode(), self._mac(label, document).encode())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise IntegrityError(f"the {label} cannot be understood", type(error).__name__) from None
        if not genuine:
            raise IntegrityError(f"the {label} is not genuine", "it was changed, or sealed with another host's key")
        return dict(document)

    def _mac(self, label: str, document: Mapping[str, Any]) -> str:
        return hmac.new(self.key, label.encode() + b"\0" + _canonical(document), hashlib.sha256).hexdigest()


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=True, indent=1, sort_keys=True).encode() + b"\n"
