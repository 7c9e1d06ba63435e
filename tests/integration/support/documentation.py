"""Commands as the documentation gives them to its readers, to be run as written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from .binaries import server_directory
from .cluster import Cluster
from .user import run_as_service_user

DOCS = Path(__file__).parents[3] / "docs"


def marked_block(document: str, name: str) -> str:
    """The shell commands that stand in `docs/<document>` under `<!-- test: <name> -->`."""
    text = (DOCS / document).read_text(encoding="utf-8")
    found = re.findall(rf"^<!-- test: {re.escape(name)} -->\n+```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{document} has {len(found)} blocks marked {name}"
    return str(found[0])


def run_as_written(commands: str, cluster: Cluster, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run commands as a reader who became postgres does, in a shell that knows the server and the reader's own variables."""
    environment = {"PATH": f"{server_directory()}:/usr/bin:/bin", "LANG": "C.UTF-8", **cluster.environment(), **variables}
    return run_as_service_user(["bash", "-c", commands], environment)
