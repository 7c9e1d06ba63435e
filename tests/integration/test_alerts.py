"""The owner hears of a failed backup, and the messenger's own trouble is never the backup's."""

from __future__ import annotations

import re
import socket

import pytest

from .support.mail import mail_server
from .support.product import DONE, FAILED, INTEGRITY, Pgkeeper

ADDRESSES = "from=pgkeeper@example.org&to=owner@example.org"


def test_a_failed_backup_is_mailed_in_the_agreed_words(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.backup("app")
    pgkeeper.cluster.drop_database("app")
    with mail_server() as mailbox:
        pgkeeper.configure(
            BACKUP_PROJECT_NAME="AnalyticBot",
            BACKUP_CONSOLE_URL="https://admin.example.org",
            BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?{ADDRESSES}",
        )
        pgkeeper("backup", "--database", "app").exits(FAILED)
        body = mailbox.body()
    assert mailbox.subject() == f"⚠️ AnalyticBot - Backup Alert on {socket.gethostname()}"
    assert mailbox.messages[0]["to"].addresses[0].addr_spec == "owner@example.org"
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    expected = [
        re.escape(f"From host: {socket.gethostname()}"),
        r"Database: app",
        r"Status: ❌ FAILED",
        r"Time: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
        r"Error: .*app.*",
        r"Last Successful Backup: .+",
        r"Database Size: .+",
        r"Action Required: .+",
        r"View Details: https://admin\.example\.org.*",
    ]
    found = [next((line for line in lines if re.fullmatch(pattern, line)), pattern) for pattern in expected]
    assert [lines.index(line) for line in found] == sorted(lines.index(line) for line in found), body


def test_a_row_that_no_dump_can_hold_is_mailed_with_its_table_and_how_to_find_it(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app", 'create table "Big ""one" (id int, body bytea, note text);')
    fill = """insert into "Big ""one" values (1, 'x', 'x'), (2, convert_to(repeat('x', 537000000), 'SQL_ASCII'), 'x')"""
    pgkeeper.cluster.execute(fill, database="app")
    with mail_server() as mailbox:
        pgkeeper.configure(BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?{ADDRESSES}")
        run = pgkeeper("backup", "--database", "app").exits(FAILED)
        assert 'a row of public."Big ""one" is too large' in " ".join(mailbox.body().split())
    query = re.search(r"`(SELECT ctid.*?)`", run.error)
    assert query
    assert pgkeeper.cluster.query(query[1], database="app")[0][1] == 537000001
    assert not pgkeeper.published()


def test_a_success_is_not_mailed(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    with mail_server() as mailbox:
        pgkeeper.configure(BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?{ADDRESSES}")
        pgkeeper("backup", "--database", "app").exits(DONE)
    assert not mailbox.messages


def test_notify_test_sends_a_message(pgkeeper: Pgkeeper) -> None:
    with mail_server() as mailbox:
        pgkeeper.configure(BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?{ADDRESSES}")
        pgkeeper("notify", "test").exits(DONE)
    assert len(mailbox.messages) == 1


def test_every_address_is_written_to(pgkeeper: Pgkeeper) -> None:
    with mail_server() as first, mail_server() as second:
        urls = [f"mailto://127.0.0.1:{mailbox.port}/?{ADDRESSES}" for mailbox in (first, second)]
        pgkeeper.configure(BACKUP_NOTIFY_URLS=" ".join(urls))
        pgkeeper("backup", "--database", "missing").exits(FAILED)
    assert len(first.messages) == len(second.messages) == 1


@pytest.mark.parametrize("trouble", ["refused", "silent", "nonsense"])
def test_a_dead_messenger_does_not_change_the_outcome(pgkeeper: Pgkeeper, trouble: str) -> None:
    pgkeeper.create_database("app")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if trouble == "silent":
            listener.listen()
        port = listener.getsockname()[1]
        url = "nonsense" if trouble == "nonsense" else f"mailto://127.0.0.1:{port}/?{ADDRESSES}"
        pgkeeper.configure(BACKUP_NOTIFY_URLS=url)
        pgkeeper("backup", "--database", "app").exits(DONE)
        run = pgkeeper("backup", "--database", "missing", "--json", seconds=90).exits(FAILED)
        assert run.outcome("missing")["error"]["exit_status"] == FAILED
        assert run.json["warnings"], "the messenger's failure is told, as a warning"
        if trouble != "silent":  # once is enough to wait for
            assert pgkeeper("notify", "test").exit_status not in (DONE, 2)


def test_the_messengers_password_is_used_and_never_shown(pgkeeper: Pgkeeper) -> None:
    with mail_server() as mailbox:
        url = f"mailto://keeper:planted-Mail-Secret-6@127.0.0.1:{mailbox.port}/?mode=insecure&{ADDRESSES}"
        pgkeeper.configure(BACKUP_NOTIFY_URLS=url)
        runs = [pgkeeper("backup", "--database", "missing"), pgkeeper("notify", "test")]
        assert ("keeper", "planted-Mail-Secret-6") in mailbox.logins
    runs.append(pgkeeper("notify", "test"))
    runs.append(pgkeeper("doctor"))
    said = "".join(run.output for run in runs)
    said += "".join(path.read_text() for path in pgkeeper.logs.rglob("*") if path.is_file())
    said += "".join(mailbox.messages[0].as_string())
    assert "planted" not in said


def test_a_failed_check_is_mailed(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    backup_id = pgkeeper.backup("app")
    (pgkeeper.published()[0] / "database.sql.gz").write_bytes(b"")
    with mail_server() as mailbox:
        pgkeeper.configure(BACKUP_NOTIFY_URLS=f"mailto://127.0.0.1:{mailbox.port}/?{ADDRESSES}")
        pgkeeper("verify").exits(INTEGRITY)
        body = mailbox.body()
    assert mailbox.subject() == f"⚠️ Zoo - Backup Check Alert on {socket.gethostname()}"
    assert f"Backup: {backup_id}" in body
    assert "database.sql.gz is damaged" in body
