"""A journal tells what was begun, also after the machine went down amid a line."""

from pathlib import Path

import pytest

from pgkeeper.host.journal import Journal
from pgkeeper.model.errors import OperationFailed


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "replacements" / "one.jsonl")
    assert journal.entries() == []
    journal.append({"step": "begun", "name": "Ü\n"})
    journal.append({"step": "done"})
    assert Journal(journal.path).entries() == [{"step": "begun", "name": "Ü\n"}, {"step": "done"}]
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_cut_short_does_not_count_and_spoils_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "one.jsonl")
    journal.append({"step": "begun"})
    whole = journal.path.read_bytes()
    for length in range(1, len(whole)):
        journal.path.write_bytes(whole + whole[:length])
        journal.append({"step": "done"})
        found = [entry["step"] for entry in journal.entries()]
        assert found in (["begun", "done"], ["begun", "begun", "done"])
        assert found == ["begun", "done"] or length == len(whole) - 1


def test_what_cannot_be_written_down_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperationFailed, match="cannot write"):
        Journal(tmp_path / "file" / "one.jsonl").append({"step": "begun"})
