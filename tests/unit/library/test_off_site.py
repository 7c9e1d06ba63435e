"""What the preflight says about copies off site."""

from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from pgkeeper.crypto.strength import weakness
from pgkeeper.off_site_settings import CREDENTIALS
from tests.unit.library.conftest import ROOT, load

KEY = "q2Vn7rT0yLx5Kd8uWc3hZb6mSf9aJe1oPg4iXtQvNk8="
OLDER = "Hs7dK2mVx9Qe4Ry1Tz6Ub3Wn8Lc5Pf0Jg2Ai7Bo4Ct1="
BACKBLAZE = {
    "BACKUP_CLOUD_PROVIDER": "backblaze",
    "BACKUP_CLOUD_ENDPOINT_URL": "https://s3.eu-central-003.backblazeb2.com",
    "BACKUP_CLOUD_PREFIX": "pgkeeper",
    "BACKUP_ENCRYPTION_METHOD": "openssl",
    "BACKBLAZE_BUCKET_NAME": "shop-backups",
    "BACKBLAZE_KEY_ID": "id",
    "BACKBLAZE_APPLICATION_KEY": "s3cr3t",
}
REPLICA = {
    "BACKUP_REPLICA_PROVIDER": "aws",
    "BACKUP_REPLICA_BUCKET_NAME": "twin",
    "BACKUP_REPLICA_REGION": "us-east-2",
    "BACKUP_REPLICA_PREFIX": "pgkeeper",
    "BACKUP_REPLICA_KEY_ID": "id",
    "BACKUP_REPLICA_KEY": "key",
}
PROGRAM = ROOT / "roles/pgkeeper/files/off_site.py"


@pytest.fixture(scope="module")
def off_site() -> ModuleType:
    return load(PROGRAM)


def said(off_site: ModuleType, settings: dict[str, str], keys: list[str] | None = None, there: list[str] | None = None) -> list[str]:
    found: list[str] = off_site.complaints({"settings": settings, "keys": [KEY] if keys is None else keys, "there": there or []}, weakness)
    return found


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in BACKBLAZE.items() if name not in names}


def test_it_knows_the_variables_of_the_payload(off_site: ModuleType) -> None:
    assert dict(CREDENTIALS) == off_site.PROVIDERS


def test_what_is_whole_is_no_problem(off_site: ModuleType) -> None:
    assert said(off_site, BACKBLAZE) == []
    assert said(off_site, {**BACKBLAZE, **REPLICA}) == []


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (without("BACKUP_CLOUD_PROVIDER"), "pgkeeper_cloud_provider must say backblaze, aws or gcs"),
        ({**BACKBLAZE, "BACKUP_CLOUD_PROVIDER": "dropbox"}, "pgkeeper_cloud_provider must say"),
        (without("BACKBLAZE_BUCKET_NAME"), "pgkeeper_cloud_bucket must name"),
        (without("BACKBLAZE_KEY_ID"), "pgkeeper_cloud_key_id must be set"),
        (without("BACKBLAZE_APPLICATION_KEY"), "pgkeeper_cloud_key must be set"),
        (without("BACKBLAZE_KEY_ID", "BACKBLAZE_APPLICATION_KEY"), "pgkeeper_cloud_key_id and pgkeeper_cloud_key must be set"),
        (without("BACKUP_CLOUD_ENDPOINT_URL"), "pgkeeper_cloud_endpoint_url must be the address that Backblaze shows"),
        ({**BACKBLAZE, "BACKUP_CLOUD_ENDPOINT_URL": "http://s3.example.com"}, "pgkeeper_cloud_endpoint_url must begin with https://"),
        ({**BACKBLAZE, **REPLICA, "BACKUP_REPLICA_BUCKET_NAME": ""}, "pgkeeper_replica_bucket must name"),
        ({**BACKBLAZE, **REPLICA, "BACKUP_REPLICA_REGION": ""}, "pgkeeper_replica_region must be the region"),
        ({**BACKBLAZE, **REPLICA, "BACKUP_REPLICA_KEY": ""}, "pgkeeper_replica_key must be set"),
        ({**BACKBLAZE, "BACKUP_ENCRYPTION_METHOD": "age"}, "pgkeeper_age_recipients must name the public keys"),
        ({**BACKBLAZE, "BACKUP_ENCRYPTION_KEY": KEY}, "BACKUP_ENCRYPTION_KEY in pgkeeper_settings contradicts"),
    ],
)
def test_what_is_missing_is_said_by_its_variable_in_one_line(off_site: ModuleType, settings: dict[str, str], line: str) -> None:
    (found,) = said(off_site, settings)
    assert found.startswith(line)
    assert "\n" not in found


