"""No variable is misspelt without a word about it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from pgkeeper.off_site_settings import PROVIDER_VARIABLES
from pgkeeper.settings import NO_VARIABLES, Settings


def test_a_misspelt_name_is_told_with_the_nearest_one(root: Path, variable_names: ModuleType) -> None:
    names = ["pgkeeper_keep_dayly", "pgkeeper_keep_daily", "pgkeeper_restore_databse"]
    assert variable_names.complaints(names, variable_names.known(root)) == [
        "pgkeeper_keep_dayly is no variable of pgkeeper: did you mean pgkeeper_keep_daily?",
        "pgkeeper_restore_databse is no variable of pgkeeper: did you mean pgkeeper_restore_database?",
    ]


def test_a_name_like_no_other_is_told_with_where_to_look(root: Path, variable_names: ModuleType) -> None:
    (line,) = variable_names.complaints(["pgkeeper_q"], variable_names.known(root))
    assert line == "pgkeeper_q is no variable of pgkeeper: roles/pgkeeper/README.md and the playbooks say what there is"


@pytest.mark.parametrize("role", ["pgkeeper", "pgkeeper_wal"])
def test_each_variable_of_the_roles_is_known(root: Path, variable_names: ModuleType, role: str) -> None:
    defaults = yaml.safe_load((root / f"roles/{role}/defaults/main.yml").read_text(encoding="utf-8"))
    assert variable_names.complaints(defaults, variable_names.known(root)) == []


@pytest.mark.parametrize("name", ["backup", "deploy", "pitr", "restore", "uninstall", "verify"])
def test_a_playbook_says_at_its_beginning_what_it_takes_and_has_no_other_names_of_that_kind(
    root: Path, variable_names: ModuleType, name: str
) -> None:
    header, tasks = (root / f"playbooks/{name}.yml").read_text(encoding="utf-8").split("\n- name:", 1)
    modules = {path.stem for path in (root / "library").glob("*.py")} | {path.name for path in (root / "roles").iterdir()}
    assert set(variable_names.IN_A_PLAYBOOK.findall(header)) >= {"pgkeeper_hosts"}
    # Between these two there is no third kind: what a playbook keeps for itself begins with two underscores.
    used = set(re.findall(r"(?<![\w-])pgkeeper_\w+", tasks)) - modules
    assert used <= variable_names.known(root)


def test_every_playbook_looks_at_the_names_first(root: Path) -> None:
    for path in (root / "playbooks").glob("*.yml"):
        (play,) = yaml.safe_load(path.read_text(encoding="utf-8"))
        first = play["tasks"][0]["ansible.builtin.include_role"] if "tasks" in play else play["roles"][0]
        assert first.get("role", first.get("name")) == "pgkeeper"
        assert first.get("tasks_from", "names.yml") == "names.yml"
    tasks = yaml.safe_load((root / "roles/pgkeeper/tasks/main.yml").read_text(encoding="utf-8"))
    assert tasks[0]["ansible.builtin.import_tasks"] == "names.yml"


def test_the_known_keys_of_pgkeeper_settings_are_the_settings_that_there_are(root: Path, variable_names: ModuleType) -> None:
    fields = {"BACKUP_" + name.upper() for name in Settings.model_fields if name not in NO_VARIABLES}
    assert variable_names.settings(root) == fields | PROVIDER_VARIABLES


def test_a_misspelt_key_of_pgkeeper_settings_stops_a_deploy_as_a_misspelt_variable_does(root: Path) -> None:
    names = [
        "pgkeeper_settings.BACKUP_LOCK_TIMEOUT_SECNDS",
        "pgkeeper_settings.BACKUP_DIR",
        "pgkeeper_settings.PGSSLMODE",
        "pgkeeper_settings",
    ]
    program = root / "roles/pgkeeper/files/variable_names.py"
    done = subprocess.run([sys.executable, program, root, *names], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [
        "BACKUP_LOCK_TIMEOUT_SECNDS in pgkeeper_settings is no setting of pgkeeper: did you mean BACKUP_LOCK_TIMEOUT_SECONDS?"
    ]
    tasks = yaml.safe_load((root / "roles/pgkeeper/tasks/names.yml").read_text(encoding="utf-8"))
    assert "pgkeeper_settings | default({})" in tasks[0]["ansible.builtin.command"]["argv"]
