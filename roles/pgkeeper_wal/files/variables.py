#!/usr/bin/env python3
"""Say what is missing or wrong in the role's variables, before anything changes. Never says a secret.

Run on the controller with one JSON object on stdin, since it holds secrets:
  repository   directory of the local repository
  apart        directories that it must not lie in, nor they in it
  paths        directories and files by the variable that names them
  stanza       pgBackRest's name for the cluster
  days         days of retention
  endpoint     address of the provider of the repository off site; empty where there is none
  key          its encryption key
  options      the options of the repository off site, as they would be written
  there        those that the host has now
Prints a JSON list of complaints, a line each.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Iterator

PLAIN_PATH = re.compile(r"/[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+)+")
STANZA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# It can't be changed later, so it is asked for more than a key of copies, which can.
SHORTEST_KEY = 32
FEWEST_CHARACTERS = 12
MAKE_ONE = "make one with openssl rand -base64 32"
# A repository is another one when one of these is another.
WHICH = ("repo2-path", "repo2-s3-bucket", "repo2-s3-endpoint")


def inside(path: str, other: str) -> bool:
    """Whether the path is the other one or lies below it."""
    return f"{path}/".startswith(f"{other}/")


def about_paths(asked: dict[str, Any]) -> Iterator[str]:
    """Paths that a configuration file or a command line can't hold, and a repository that shares its place."""
    for name, path in asked["paths"].items():
        if not PLAIN_PATH.fullmatch(path) or "/../" in f"{path}/" or "/./" in f"{path}/":
            yield f"{name} must be an absolute path of letters, digits, dots, dashes and slashes: {path}"
    repository = asked["repository"]
    for other in asked["apart"]:
        if inside(repository, other) or inside(other, repository):
            yield f"pgkeeper_wal_repository and {other} must not lie in one another"


def about_names(asked: dict[str, Any]) -> Iterator[str]:
    """A stanza that pgBackRest does not take, and a window without a day."""
    if not STANZA.fullmatch(asked["stanza"]):
        yield "pgkeeper_pitr_stanza must be letters, digits, dots, dashes and underscores"
    if asked["days"] < 1:
        yield "pgkeeper_pitr_retention_days must be at least 1"


def about_off_site(asked: dict[str, Any]) -> Iterator[str]:
    """A repository off site that pgBackRest could not reach, or that anybody could read."""
    if not asked["endpoint"]:
        return
    if not asked["endpoint"].startswith("https://"):
        yield "pgkeeper_cloud_endpoint_url must begin with https://, as pgBackRest knows no other"
    key = asked["key"]
    if not key:
        line = "pgkeeper_wal_encryption_key must be set, since nothing leaves a host unencrypted"
        yield f"{line}: {MAKE_ONE}, and keep it in Ansible Vault"
    elif len(key) < SHORTEST_KEY or len(set(key)) < FEWEST_CHARACTERS:
        needs = f"it needs {SHORTEST_KEY} characters, {FEWEST_CHARACTERS} of them different"
        yield f"pgkeeper_wal_encryption_key is too weak, {needs}: {MAKE_ONE}"
    elif not key.isprintable() or not key.isascii() or key != key.strip():
        yield f"pgkeeper_wal_encryption_key must be one line of ASCII without a blank at either end: {MAKE_ONE}"
    else:
        yield from about_a_changed_key(asked["options"], asked["there"], key)


def about_a_changed_key(options: dict[str, Any], there: dict[str, str], key: str) -> Iterator[str]:
    """Another key for the same repository, which only its own opens. Where the bucket is another, so may the key be."""
    same = all(str(options[name]) == there.get(name) for name in WHICH)
    if same and there.get("repo2-cipher-pass", key) != key:
        yield (
            "pgkeeper_wal_encryption_key is not the one that the repository off site was made with, and nothing else opens it:"
            " set that one again; docs/pitr.md says how to begin a new repository with a new key"
        )


def complaints(asked: dict[str, Any]) -> list[str]:
    """All that is missing or wrong, one line each."""
    return [*about_paths(asked), *about_names(asked), *about_off_site(asked)]


def main() -> int:
    """Print the complaints."""
    json.dump(complaints(json.load(sys.stdin)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
