"""One table is not 1 tables."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgkeeper
from pgkeeper.model.counts import count

_PLURAL = re.compile(r"^ (?:tables|rows|copies|backups|physical backups|jobs|segments|files|databases|problems|sequences|address\(es\))\b")
_MORE_THAN_ONE = ("gap.segments", "lost.segments")
"""What stands in sentences that are said of several alone."""


@pytest.mark.parametrize(("number", "said"), [(0, "0 copies"), (1, "1 copy"), (2, "2 copies")])
def test_a_noun_follows_its_count(number: int, said: str) -> None:
    assert count(number, "copy", "copies") == said
    assert count(number, "table") == f"{number} table{'' if number == 1 else 's'}"


def test_no_message_writes_a_plural_behind_a_number_by_itself() -> None:
    sources = Path(pgkeeper.__file__).parent.rglob("*.py")
    found = [text for path in sources for text in _by_itself(ast.parse(path.read_text(encoding="utf-8")))]
    assert not found, "take pgkeeper.model.counts.count"


def _by_itself(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr) and not any(known in ast.unparse(node) for known in _MORE_THAN_ONE):
            for number, text in zip(node.values, node.values[1:], strict=False):
                if isinstance(number, ast.FormattedValue) and isinstance(text, ast.Constant) and _PLURAL.match(str(text.value)):
                    yield ast.unparse(node)
