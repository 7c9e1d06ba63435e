"""What role pgkeeper_wal writes and refuses: variables, pgBackRest's configuration, PostgreSQL's settings."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).parents[3] / "roles"
ROLE = ROLES / "pgkeeper_wal"
KEY = "Gd5Xn2Kc8Vb1Qm7Wz4Ry9Tp3Hs6Jf0La5Ue2Oi8Yk1="
OTHER_KEY = "Hs7dK2mVx9Qe4Ry1Tz6Ub3Wn8Lc5Pf0Jg2Ai7Bo4Ct1="
OPTIONS = {"repo2-path": "/pgkeeper/db1/wal", "repo2-s3-bucket": "shop", "repo2-s3-endpoint": "s3.example.com"}
BUCKETS: dict[str, dict[str, str]] = {
    "backblaze": {"pgkeeper_cloud_endpoint_url": "https://s3.eu-central-003.backblazeb2.com"},
    "aws": {"pgkeeper_cloud_region": "eu-central-1"},
    "gcs": {},
}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))
    return found


def options() -> dict[str, Any]:
    found: dict[str, Any] = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def resolved(expression: str, variables: dict[str, Any]) -> object:
    """What Ansible makes of an expression, with both roles' own variables beneath those given."""
    loader = DataLoader()
    everything: dict[str, Any] = {"ansible_managed": "managed", "__pgkeeper_wal_identity": "db1", "pgkeeper_pitr_enabled": True}
    for role in ("pgkeeper", "pgkeeper_wal"):
        everything["role_path"] = str(ROLES / role)
        for name in ("defaults/main.yml", "vars/main.yml"):
            everything.update(loader.load_from_file(str(ROLES / role / name), trusted_as_template=True))
    host = {"processes": 2, "cluster": {"data": "/var/lib/postgresql/15/main", "left_out": [], "others": {"archive_library": None}}}
    everything.update({"__pgkeeper_wal_host": host, "pgkeeper_pitr_enabled": True})
    found: object = Templar(loader=loader, variables={**everything, **variables}).template(trust_as_template(expression))
    return found


def written(template: str, variables: dict[str, Any] | None = None) -> dict[str, str]:
    """The options of a file that the role writes."""
    text = str(resolved((ROLE / "templates" / template).read_text(encoding="utf-8"), variables or {}))
    return dict(re.findall(r"(?m)^([a-z0-9_-]+) ?= ?(.*)$", text))


def cloud(provider: str, **more: object) -> dict[str, Any]:
    """The variables for a repository at a provider."""
    return {
        "pgkeeper_cloud_enabled": True,
        "pgkeeper_cloud_provider": provider,
        "pgkeeper_cloud_bucket": "shop",
        "pgkeeper_cloud_key_id": "the-id",
        "pgkeeper_cloud_key": "the-secret",
        "pgkeeper_encryption_key": OTHER_KEY,
        "pgkeeper_wal_encryption_key": KEY,
        **BUCKETS[provider],
        **more,
    }


def asked(**more: object) -> dict[str, Any]:
    """What variables.py is asked about."""
    return {
        "repository": "/var/backups/pgkeeper-wal",
        "apart": ["/var/backups/pgkeeper", "/var/lib/pgkeeper", "/var/lib/postgresql/15/main"],
        "paths": {"pgkeeper_wal_repository": "/var/backups/pgkeeper-wal"},
        "stanza": "main",
        "days": 7,
        "endpoint": "https://s3.example.com",
        "key": KEY,
        "options": OPTIONS,
        "there": {},
        **more,
    }


def test_every_variable_is_described_with_the_default_it_has() -> None:
    assert {name: option["default"] for name, option in options().items()} == read("defaults/main.yml")


def test_the_roles_own_names_are_prefixed() -> None:
    assert all(name.startswith("pgkeeper_wal_") for name in read("defaults/main.yml"))
    assert all(name.startswith("__pgkeeper_wal_") for name in read("vars/main.yml"))


def test_variables_that_may_hold_secrets_are_marked() -> None:
    assert [name for name, option in options().items() if option.get("no_log")] == ["pgkeeper_wal_encryption_key"]


