"""What the role writes for copies off site: settings, keys, timetable; and nothing of it where there are none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from dotenv.parser import parse_stream

from pgkeeper.off_site_settings import CREDENTIALS
from pgkeeper.settings import load_settings

ROLE = Path(__file__).parents[3] / "roles" / "pgkeeper"
KEY = "q2Vn7rT0yLx5Kd8uWc3hZb6mSf9aJe1oPg4iXtQvNk8="
OLDER = "Hs7dK2mVx9Qe4Ry1Tz6Ub3Wn8Lc5Pf0Jg2Ai7Bo4Ct1="
BUCKETS = {
    "backblaze": {"pgkeeper_cloud_endpoint_url": "https://s3.eu-central-003.backblazeb2.com"},
    "aws": {"pgkeeper_cloud_region": "eu-central-1"},
    "gcs": {},
}


def cloud(provider: str = "backblaze", **more: object) -> dict[str, Any]:
    """The role's variables for copies at a provider."""
    return {
        "pgkeeper_cloud_enabled": True,
        "pgkeeper_cloud_provider": provider,
        "pgkeeper_cloud_bucket": "shop-backups",
        "pgkeeper_cloud_key_id": "the-id",
        "pgkeeper_cloud_key": "the-secret",
        "pgkeeper_encryption_key": KEY,
        **BUCKETS[provider],
        **more,
    }


def resolved(expression: str, variables: dict[str, Any]) -> object:
    """What Ansible makes of an expression, with the role's own variables beneath those given."""
    loader = DataLoader()
    everything: dict[str, Any] = {"role_path": str(ROLE), "ansible_managed": "managed"}
    for name in ("defaults/main.yml", "vars/main.yml"):
        everything.update(loader.load_from_file(str(ROLE / name), trusted_as_template=True))
    return Templar(loader=loader, variables={**everything, **variables}).template(trust_as_template(expression))


def written(template: str, variables: dict[str, Any]) -> str:
    text = resolved((ROLE / "templates" / template).read_text(encoding="utf-8"), variables)
    assert isinstance(text, str)
    return text


def settings_file(variables: dict[str, Any]) -> dict[str, str | None]:
    found = parse_stream(io.StringIO(written("pgkeeper.env.j2", variables)))
    return {binding.key: binding.value for binding in found if binding.key}


def off_site_lines(variables: dict[str, Any]) -> list[str]:
    """The commands of the timetable that need a bucket."""
    lines = [line for line in written("cron.j2", variables).splitlines() if not line.startswith("#")]
    return [line for line in lines if "pgkeeper sync" in line or "--from cloud" in line]


def test_a_host_without_copies_off_site_hears_nothing_of_them() -> None:
    variables = {**cloud(), "pgkeeper_cloud_enabled": False}
    foreign = ("BACKUP_CLOUD", "BACKUP_ENCRYPTION", "BACKUP_REPLICA", "BACKUP_AGE", "BACKUP_RETENTION_DAYS", "BACKBLAZE", "AWS", "GCS")
    assert [name for name in settings_file(variables) if name.startswith(foreign)] == []
    assert off_site_lines(variables) == []


@pytest.mark.parametrize("provider", list(BUCKETS))
def test_pgkeeper_understands_what_is_written_for_each_provider(provider: str, tmp_path: Path) -> None:
    file = tmp_path / "pgkeeper.env"
    file.write_text(written("pgkeeper.env.j2", cloud(provider)), encoding="utf-8")
    settings = load_settings({"PGKEEPER_ENV_FILE": str(file)})
    (bucket,) = settings.buckets
    assert (bucket.provider, bucket.bucket, bucket.prefix, bucket.may_delete) == (provider, "shop-backups", "pgkeeper", True)
    assert (bucket.key_id.get_secret_value(), bucket.key.get_secret_value()) == ("the-id", "the-secret")
    assert settings.encryption_key_file == Path("/etc/pgkeeper/encryption.key")
    assert settings.warnings == ()


@pytest.mark.parametrize("provider", list(BUCKETS))
def test_only_the_providers_own_variables_are_written(provider: str) -> None:
    names = {name for name in settings_file(cloud(provider)) if name.startswith(("BACKBLAZE", "AWS", "GCS"))}
    assert names == {*CREDENTIALS[provider], *(["AWS_REGION"] if provider == "aws" else [])}  # type: ignore[index]


def test_what_is_empty_is_not_written() -> None:
    settings = settings_file(cloud("aws", pgkeeper_cloud_key_id="", pgkeeper_cloud_key=""))
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "BACKUP_CLOUD_STORAGE_CLASS", "BACKUP_CLOUD_UPLOAD_LIMIT"} & set(
        settings
    ) == set()
    assert [name for name, value in settings.items() if not value] == []


