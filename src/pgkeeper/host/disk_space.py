"""How full a disk is, as df says it: blocks that the file system reserves for root are neither used nor free."""

import shutil
from pathlib import Path


def used_percent(path: Path) -> float:
    """Return the part of its disk that is used, in percent of what users of it can have. Raises OSError."""
    usage = shutil.disk_usage(path)
    within_reach = usage.used + usage.free
    return 100 * usage.used / within_reach if within_reach else 100.0
