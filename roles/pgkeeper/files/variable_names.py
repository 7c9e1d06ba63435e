#!/usr/bin/env python3
"""Say which variables are named as ours are, and are none, so that a misspelt one is not silently without effect.

Run on the controller, with the checkout and the names that are in use as arguments. Prints a JSON list of complaints, a line each.
Known is what the roles' argument specs describe, and what the playbooks say at their beginning that they take. A name that begins with
pgkeeper_settings. is a key of that variable: known are the settings that the payload of the checkout reads, and PostgreSQL's own (PG...).
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import sys
from pathlib import Path
from typing import Iterable

import yaml

PREFIX = "pgkeeper_"
KEY = "pgkeeper_settings."
PROVIDERS = re.compile(r"(BACKBLAZE|AWS|GCS)_[A-Z0-9_]+")
POSTGRESQLS = re.compile(r"PG[A-Z0-9_]*")
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


def settings(checkout: Path) -> set[str]:
    """The settings that a checkout's payload reads, taken from its own models: the controller need not have what they import."""
    found: set[str] = set()
    without: set[str] = set()
    for name, model in (("settings", "Settings"), ("off_site_settings", "OffSiteSettings"), ("pitr_settings", "PitrSettings")):
        tree = ast.parse((checkout / "src" / "pgkeeper" / (name + ".py")).read_text(encoding="utf-8"))
        for statement in tree.body:
            if isinstance(statement, ast.ClassDef) and statement.name == model:
                fields = [line.target for line in statement.body if isinstance(line, ast.AnnAssign)]
                found.update("BACKUP_" + field.id.upper() for field in fields if isinstance(field, ast.Name))
            elif (
                isinstance(statement, ast.Assign)
                and isinstance(statement.targets[0], ast.Name)
                and statement.targets[0].id == "NO_VARIABLES"
            ):
                without.update("BACKUP_" + field.upper() for field in ast.literal_eval(statement.value))
        if name == "off_site_settings":
            texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
            found.update(text for text in texts if PROVIDERS.fullmatch(text))
    return found - without


def key_complaints(keys: Iterable[str], known_settings: set[str]) -> list[str]:
    """A line for each key of pgkeeper_settings that is no setting, with the nearest that is."""
    lines = []
    for key in sorted(set(keys) - known_settings):
        if not POSTGRESQLS.fullmatch(key):
            nearest = difflib.get_close_matches(key, sorted(known_settings), n=1)
            advice = f"did you mean {nearest[0]}?" if nearest else "docs/settings.md says what there is"
            lines.append(f"{key} in pgkeeper_settings is no setting of pgkeeper: {advice}")
    return lines


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
    keys = [name[len(KEY) :] for name in names if name.startswith(KEY)]
    variables = [name for name in names if not name.startswith(KEY)]
    json.dump(complaints(variables, known(Path(checkout))) + key_complaints(keys, settings(Path(checkout))), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
