"""Causes of pgBackRest's errors, each met with the real program, and configurations that it reads."""

import shutil
from pathlib import Path

import pytest

from pgkeeper.pgbackrest.configuration import queue_limit
from pgkeeper.pgbackrest.next_step import next_step
from pgkeeper.pgbackrest.program import PgBackRest, PgBackRestFailed


def configured(place: Path, more: str = "") -> PgBackRest:
    (place / "attached").mkdir()
    (place / "x.conf").write_text(
        f"[global]\nrepo1-path={place}/repo\nspool-path={place}/spool\nlock-path={place}/lock\nlog-level-file=off\n{more}"
        f"[main]\npg1-path={place}/data\npg1-port=1\npg1-socket-path={place}\n"
    )
    return PgBackRest(place / "x.conf", place / "attached", "main")


@pytest.mark.skipif(shutil.which("pgbackrest") is None, reason="pgBackRest is not installed")
def test_a_cluster_elsewhere_than_configured_is_named_with_what_shows_it(tmp_path: Path) -> None:
    with pytest.raises(PgBackRestFailed) as raised:
        configured(tmp_path).output("stanza-create", timeout=60)
    assert raised.value.code == 56
    assert "[DbConnectError]" in raised.value.why
    assert f"port=1 host='{tmp_path}'" in raised.value.why
    assert "`pg_lsclusters`" in raised.value.hint


@pytest.mark.parametrize("where", ["repo/archive/main/archive.info", "spool/archive/main"])
def test_files_of_roots_are_given_back_by_one_command(tmp_path: Path, where: str) -> None:
    program = configured(tmp_path)
    why = f"unable to open file '{tmp_path}/{where}' for read: [13] Permission denied"
    hint = next_step(program.config_file, program.attached, "main", 41, why)
    assert f"`chown -Rh --from=root postgres {tmp_path}/{where.partition('/')[0]}`" in hint
    assert next_step(program.config_file, program.attached, "main", 41, "'/etc/shadow': Permission denied") == ""


def test_a_missing_stanza_is_created_by_a_command_that_root_can_paste(tmp_path: Path) -> None:
    why = "unable to load info file; FileMissingError: unable to open missing file '/r/backup/main/backup.info' for read"
    hint = next_step(tmp_path / "x.conf", tmp_path / "a", "main", 55, why)
    where = f"--config={tmp_path}/x.conf --config-include-path={tmp_path}/a --stanza=main"
    assert f"`runuser -u postgres -- pgbackrest {where} stanza-create`" in hint


def test_a_limit_of_the_queue_is_found_in_every_file_and_section(tmp_path: Path) -> None:
    program = configured(tmp_path)
    assert queue_limit(program.config_file, program.attached, "main") is None
    (program.attached / "cloud.conf").write_text("[global:archive-push]\narchive-push-queue-max=1GiB\n")
    assert queue_limit(program.config_file, program.attached, "main") == "1GiB"