@pytest.mark.parametrize("template", sorted((ROLE / "templates").iterdir()), ids=lambda path: path.name)
def test_every_template_says_first_that_ansible_manages_it(template: Path) -> None:
    assert template.read_text(encoding="utf-8").splitlines()[0] == "{{ ansible_managed | comment }}"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"repository": "/var/lib/pgkeeper/wal"}, "/var/lib/pgkeeper must not lie in one another"),
        ({"repository": "/var/backups"}, "/var/backups/pgkeeper must not lie in one another"),
        ({"paths": {"pgkeeper_wal_repository": "/srv/my wal"}}, "must be an absolute path"),
        ({"paths": {"pgkeeper_wal_repository": "/srv/../etc/wal"}}, "must be an absolute path"),
        ({"paths": {"pgkeeper_state_dir": "/srv/it's"}}, "pgkeeper_state_dir must be an absolute path"),
        ({"stanza": "my stanza"}, "pgkeeper_pitr_stanza"),
        ({"stanza": "--help"}, "pgkeeper_pitr_stanza"),
        ({"days": 0}, "pgkeeper_pitr_retention_days"),
        ({"endpoint": "http://127.0.0.1:9000"}, "https://"),
        ({"key": ""}, "must be set"),
        ({"key": "secret"}, "too weak"),
        ({"key": "ab" * 30}, "too weak"),
        ({"key": KEY + "\nrepo2-type=posix"}, "one line"),
        ({"key": KEY + " "}, "one line"),
        ({"there": {**OPTIONS, "repo2-cipher-pass": OTHER_KEY}}, "is not the one"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_without_secrets(wal_variables: ModuleType, wrong: dict[str, Any], words: str) -> None:
    (line,) = wal_variables.complaints(asked(**wrong))
    assert words in line
    assert KEY not in line
    assert OTHER_KEY not in line


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"repository": "/var/backups/pgkeeper2"},
        {"endpoint": "", "key": "", "options": {}},
        {"there": {**OPTIONS, "repo2-cipher-pass": KEY}},
        # Another bucket is another repository.
        {"there": {**OPTIONS, "repo2-s3-bucket": "shop-old", "repo2-cipher-pass": OTHER_KEY}},
    ],
)
def test_what_can_be_is_let_through(wal_variables: ModuleType, right: dict[str, Any]) -> None:
    assert wal_variables.complaints(asked(**right)) == []


def test_the_log_is_never_dropped_silently() -> None:
    assert "archive-push-queue-max" not in written("pgbackrest.conf.j2")


def test_the_local_repository_keeps_its_days_and_the_configuration_holds_no_secret() -> None:
    found = written("pgbackrest.conf.j2", cloud("backblaze", pgkeeper_pitr_retention_days=14))
    assert (found["repo1-path"], found["repo1-retention-full-type"], found["repo1-retention-full"]) == (
        "/var/backups/pgkeeper-wal",
        "time",
        "14",
    )
    assert (found["pg1-path"], found["pg1-port"], found["process-max"], found["compress-type"]) == (
        "/var/lib/postgresql/15/main",
        "5432",
        "2",
        "zst",
    )
    assert not [name for name in found if name.startswith("repo2")]


@pytest.mark.parametrize(
    ("provider", "endpoint", "region", "style"),
    [
        ("backblaze", "s3.eu-central-003.backblazeb2.com", "eu-central-003", "path"),
        ("aws", "s3.eu-central-1.amazonaws.com", "eu-central-1", "host"),
        ("gcs", "storage.googleapis.com", "auto", "path"),
    ],
)
def test_each_provider_is_reached_as_copies_reach_it(provider: str, endpoint: str, region: str, style: str) -> None:
    found = written("pgbackrest-cloud.conf.j2", cloud(provider))
    assert (found["repo2-s3-endpoint"], found["repo2-s3-region"], found["repo2-s3-uri-style"]) == (endpoint, region, style)
    assert (found["repo2-storage-port"], found["repo2-storage-verify-tls"], found["repo2-cipher-type"]) == ("443", "y", "aes-256-cbc")
    assert (found["repo2-path"], found["repo2-cipher-pass"], found["repo2-s3-key-type"]) == ("/pgkeeper/db1/wal", KEY, "shared")


def test_a_provider_of_ones_own_has_its_address_taken_apart() -> None:
    found = written("pgbackrest-cloud.conf.j2", cloud("aws", pgkeeper_cloud_endpoint_url="https://minio.example.com:9443"))
    assert (found["repo2-s3-endpoint"], found["repo2-storage-port"], found["repo2-s3-uri-style"]) == ("minio.example.com", "9443", "path")


def test_a_machine_of_amazons_needs_no_key() -> None:
    found = written("pgbackrest-cloud.conf.j2", cloud("aws", pgkeeper_cloud_key_id="", pgkeeper_cloud_key=""))
    assert found["repo2-s3-key-type"] == "auto"
    assert not {"repo2-s3-key", "repo2-s3-key-secret"} & set(found)


def test_a_line_end_behind_the_key_is_none_of_it() -> None:
    assert written("pgbackrest-cloud.conf.j2", cloud("gcs", pgkeeper_wal_encryption_key=f"{KEY}\n"))["repo2-cipher-pass"] == KEY


def test_postgresql_is_told_what_to_call() -> None:
    found = written("pgkeeper-wal.conf.j2")
    assert found == {
        "wal_level": "replica",
        "archive_mode": "on",
        "archive_timeout": "300",
        "max_wal_size": "2GB",
        "archive_command": (
            "'pgbackrest --config=/etc/pgkeeper/pgbackrest.conf --config-include-path=/var/lib/pgkeeper/pitr/attached"
            " --stanza=main archive-push %p'"
        ),
    }


def test_what_is_higher_elsewhere_is_left_to_that() -> None:
    cluster = {"left_out": ["wal_level", "max_wal_size"], "others": {"archive_library": "basic_archive"}}
    found = written("pgkeeper-wal.conf.j2", {"__pgkeeper_wal_host": {"cluster": cluster}})
    assert not {"wal_level", "max_wal_size"} & set(found)
    assert found["archive_library"] == "''"


