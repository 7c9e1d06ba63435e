"""pgBackRest's answers are understood, and what is no answer is no window."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pgkeeper.model.errors import OperationFailed
from pgkeeper.pgbackrest.archive_list import archive_list
from pgkeeper.pgbackrest.backup import held
from pgkeeper.pgbackrest.info import RepositoryInfo, StanzaMissing, info
from pgkeeper.pgbackrest.program import PgBackRest, PgBackRestFailed, failure

ONE, OTHER = "0" * 39 + "1", "0" * 39 + "2"


@dataclass(frozen=True)
class Answering(PgBackRest):
    """A pgBackRest that has its answers ready: real ones, as another cluster or version gives them."""

    answers: Mapping[str, str] = field(default_factory=dict)

    def output(self, command: str, *options: str, timeout: float) -> str:
        """Answer a command; `repo-get` by the file it asks for."""
        assert timeout > 0
        return self.answers[options[-1].rpartition("/")[2] if command == "repo-get" else command]


def answering(**answers: str) -> Answering:
    return Answering(Path("/etc/x.conf"), Path("/x"), "main", {name.replace("_", "-"): text for name, text in answers.items()})


def stanza(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    backup = {
        "archive": {"start": "000000010000000000000002", "stop": "000000010000000000000003"},
        "database": {"id": 1, "repo-key": 1},
        "error": False,
        # Without `size` of the repository, as with block increments.
        "info": {"delta": 22988935, "repository": {"delta": 2810531}, "size": 22988935},
        "label": "20261126-041226F",
        "lsn": {"start": "0/2000028", "stop": "0/3000100"},
        "reference": None,
        "timestamp": {"start": 1795666346, "stop": 1795666349},
        "type": "full",
    }
    return {
        "name": "main",
        "backup": [backup],
        "cipher": "aes-256-cbc",
        "db": [{"id": 1, "repo-key": 1, "system-id": 7712328224863431419, "version": "15"}],
        "repo": [{"cipher": "none", "key": 1, "status": {"code": 0, "message": "ok"}}],
        "status": {"code": 0, "message": "ok"},
        **changes,
    }


def asked(*stanzas: dict[str, Any]) -> RepositoryInfo:
    return info(answering(info=json.dumps(stanzas)), 1)


def test_a_repository_tells_of_its_cluster_and_its_backups() -> None:
    found = asked(stanza())
    assert (found.archive_id, found.major, found.system_identifier, found.encrypted) == ("15-1", 15, "7712328224863431419", True)
    (backup,) = found.backups
    assert (backup.timeline, backup.repository_bytes, backup.whole) == (1, 2810531, True)


def test_backups_from_before_an_upgrade_are_counted_and_not_used() -> None:
    upgraded = stanza()["db"] + [{"id": 2, "repo-key": 1, "system-id": 77, "version": "17"}]
    found = asked(stanza(db=upgraded))
    assert (found.archive_id, found.major, found.backups, found.older) == ("17-2", 17, (), 1)


def test_a_repository_without_a_backup_is_no_error() -> None:
    assert asked(stanza(backup=[], status={"code": 2, "message": "no valid backups"})).backups == ()


@pytest.mark.parametrize("stanzas", [(), (stanza(db=[], status={"code": 1, "message": "missing stanza path"}),)])
def test_a_repository_that_does_not_know_the_cluster_is_told_from_one_out_of_reach(stanzas: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(StanzaMissing):
        asked(*stanzas)


def test_a_repository_out_of_reach_says_why() -> None:
    repo = [{"key": 1, "status": {"code": 99, "message": "[HostConnectError] timeout connecting"}}]
    with pytest.raises(PgBackRestFailed, match="cannot be used") as caught:
        asked(stanza(backup=[], db=[], repo=repo, status={"code": 99, "message": "other"}))
    assert "timeout connecting" in caught.value.why
    assert not isinstance(caught.value, StanzaMissing)


@pytest.mark.parametrize("answer", ["", "{}", "[1]", '[{"name": "main"}]'])
def test_an_answer_that_is_none_is_an_error_in_words(answer: str) -> None:
    with pytest.raises(OperationFailed, match="cannot be"):
        info(answering(info=answer), 1)


def listed(*names: str) -> dict[str, Any]:
    files = {f"0000000100000000/{name}": {"type": "file", "size": 10, "time": 1795666346} for name in names}
    return {".": {"type": "path"}, "0000000100000000": {"type": "path"}, **files}


def test_only_whole_segments_count() -> None:
    documents = listed(
        f"000000010000000000000001-{ONE}.zst",
        f"000000010000000000000002-{ONE}",
        f"000000010000000000000003.partial-{ONE}.zst",
        "000000010000000000000002.00000028.backup",
        f"000000010000000000000004-{ONE}.zst.pgbackrest.tmp",
    )
    found = archive_list(answering(repo_ls=json.dumps(documents)), 1, "15-1")
    assert list(found.segments) == ["000000010000000000000001", "000000010000000000000002"]
    assert found.size_bytes == 20


def test_a_segment_that_is_there_twice_with_different_contents_is_none() -> None:
    documents = listed(
        f"000000010000000000000001-{ONE}.zst", f"000000010000000000000001-{OTHER}.zst", f"000000010000000000000002-{ONE}.zst"
    )
    found = archive_list(answering(repo_ls=json.dumps(documents)), 1, "15-1")
    assert list(found.segments) == ["000000010000000000000002"]
    assert found.doubtful == ("000000010000000000000001",)


def test_histories_come_with_their_text() -> None:
    documents = listed(f"000000010000000000000001-{ONE}.zst") | {"0000000A.history": {"type": "file", "size": 10, "time": 1795666346}}
    program = Answering(Path("/etc/x.conf"), Path("/x"), "main", {"repo-ls": json.dumps(documents), "0000000A.history": "1\t0/1\twhy\n"})
    assert archive_list(program, 1, "15-1").histories == {10: "1\t0/1\twhy\n"}


def test_a_history_that_cannot_be_had_keeps_the_others_from_nobody() -> None:
    entry = {"type": "file", "size": 10, "time": 1795666346}
    documents = {"00000002.history": entry, "00000003.history": entry}

    class Damaged(Answering):
        def output(self, command: str, *options: str, timeout: float) -> str:
            if options[-1].endswith("00000002.history"):
                raise failure(command, 95, ["ERROR: [095]: cipher header invalid"])
            return super().output(command, *options, timeout=timeout)

    program = Damaged(Path("/etc/x.conf"), Path("/x"), "main", {"repo-ls": json.dumps(documents), "00000003.history": "1\t0/1\twhy\n"})
    found = archive_list(program, 1, "15-1")
    assert found.histories == {3: "1\t0/1\twhy\n"}
    assert found.unreadable == {2: "00000002.history cannot be read: cipher header invalid"}


def test_an_error_of_pgbackrest_keeps_its_number_and_hints() -> None:
    lines = ["2026-11-26 04:24:06.187 P00  ERROR: [050]: unable to acquire lock", "         HINT: is another process running?"]
    found = failure("backup", 50, lines)
    assert (found.code, found.why, found.hint) == (50, "unable to acquire lock", "is another process running?")


def test_the_cause_that_stands_beside_an_error_is_told() -> None:
    lines = [
        "WARN: unable to check pg1: [DbConnectError] unable to connect to 'port=5999': No such file or directory",
        "      \tIs the server running locally?",
        "WARN: option 'repo1-retention-full' is not set",
        "ERROR: [056]: unable to find primary cluster - cannot proceed",
        "       HINT: are all available clusters in recovery?",
    ]
    told = failure("stanza-create", 56, lines)
    assert "[DbConnectError] unable to connect to 'port=5999': No such file or directory Is the server running locally?" in told.why
    assert "retention" not in told.why
    below = [
        "ERROR: [055]: unable to load info file:",
        "       FileMissingError: unable to open '/r/backup.info'",
        "       HINT: has a stanza-create been performed?",
    ]
    assert failure("backup", 55, below).why == "unable to load info file; FileMissingError: unable to open '/r/backup.info'"
    asserted = ["ASSERT: [025]: no WAL files to process", "        --------", "        stack trace:"]
    assert failure("archive-push", 25, asserted).why == "no WAL files to process"


def test_a_lock_that_may_not_be_opened_is_held_by_nobody() -> None:
    assert held(failure("backup", 50, ["ERROR: [050]: unable to acquire lock on file '/l/x.lock': Resource temporarily unavailable"]))
    assert not held(failure("backup", 50, ["ERROR: [050]: unable to acquire lock on file '/l/x.lock': Permission denied"]))


def test_no_part_of_a_message_holds_a_line_break() -> None:
    error = OperationFailed("a\nb", "c\r\n  d", "e\n")
    assert (error.what, error.why, error.hint) == ("a b", "c d", "e")
