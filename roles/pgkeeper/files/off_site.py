#!/usr/bin/env python3
"""Say what is missing or wrong where copies go off site, before anything changes. Never says a secret.

Run on the controller with the checkout as an argument, whose own rule says which keys are weak, and one JSON object on stdin, since it
holds secrets:
  settings   what pgkeeper.env will hold, by name
  keys       what the key file will hold: the key in use, then older ones
  there      what the key file on the host holds now
Prints a JSON list of complaints, a line each.

With --rotate as a second argument: `key` is to be the new one, `there` as above. Complains about a key that can't be.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

PROVIDERS = {
    "backblaze": ("BACKBLAZE_BUCKET_NAME", "BACKBLAZE_KEY_ID", "BACKBLAZE_APPLICATION_KEY"),
    "aws": ("AWS_S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "gcs": ("GCS_BUCKET_NAME", "GCS_ACCESS_KEY_ID", "GCS_SECRET_ACCESS_KEY"),
}
REPLICA = ("BACKUP_REPLICA_BUCKET_NAME", "BACKUP_REPLICA_KEY_ID", "BACKUP_REPLICA_KEY")
MAKE_ONE = "make one with openssl rand -base64 32"


# As openssl reads a line.
LONGEST = 1023
NO_KEY = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")
Weakness = Callable[[str], str]


def weakness_of(checkout: Path) -> Weakness:
    """What the checkout knows about keys that can be guessed: why one can, or nothing."""
    spec = importlib.util.spec_from_file_location("strength", checkout / "src/pgkeeper/crypto/strength.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Weakness = module.weakness
    return found


def about_a_key(key: str, name: str, weakness: Weakness) -> Iterator[str]:
    """A key that could be guessed, or that a line of a file can't hold."""
    why = weakness(key)
    if why:
        yield f"{name} is too weak, {why}: {MAKE_ONE}"
    elif len(key.encode()) > LONGEST or NO_KEY.search(key):
        yield f"{name} must be one line of at most {LONGEST} bytes, without a blank at either end: {MAKE_ONE}"


def about_a_bucket(place: str, provider: str, said: tuple[str, str, str], region: str, endpoint: str) -> Iterator[str]:
    """A bucket of which something is not said; `said` is its name, the key's id and the key."""
    if provider not in PROVIDERS:
        yield f"pgkeeper_{place}_provider must say backblaze, aws or gcs"
        return
    bucket, key_id, key = said
    if not bucket:
        yield f"pgkeeper_{place}_bucket must name the bucket that copies go to"
    # On Amazon's own machines a role can stand for both keys.
    if not (key_id and key) and not (provider == "aws" and not key_id and not key):
        missing = [name for name, value in (("key_id", key_id), ("key", key)) if not value]
        yield " and ".join(f"pgkeeper_{place}_{name}" for name in missing) + " must be set for copies off site"
    if provider == "backblaze" and not endpoint:
        yield f"pgkeeper_{place}_endpoint_url must be the address that Backblaze shows beside the bucket, https://s3.….backblazeb2.com"
    if provider == "aws" and not region and not endpoint:
        yield f"pgkeeper_{place}_region must be the region of the bucket, as in eu-central-1"
    if endpoint and not endpoint.startswith(("https://", "http://127.", "http://localhost")):
        yield f"pgkeeper_{place}_endpoint_url must begin with https://"


def about_buckets(settings: dict[str, str]) -> Iterator[str]:
    """What is missing for the buckets that the settings speak of."""

    def said(name: str) -> str:
        return str(settings.get(name, ""))

    provider = said("BACKUP_CLOUD_PROVIDER")
    bucket, key_id, key = (said(name) for name in PROVIDERS.get(provider, ("", "", "")))
    yield from about_a_bucket("cloud", provider, (bucket, key_id, key), said("AWS_REGION"), said("BACKUP_CLOUD_ENDPOINT_URL"))
    replica = said("BACKUP_REPLICA_PROVIDER")
    if not replica:
        return
    name, replica_id, replica_key = (said(name) for name in REPLICA)
    region, endpoint = said("BACKUP_REPLICA_REGION"), said("BACKUP_REPLICA_ENDPOINT_URL")
    yield from about_a_bucket("replica", replica, (name, replica_id, replica_key), region, endpoint)
    places = [(said(f"BACKUP_{place}_ENDPOINT_URL"), said(f"BACKUP_{place}_PREFIX")) for place in ("CLOUD", "REPLICA")]
    if name and (provider, bucket, places[0]) == (replica, name, places[1]):
        yield "pgkeeper_replica_bucket is the bucket that copies go to already: a replica needs another one"


def about_encryption(settings: dict[str, str], keys: list[str], weakness: Weakness) -> Iterator[str]:
    """No key, or one that is none; and no public key."""
    elsewhere = [name for name in ("BACKUP_ENCRYPTION_KEY", "BACKUP_ENCRYPTION_KEY_FILE") if settings.get(name)]
    if settings.get("BACKUP_ENCRYPTION_METHOD") == "age":
        if not settings.get("BACKUP_AGE_RECIPIENTS"):
            yield "pgkeeper_age_recipients must name the public keys (age1...) that copies are encrypted for"
    elif not keys and not elsewhere:
        yield f"pgkeeper_encryption_key must be set, since nothing leaves a host unencrypted: {MAKE_ONE}, and keep it in Ansible Vault"
    if keys and "BACKUP_ENCRYPTION_KEY" in elsewhere:
        yield "BACKUP_ENCRYPTION_KEY in pgkeeper_settings contradicts pgkeeper_encryption_key: remove it"
    yield from (line for key in keys[:1] for line in about_a_key(key, "pgkeeper_encryption_key", weakness))
    # They may be weak: they are in use already.
    if any("\n" in key or "\r" in key for key in keys[1:]):
        yield "pgkeeper_encryption_older_keys must hold one key an entry, without line breaks"


def about_lost_keys(keys: list[str], there: list[str]) -> Iterator[str]:
    """Keys that are on the host, and would not be any more."""
    # Where the variable is empty, the file on the host stays as it is.
    if keys and set(there) - set(keys):
        yield (
            "a key in /etc/pgkeeper/encryption.key on this host is neither pgkeeper_encryption_key nor in pgkeeper_encryption_older_keys:"
            " copies made so far could not be opened any more; add it to pgkeeper_encryption_older_keys"
        )


def about_a_new_key(key: str, there: list[str], weakness: Weakness) -> Iterator[str]:
    """A key that can't take the place of the one that is there. The same one can: then there is nothing left to do."""
    yield from about_a_key(key, "new_encryption_key", weakness)
    if not there:
        yield "there is no key in /etc/pgkeeper/encryption.key that could be followed by another: deploy copies off site first"
    elif key in there[1:]:
        yield f"new_encryption_key was in use on this host before, and given up: {MAKE_ONE}"


def complaints(asked: dict[str, Any], weakness: Weakness) -> list[str]:
    """All that is missing or wrong, one line each."""
    settings, keys = asked["settings"], asked["keys"]
    return [*about_buckets(settings), *about_encryption(settings, keys, weakness), *about_lost_keys(keys, asked["there"])]


def main() -> int:
    """Print the complaints."""
    checkout, *rotate = sys.argv[1:]
    asked, weakness = json.load(sys.stdin), weakness_of(Path(checkout))
    json.dump(list(about_a_new_key(asked["key"], asked["there"], weakness)) if rotate else complaints(asked, weakness), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