def test_until_a_restart_the_log_piles_up_nowhere() -> None:
    assert written("pgkeeper-wal-farewell.conf.j2") == {"archive_mode": "off", "archive_command": "'/bin/true'"}


@pytest.mark.parametrize("enabled", [True, False])
def test_settings_and_timetable_speak_of_recovery_only_where_it_is_wanted(*, enabled: bool) -> None:
    role = ROLES / "pgkeeper" / "templates"
    for template, word in (("pgkeeper.env.j2", "BACKUP_PITR_STANZA='main'"), ("cron.j2", "postgres pgkeeper pitr check --quiet")):
        text = str(resolved((role / template).read_text(encoding="utf-8"), {"pgkeeper_pitr_enabled": enabled}))
        assert (word in text) == enabled


@pytest.mark.parametrize(
    ("repository", "begun", "attached", "started", "cluster", "enough"),
    [
        (1, 1000, None, 1000, 1, True),
        (1, 1000, 2000, 1500, 1, True),
        # Archiving was ended and begun again.
        (1, 1000, None, 999, 1, False),
        # The repository was detached and attached again.
        (2, 1000, 2000, 1500, 1, False),
        (2, 1000, 2000, 2500, 1, True),
        # PostgreSQL was upgraded.
        (1, 1000, None, 1500, 2, False),
    ],
)
def test_a_repository_gets_a_full_backup_where_none_leads_to_now(
    repository: int, begun: int, attached: int | None, started: int, cluster: int, *, enough: bool
) -> None:
    stats = [{"exists": True, "mtime": begun + 0.5}, {"exists": attached is not None, "mtime": (attached or 0) + 0.5}]
    backup = {"database": {"repo-key": repository, "id": 1}, "timestamp": {"start": started}}
    elsewhere = {"database": {"repo-key": 3 - repository, "id": cluster}, "timestamp": {"start": 9999}}
    variables = {
        "item": {"repo-key": repository, "id": cluster},
        "__pgkeeper_wal_since": {"results": [{"stat": stat} for stat in stats]},
        "__pgkeeper_wal_stanza_info": {"backup": [backup, elsewhere]},
    }
    assert resolved("{{ __pgkeeper_wal_backups_since == 0 }}", variables) == (not enough)


SAID: dict[str, Any] = {
    "major": 15,
    "unit": "postgresql@15-main",
    "cluster": ["15", "main"],
    "data": "/srv/a b/15",
    "drop_in": "/etc/postgresql/15/main/conf.d/pgkeeper-wal.conf",
    "system_identifier": "7561234567890123456",
}


def believed(said: dict[str, Any], processes: object = 2) -> object:
    return resolved("{{ __pgkeeper_wal_believable }}", {"__pgkeeper_wal_host": {"processes": processes, "cluster": said}})


def test_what_a_cluster_says_of_itself_is_believed_and_so_is_one_that_is_not_debians() -> None:
    assert believed(SAID) is True
    assert believed({**SAID, "unit": "", "cluster": [], "drop_in": ""}) is True
    assert resolved("{{ __pgkeeper_wal_believable }}", {"__pgkeeper_wal_host": {"processes": 2}}) is True


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "ssh"},
        {"cluster": ["15", "main\n"], "unit": "postgresql@15-main\n", "drop_in": "/etc/postgresql/15/main\n/conf.d/pgkeeper-wal.conf"},
        {
            "cluster": ["15", "main\nssh"],
            "unit": "postgresql@15-main\nssh",
            "drop_in": "/etc/postgresql/15/main\nssh/conf.d/pgkeeper-wal.conf",
        },
        {"cluster": ["15", ".."], "unit": "postgresql@15-..", "drop_in": "/etc/postgresql/15/../conf.d/pgkeeper-wal.conf"},
        {"cluster": ["-x", "main"], "unit": "postgresql@-x-main", "drop_in": "/etc/postgresql/-x/main/conf.d/pgkeeper-wal.conf"},
        {"drop_in": "/etc/apt/apt.conf.d/pgkeeper-wal.conf"},
        {"data": "/data\nrepo1-path=/elsewhere"},
        {"data": "data"},
        {"major": "15\n"},
        {"system_identifier": "1; x"},
    ],
    ids=str,
)
def test_what_no_cluster_of_debians_says_never_gets_into_roots_files_and_commands(changes: dict[str, Any]) -> None:
    assert believed({**SAID, **changes}) is False


def test_a_number_of_processes_is_a_number() -> None:
    assert believed(SAID, "2\nrepo1-path=/elsewhere") is False


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("db1", True),
        ("db-1.example.com", True),
        ("a" * 300, False),
        ("db1\nrepo2-s3-bucket=x", False),
        ("root:$6$x", False),
        ("-x", False),
        ("", False),
    ],
)
def test_only_the_name_of_a_host_is_one(name: str, *, good: bool) -> None:
    assert (re.match(read("vars/main.yml")["__pgkeeper_wal_host_name"], name) is not None) == good
