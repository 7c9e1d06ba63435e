"""All keys of a host: one that encrypts, and those that open."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest

from pgkeeper.crypto.openssl import OpensslKey
from pgkeeper.model.errors import ConfigurationError, IntegrityError
from tests.unit.crypto.keys import OLDER, OURS, THEIRS, ring_of, secret_file

IDENTITY = pyrage.x25519.Identity.generate()
AGE = {"encryption_method": "age", "age_recipients": str(IDENTITY.to_public())}


def test_a_new_first_line_encrypts_and_the_older_ones_still_open(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "key", OLDER + b"\n")
    before = ring_of(tmp_path, encryption_key_file=path).sealer()
    content, ciphertext = before.seal("copy", {"a": 1}), b"".join(before.encrypt([b"plain"]))
    ring = ring_of(tmp_path, encryption_key_file=secret_file(path, OURS + b"\n" + OLDER + b"\n"))
    assert ring.sealer().key_id == OpensslKey(OURS).key_id != before.key_id
    assert ring.open("copy", content) == {"a": 1}
    assert b"".join(ring.opener("openssl", before.key_id).decrypt([ciphertext])) == b"plain"


def test_a_key_that_this_host_does_not_have_is_named(tmp_path: Path) -> None:
    ring = ring_of(tmp_path, encryption_key_file=secret_file(tmp_path / "key", OURS + b"\n" + OLDER))
    theirs, ours, older = (OpensslKey(key).key_id for key in (THEIRS, OURS, OLDER))
    with pytest.raises(IntegrityError, match=f"the copy is sealed with key {theirs}: this host has {ours}, {older}") as caught:
        ring.open("copy", OpensslKey(THEIRS).seal("copy", {}))
    assert caught.value.exit_status == 4
    with pytest.raises(IntegrityError, match=f"encrypted with key {theirs}: this host has {ours}, {older}"):
        ring.opener("openssl", theirs)
    with pytest.raises(IntegrityError, match=f"key {theirs}: this host has none"):
        ring_of(tmp_path, **AGE).opener("openssl", theirs)


def test_a_host_that_changed_its_method_opens_what_it_made_before(tmp_path: Path) -> None:
    key = secret_file(tmp_path / "key", OURS)
    identity = secret_file(tmp_path / "identity", str(IDENTITY).encode())
    everything: dict[str, Any] = {"encryption_key_file": key, "age_identity_file": identity}
    for before, now in (
        (ring_of(tmp_path, encryption_key_file=key), ring_of(tmp_path, **AGE, **everything)),
        (ring_of(tmp_path, **AGE), ring_of(tmp_path, **everything)),
    ):
        sealer = before.sealer()
        assert sealer.method != now.sealer().method
        assert now.open("copy", sealer.seal("copy", {"a": 1})) == {"a": 1}
        opener = now.opener(sealer.method, sealer.key_id)
        assert (opener.method, opener.key_id, opener.can_decrypt) == (sealer.method, sealer.key_id, True)
        assert b"".join(opener.decrypt(sealer.encrypt([b"plain"]))) == b"plain"


def test_a_weak_key_must_not_encrypt_but_may_open(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too easy to guess"):
        ring_of(tmp_path, encryption_key="weak")
    path = secret_file(tmp_path / "key", OURS + b"\nweak")
    assert ring_of(tmp_path, encryption_key_file=path).open("copy", OpensslKey(b"weak").seal("copy", {"a": 1})) == {"a": 1}
    assert ring_of(tmp_path, encryption_key="weak", **AGE).open("copy", OpensslKey(b"weak").seal("copy", {"a": 1})) == {"a": 1}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no key to encrypt with .*BACKUP_ENCRYPTION_KEY_FILE"),
        ({"encryption_method": "age"}, "no public key .*BACKUP_AGE_RECIPIENTS"),
        ({"encryption_method": "age", "age_recipients": "age1xyz"}, "word 1 of BACKUP_AGE_RECIPIENTS"),
        ({**AGE, "age_signers": "pgkeeper-signer-xyz"}, "word 1 of BACKUP_AGE_SIGNERS"),
        ({**AGE, "age_identity_file": "/nowhere"}, "BACKUP_AGE_IDENTITY_FILE names: No such file"),
    ],
)
def test_what_is_missing_or_wrong_is_told_before_anything_is_encrypted(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        ring_of(tmp_path, **values)
    assert caught.value.exit_status == 3


@pytest.mark.parametrize(
    ("name", "value"), [("method", "rot13"), ("method", None), ("key_id", "x" * 16), ("key_id", "0" * 17), ("key_id", [])]
)
def test_a_document_that_does_not_say_how_it_was_sealed_is_not_understood(tmp_path: Path, name: str, value: object) -> None:
    content = {**json.loads(OpensslKey(OURS).seal("copy", {})), name: value}
    with pytest.raises(IntegrityError, match="does not say how it was sealed"):
        ring_of(tmp_path, encryption_key=OURS.decode()).open("copy", json.dumps(content).encode())


def test_what_our_own_key_sealed_without_a_document_is_not_understood(tmp_path: Path) -> None:
    key = OpensslKey(OURS)
    content = key._seal().close("copy", {"method": "openssl", "key_id": key.key_id})
    with pytest.raises(IntegrityError, match="there is no document in it"):
        ring_of(tmp_path, encryption_key=OURS.decode()).open("copy", content)


def test_reading_makes_no_signing_key(tmp_path: Path) -> None:
    content = ring_of(tmp_path / "other", **AGE).sealer().seal("copy", {})
    with pytest.raises(IntegrityError):
        ring_of(tmp_path / "here", **AGE).open("copy", content)
    assert not (tmp_path / "here").exists()


def test_no_library_is_loaded_before_there_is_something_to_do() -> None:
    program = "import sys, pgkeeper.crypto.ring; print(sorted({'cryptography', 'pyrage'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
