#!/usr/bin/env python3
"""Say which variables are named as ours are, and are none, so that a misspelt one is not silently without effect.

Run on the controller, with the checkout and the names that are in use as arguments. Prints a JSON list of complaints, a line each.
Known is what the roles' argument specs describe, and what the playbooks say at their beginning that they take.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from pathlib import Path
from typing import Iterable

import yaml

PREFIX = "pgkeeper_"
IN_A_PLAYBOOK = re.compile(r"^#   (pgkeeper_\w+) ", re.MULTILINE)


def known(checkout: Path) -> set[str]:
    """The variables that a checkout's roles and playbooks take."""
    found: set[str] = set()
    for path in checkout.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            found.update(entry["options"])
    for path in checkout.glob("playbooks/*.yml"):
        found.update(IN_A_PLAYBOOK.findall(path.read_text(encoding="utf-8")))
    return found


def complaints(names: Iterable[str], variables: set[str]) -> list[str]:
    """A line for each name that is no variable, with the nearest that is."""
    # What they all begin with makes none of them like another.
    ours = {name[len(PREFIX) :]: name for name in sorted(variables)}
    lines = []
    for name in sorted(set(names) - variables):
        nearest = difflib.get_close_matches(name[len(PREFIX) :], list(ours), n=1)
        advice = f"did you mean {ours[nearest[0]]}?" if nearest else "roles/pgkeeper/README.md and the playbooks say what there is"
        lines.append(f"{name} is no variable of pgkeeper: {advice}")
    return lines


def main() -> int:
    """Print the complaints."""
    checkout, *names = sys.argv[1:]
    json.dump(complaints(names, known(Path(checkout))), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
