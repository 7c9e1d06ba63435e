"""The role says one thing in every place: variables, defaults, README, templates, settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.settings import load_settings

ROLE = Path(__file__).parents[3] / "roles" / "pgkeeper"


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))
    return found


def options() -> dict[str, Any]:
    found: dict[str, Any] = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def test_every_variable_is_described_with_the_default_it_has() -> None:
    assert {name: option["default"] for name, option in options().items()} == read("defaults/main.yml")


def test_the_roles_own_names_are_prefixed() -> None:
    assert all(name.startswith("pgkeeper_") for name in read("defaults/main.yml"))
    assert all(name.startswith("__pgkeeper_") for name in read("vars/main.yml"))


def test_variables_that_may_hold_secrets_are_marked() -> None:
    assert {name for name, option in options().items() if option.get("no_log")} == {
        "pgkeeper_cloud_key",
        "pgkeeper_cloud_key_id",
        "pgkeeper_encryption_key",
        "pgkeeper_encryption_older_keys",
        "pgkeeper_notify_urls",
        "pgkeeper_replica_key",
        "pgkeeper_replica_key_id",
        "pgkeeper_settings",
    }


def test_the_readme_is_up_to_date(root: Path) -> None:
    done = subprocess.run([sys.executable, root / "scripts/role-readme", "--check"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("template", sorted((ROLE / "templates").iterdir()), ids=lambda path: path.name)
def test_every_template_says_first_that_ansible_manages_it(template: Path) -> None:
    lines = template.read_text(encoding="utf-8").splitlines()
    first = lines[1] if lines[0].startswith("#!") else lines[0]
    assert first == "{{ ansible_managed | comment }}"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("shop", True),
        ("shop.service", True),
        ("worker@1.service", True),
        ("my\\x2dapp.timer", True),
        ("postgresql-exporter.service", True),
        ("--now", False),
        ("-H", False),
        ("@1.service", False),
        ("a/b", False),
        ("a;b", False),
        ("*", False),
        ("postgresql", False),
        ("postgresql.service", False),
        ("postgresql@15-main.service", False),
        ("pgkeeper-services.path", False),
        ("pgkeeper-services", False),
    ],
)
def test_only_the_applications_units_may_be_stopped(name: str, *, allowed: bool) -> None:
    assert bool(re.match(read("vars/main.yml")["__pgkeeper_unit_name"], name)) == allowed


def test_the_helper_may_be_started_as_often_as_a_replacement_and_its_undoing_ask() -> None:
    unit = (ROLE / "templates/pgkeeper-services.service.j2").read_text(encoding="utf-8")
    assert "StartLimitBurst=50" in unit.splitlines()


def rendered(settings: dict[str, Any]) -> str:
    environment = jinja2.Environment(  # noqa: S701  no HTML here
        trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["comment"] = "# {}".format
    template = environment.from_string((ROLE / "templates/pgkeeper.env.j2").read_text(encoding="utf-8"))
    return template.render(ansible_managed="managed", __pgkeeper_settings=settings)


# What the preflight lets through: no line breaks, and no backslash at the end.
values = st.text(st.characters(exclude_characters="\x00\r\n", codec="utf-8")).filter(lambda text: text[-1:] != "\\")


@given(password=values, console=values)
def test_any_value_arrives_as_it_was_given(tmp_path_factory: pytest.TempPathFactory, password: str, console: str) -> None:
    file = tmp_path_factory.mktemp("settings") / "pgkeeper.env"
    file.write_text(rendered({"PGPASSWORD": password, "PGAPPNAME": console}), encoding="utf-8", newline="")
    settings = load_settings({"PGKEEPER_ENV_FILE": str(file)})
    assert (settings.libpq["PGPASSWORD"], settings.libpq["PGAPPNAME"]) == (password, console)
