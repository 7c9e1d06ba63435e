"""Other programs: they either do what they were asked, or say in one line why not."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


class HostsFailed(Exception):
    """What went wrong and what to do, in one line."""


def run(command: Sequence[str], *, given: str = "", seconds: float = 60) -> str:
    """Run a command and return what it printed."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=seconds)
    except FileNotFoundError:
        raise HostsFailed(f"{command[0]} is missing") from None
    except subprocess.TimeoutExpired:
        raise HostsFailed(f"{command[0]} did not end within {seconds:.0f} s") from None
    if done.returncode != 0:
        raise HostsFailed(f"{' '.join(command[:3])} … failed: {last_line(done.stderr) or f'exit status {done.returncode}'}")
    return done.stdout


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