def test_a_replica_is_written_where_there_is_one() -> None:
    assert [name for name in settings_file(cloud()) if "REPLICA" in name] == []
    replica = {"pgkeeper_replica_provider": "aws", "pgkeeper_replica_bucket": "twin", "pgkeeper_replica_region": "us-east-2"}
    settings = settings_file(cloud(**replica, pgkeeper_replica_key_id="id", pgkeeper_replica_key="key"))
    assert {name: value for name, value in settings.items() if "REPLICA" in name} == {
        "BACKUP_REPLICA_PROVIDER": "aws",
        "BACKUP_REPLICA_BUCKET_NAME": "twin",
        "BACKUP_REPLICA_REGION": "us-east-2",
        "BACKUP_REPLICA_PREFIX": "pgkeeper",
        "BACKUP_REPLICA_KEY_ID": "id",
        "BACKUP_REPLICA_KEY": "key",
    }


def test_a_preset_says_the_days_off_site(tmp_path: Path) -> None:
    file = tmp_path / "pgkeeper.env"
    file.write_text(written("pgkeeper.env.j2", cloud(pgkeeper_retention_preset="14+60")), encoding="utf-8")
    settings = load_settings({"PGKEEPER_ENV_FILE": str(file)})
    assert (settings.local_retention_days, settings.retention_days) == (14, 60)


def test_the_key_is_in_no_setting() -> None:
    assert KEY not in written("pgkeeper.env.j2", cloud(pgkeeper_encryption_older_keys=[OLDER]))
    assert OLDER not in written("pgkeeper.env.j2", cloud(pgkeeper_encryption_older_keys=[OLDER]))


@pytest.mark.parametrize(
    ("key", "older", "lines"),
    [
        (KEY, [], [KEY]),
        (f"{KEY}\n", [f"{OLDER}\r\n", ""], [KEY, OLDER]),
        (KEY, [OLDER, KEY, OLDER], [KEY, OLDER]),
        (KEY, f"{OLDER} with blanks", [KEY, f"{OLDER} with blanks"]),
        ("", [], []),
        ("", [OLDER], []),
    ],
)
def test_the_key_in_use_comes_first_and_each_key_once(key: str, older: list[str] | str, lines: list[str]) -> None:
    variables = {"pgkeeper_encryption_key": key, "pgkeeper_encryption_older_keys": older}
    assert resolved("{{ __pgkeeper_keys }}", variables) == lines


def test_the_timetable_copies_after_the_backup_and_until_it_is_done() -> None:
    backup, sync, check, prove = off_site_lines(cloud())
    assert backup.startswith("0 3 * * * postgres { /opt/pgkeeper/scripts/backup_database.sh ")
    assert "; pgkeeper sync --quiet --wait 2h; } 2>&1 >/dev/null | logger " in backup
    assert sync.startswith("7,37 * * * * postgres pgkeeper sync --quiet --wait 2h 2>&1 ")
    assert "verify --from cloud --quiet --level checksum --if-older-than 156h" in check
    assert "verify --from cloud --quiet --level restore --if-older-than 29d" in prove


def test_a_host_that_cannot_read_its_copies_is_not_asked_to_restore_them() -> None:
    age = cloud(pgkeeper_encryption_method="age", pgkeeper_age_recipients=["age1xyz"], pgkeeper_encryption_key="")
    assert [line for line in off_site_lines(age) if "--level restore" in line] == []
    readable = {**age, "pgkeeper_settings": {"BACKUP_AGE_IDENTITY_FILE": "/etc/pgkeeper/identity"}}
    assert len([line for line in off_site_lines(readable) if "--level restore" in line]) == 1


def steps(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All tasks of a file, those in blocks as well."""
    return [step for task in tasks for step in ([task] if "block" not in task else steps(task["block"]))]


def test_no_task_shows_keys_it_works_with() -> None:
    files = {file: yaml.safe_load(file.read_text(encoding="utf-8")) for file in (ROLE / "tasks").glob("*.yml")}
    rotate = ROLE.parents[1] / "playbooks/rotate_key.yml"
    files[rotate] = [task for play in yaml.safe_load(rotate.read_text(encoding="utf-8")) for task in play["tasks"]]
    secret = ("__pgkeeper_keys |", "__pgkeeper_key_content", "'keys': __pgkeeper_keys", "__pgkeeper_new_key")
    found = []
    for file, tasks in files.items():
        for task in steps(tasks):
            # Roles get variables, and show none of them.
            handed = [value for name, value in task.items() if name.startswith("ansible.builtin.") and "include" not in name]
            if any(word in str(handed) for word in secret) or "ansible.builtin.slurp" in task:
                found.append((file.name, task["name"], task.get("no_log")))
    assert len(found) == 5
    assert [task for task in found if task[2] is not True] == []
