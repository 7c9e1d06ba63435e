"""Calling a module as Ansible does once it is in the Python of the release."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .product import Pgkeeper

ROOT = Path(__file__).parents[3]

# In the place of Ansible's own wrapper, which brings module_utils along and the arguments on standard input.
WRAPPER = """
import json, runpy, sys
import ansible.module_utils
from ansible.module_utils import basic
root, name, arguments = sys.argv[1:]
ansible.module_utils.__path__.append(f"{root}/module_utils")
basic._ANSIBLE_ARGS = arguments.encode()
basic._ANSIBLE_PROFILE = "legacy"
sys.modules["__main__"]._respawned = True
sys.path.append(f"{root}/library")
__import__(name).main()
"""


def call_module(pgkeeper: Pgkeeper, name: str, *, check: bool = False, **options: object) -> dict[str, Any]:
    """Return what the module answers. It runs as root and becomes the service user, as on a host."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check, "_ansible_diff": True}}
    done = subprocess.run(
        [sys.executable, "-c", WRAPPER, str(ROOT), name, json.dumps(arguments)],
        cwd="/",
        env=pgkeeper.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        raise AssertionError(f"{name} gave no answer: {done.stdout}{done.stderr}") from None