def test_a_replica_in_the_same_bucket_is_none(off_site: ModuleType) -> None:
    twin = {
        **REPLICA,
        "BACKUP_REPLICA_PROVIDER": "backblaze",
        "BACKUP_REPLICA_BUCKET_NAME": "shop-backups",
        "BACKUP_REPLICA_ENDPOINT_URL": BACKBLAZE["BACKUP_CLOUD_ENDPOINT_URL"],
    }
    (found,) = said(off_site, {**BACKBLAZE, **twin})
    assert "a replica needs another one" in found
    assert said(off_site, {**BACKBLAZE, **twin, "BACKUP_REPLICA_PREFIX": "elsewhere"}) == []


def test_amazons_machines_may_do_without_keys_but_not_with_one_of_two(off_site: ModuleType) -> None:
    aws = {"BACKUP_CLOUD_PROVIDER": "aws", "AWS_S3_BUCKET": "b", "AWS_REGION": "eu-central-1"}
    assert said(off_site, aws) == []
    assert len(said(off_site, {**aws, "AWS_ACCESS_KEY_ID": "id"})) == 1


def test_nothing_leaves_without_a_key(off_site: ModuleType) -> None:
    (found,) = said(off_site, BACKBLAZE, keys=[])
    assert found.startswith("pgkeeper_encryption_key must be set")
    assert said(off_site, {**BACKBLAZE, "BACKUP_ENCRYPTION_KEY_FILE": "/srv/key"}, keys=[]) == []
    assert said(off_site, {**BACKBLAZE, "BACKUP_ENCRYPTION_METHOD": "age", "BACKUP_AGE_RECIPIENTS": "age1x"}, keys=[]) == []


@pytest.mark.parametrize("key", ["secret", KEY[:23], "a" * 44, "0123456" * 8, "ключ" * 20, f" {KEY}", f"{KEY}\n{OLDER}", KEY * 30])
def test_a_weak_key_is_refused_and_not_repeated(off_site: ModuleType, key: str) -> None:
    (found,) = said(off_site, BACKBLAZE, keys=[key])
    assert found.startswith("pgkeeper_encryption_key ")
    assert "openssl rand -base64 32" in found
    assert key not in found


def test_a_key_that_would_be_lost_is_said_without_showing_it(off_site: ModuleType) -> None:
    (found,) = said(off_site, BACKBLAZE, there=[OLDER])
    assert "copies made so far could not be opened any more" in found
    assert KEY not in found
    assert OLDER not in found


def test_the_same_key_and_one_more_and_another_order_lose_nothing(off_site: ModuleType) -> None:
    assert said(off_site, BACKBLAZE, there=[KEY]) == []
    assert said(off_site, BACKBLAZE, keys=[KEY, OLDER], there=[OLDER]) == []
    assert said(off_site, BACKBLAZE, keys=[KEY, OLDER], there=[OLDER, KEY]) == []


def test_an_older_key_that_is_left_out_would_be_lost_too(off_site: ModuleType) -> None:
    assert len(said(off_site, BACKBLAZE, there=[KEY, OLDER])) == 1


def rotated(key: str, there: list[str]) -> list[str]:
    asked: dict[str, Any] = {"key": key, "there": there}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(ROOT), "--rotate"], input=json.dumps(asked), check=True, capture_output=True, text=True
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_a_new_key_takes_the_place_of_another_and_may_be_there_already() -> None:
    assert rotated(KEY, [OLDER]) == []
    assert rotated(KEY, [KEY, OLDER]) == []


@pytest.mark.parametrize(
    ("key", "there", "line"),
    [
        ("secret", [OLDER], "new_encryption_key is too weak"),
        ("", [OLDER], "new_encryption_key is too weak"),
        (OLDER, [KEY, OLDER], "new_encryption_key was in use on this host before"),
        (KEY, [], "there is no key in /etc/pgkeeper/encryption.key"),
    ],
)
def test_a_new_key_that_cannot_be_is_refused(key: str, there: list[str], line: str) -> None:
    (found,) = rotated(key, there)
    assert found.startswith(line)
    assert not key or key not in found
