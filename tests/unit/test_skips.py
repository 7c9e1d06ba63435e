"""What is left out is never green where nobody looks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPS = "import pytest\n@pytest.mark.skip(reason='no disk')\ndef test_a(): pass\ndef test_b(): pytest.skip('no disk')\ndef test_c(): pass\n"


@pytest.mark.parametrize(("ci", "status", "said"), [("", 0, "1 passed, 2 skipped"), ("true", 1, "1 failed, 1 passed, 1 error")])
def test_a_skip_fails_in_continuous_integration(tmp_path: Path, ci: str, status: int, said: str) -> None:
    file = tmp_path / "test_skipping.py"
    file.write_text(SKIPS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", f"--rootdir={tmp_path}", "-c", os.devnull, "-ra", str(file)],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "-p no:cacheprovider"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, said in done.stdout, done.stdout.count("no disk") >= 1) == (status, True, True), done.stdout
