"""A sealed document is canonical JSON: what was sealed once is believed for good, and with very many copies that is what a ledger takes."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model import seal as module
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.seal import Seal

KEY = b"k" * 32
SEAL = Seal(KEY)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.text().filter(lambda name: name != "seal"), VALUES, max_size=6)


def canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=True, indent=1, sort_keys=True).encode() + b"\n"


@given(DOCUMENTS)
def test_a_sealed_document_is_json_with_sorted_keys_and_one_space_for_each_level(document: dict[str, Any]) -> None:
    mac = hmac.new(KEY, b"ledger\0" + canonical(document), hashlib.sha256).hexdigest()
    content = SEAL.close("ledger", document)
    assert content == canonical({**document, "seal": mac})
    assert SEAL.open("ledger", content) == document


@given(DOCUMENTS, st.data())
def test_not_a_byte_of_it_can_be_changed(document: dict[str, Any], data: st.DataObject) -> None:
    content = SEAL.close("ledger", document)
    at = data.draw(st.integers(0, len(content) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    with pytest.raises(IntegrityError):
        SEAL.open("ledger", content[:at] + bytes([changed]) + content[at + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"\n ", b"\n  "),
        lambda content: content.replace(b'"seal"', b'"seal": "x",\n "seal"'),
        lambda content: b" " + content,
        lambda content: content + b"\n",
        lambda content: json.dumps(json.loads(content)).encode(),
    ],
)
def test_nor_how_it_is_written(change: Any) -> None:  # noqa: ANN401 - a function of bytes
    with pytest.raises(IntegrityError):
        SEAL.open("ledger", change(SEAL.close("ledger", {"a": [1, {"b": "c"}], "z": "last"})))


def test_each_value_is_written_once_whether_it_is_sealed_or_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    real = module._written

    def counting(value: object) -> str:
        written.append(value)
        return real(value)

    monkeypatch.setattr(module, "_written", counting)
    large = ["a copy"] * 5
    content = SEAL.close("ledger", {"copies": large})
    assert written.count(large) == 1
    SEAL.open("ledger", content)
    assert written.count(large) == 2
