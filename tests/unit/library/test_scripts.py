"""The shell scripts are thin doors to the command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

DOORS = {
    "backup_database.sh": ("backup",),
    "cleanup_wal.sh": ("pitr", "expire"),
    "restore_database.sh": ("restore",),
    "restore_pitr.sh": ("pitr", "restore"),
    "verify_backup.sh": ("verify",),
}


@pytest.mark.parametrize(("script", "verbs"), DOORS.items())
def test_arguments_and_exit_status_pass_through(root: Path, tmp_path: Path, script: str, verbs: tuple[str, ...]) -> None:
    command = tmp_path / "pgkeeper"
    command.write_text('#!/bin/sh\nprintf "<%s>" "$@"\nexit 6\n')
    command.chmod(0o755)
    done = subprocess.run(
        [root / "scripts" / script, "--test", "a b", ""],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("".join(f"<{verb}>" for verb in verbs) + "<--test><a b><>", 6)


@pytest.mark.parametrize("script", DOORS)
def test_without_pgkeeper_it_says_how_to_get_it(root: Path, tmp_path: Path, script: str) -> None:
    door = tmp_path / script
    # It may be installed on the machine that runs this.
    door.write_text((root / "scripts" / script).read_text().replace("/usr/local/bin", str(tmp_path / "nowhere")))
    done = subprocess.run(["/bin/sh", door], env={"PATH": "/usr/bin:/bin"}, check=False, capture_output=True, text=True)
    assert done.returncode == 3
    assert "playbooks/deploy.yml" in done.stderr
