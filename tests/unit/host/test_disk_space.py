"""How full a disk is."""

import subprocess
from pathlib import Path

import pytest

from pgkeeper.host.disk_space import used_percent


def test_blocks_reserved_for_root_count_as_df_counts_them() -> None:
    said = subprocess.run(["/usr/bin/df", "--output=pcent", "/"], capture_output=True, text=True, check=True).stdout
    assert used_percent(Path("/")) == pytest.approx(float(said.split()[-1].rstrip("%")), abs=1.5)
