"""The log."""

import json
from pathlib import Path

from pgkeeper.host.logs import LOG_FILE, configure_logs, log


def test_a_line_is_one_json_object_with_time_and_level(tmp_path: Path) -> None:
    assert configure_logs(tmp_path / "log") == ""
    log.error("backup failed", database="Ü\n", error="no space")
    (line,) = (tmp_path / "log" / LOG_FILE).read_text().splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["database"], entry["level"]) == ("backup failed", "Ü\n", "error")
    assert entry["timestamp"].endswith("Z")
    assert (tmp_path / "log" / LOG_FILE).stat().st_mode & 0o777 == 0o600


def test_rotation_underneath_loses_nothing(tmp_path: Path) -> None:
    configure_logs(tmp_path)
    log.info("one")
    (tmp_path / LOG_FILE).rename(tmp_path / "pgkeeper.log.1")
    log.info("two")
    assert "one" in (tmp_path / "pgkeeper.log.1").read_text()
    assert "two" in (tmp_path / LOG_FILE).read_text()


def test_a_log_that_cannot_be_written_is_a_remark_not_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "nothing is logged" in configure_logs(tmp_path / "file")
    log.info("nobody hears this")
