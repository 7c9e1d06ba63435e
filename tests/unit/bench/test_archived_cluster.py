"""The benchmark's archive is set up as role pgkeeper_wal sets it up, or what it measures says nothing of production."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from bench.benchmarking import archived_cluster

ROLE = Path(__file__).parents[3] / "roles/pgkeeper_wal"
# The server's own user is the usual one here.
LEFT_OUT = {"pg1-user"}


def options(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)=(.*)$", text, re.MULTILINE))


def settled(given: dict[str, str]) -> dict[str, str]:
    """Those that are the same on every host."""
    return {name: value for name, value in given.items() if "{" not in value}


def test_the_local_repository_has_the_options_of_the_role() -> None:
    role = options((ROLE / "templates/pgbackrest.conf.j2").read_text(encoding="utf-8"))
    ours = options(archived_cluster._CONFIGURATION)
    assert list(ours) == [name for name in role if name not in LEFT_OUT]
    for name, value in settled(role).items():
        assert ours[name] == value, name


def test_the_repository_off_site_has_the_options_of_the_role() -> None:
    role = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))["__pgkeeper_wal_cloud_options"]
    ours = options(archived_cluster._OFF_SITE)
    assert list(ours) == list(role)
    for name, value in settled(role).items():
        assert ours[name] == value, name


def test_the_server_has_the_settings_of_the_role() -> None:
    role = (ROLE / "templates/pgkeeper-wal.conf.j2").read_text(encoding="utf-8")
    wanted = dict(re.findall(r'^  "([a-z_]+)": "([^"]+)",$', role, re.MULTILINE))
    assert wanted == archived_cluster.ARCHIVE_SETTINGS
