"""Encryption keys: we take them for what openssl takes them for, or not at all."""

import os
import subprocess
from pathlib import Path

import pytest

from pgkeeper.crypto.keys import encryption_keys, refuse_weak_key
from pgkeeper.crypto.openssl import OpensslKey
from pgkeeper.model.errors import ConfigurationError
from tests.unit.crypto.keys import OLDER, OURS, secret_file, settings_of

LONGEST = bytes(0x21 + number % 90 for number in range(1023))


def keys_in(path: Path, content: bytes) -> tuple[bytes, ...]:
    return encryption_keys(settings_of(encryption_key_file=secret_file(path, content)))


def encrypted_by_openssl(key_file: Path) -> bytes:
    """What `openssl` makes of the word "plain" with the key in a file, as it reads it."""
    command = ["openssl", "enc", "-aes-256-cbc", "-salt", "-pbkdf2", "-pass", f"file:{key_file}"]
    return subprocess.run(command, input=b"plain", capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (OURS + b"\n", [OURS]),
        (OURS, [OURS]),
        (OURS + b"\n" + OLDER + b"\n", [OURS, OLDER]),
        (OURS + b"\n\n \n" + OLDER, [OURS, OLDER]),
        (OURS + b"\n" + OURS + b"\n", [OURS]),
        (OURS + b"\nweak\n", [OURS, b"weak"]),
        (b"  blanks around and  inside ", [b"  blanks around and  inside "]),
        (b"#not a comment\n", [b"#not a comment"]),
        ("ключ\n".encode(), ["ключ".encode()]),
        (b"caf\xe9 in latin-1\n", [b"caf\xe9 in latin-1"]),
        (LONGEST + b"\n", [LONGEST]),
        (LONGEST, [LONGEST]),
    ],
)
def test_the_first_line_is_the_key_as_openssl_reads_it(tmp_path: Path, content: bytes, keys: list[bytes]) -> None:
    path = tmp_path / "key"
    assert list(keys_in(path, content)) == keys
    assert b"".join(OpensslKey(keys[0]).decrypt([encrypted_by_openssl(path)])) == b"plain"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no key in the first line"),
        (b"\n" + OURS, "no key in the first line"),
        (b"  \n", "no key in the first line"),
        (OURS + b"\r\n", "carriage return"),
        (OURS + b"\n" + OLDER + b"\r\n", "line 2 .*carriage return"),
        (OURS[:20] + b"\r" + OURS[20:], "control characters"),
        (b"\xef\xbb\xbf" + OURS, "byte order mark"),
        ((OURS.decode() + "\n").encode("utf-16"), "control characters"),
        (OURS[:30] + b"\0" + OURS[30:], "control characters"),
        (LONGEST + b"x\n", "longer than the 1023 bytes"),
        (LONGEST + b"x", "longer than the 1023 bytes"),
        (OURS + b"\n" + LONGEST + b"x", "line 2 .*longer than"),
        (b"x" * 70_000, "larger than 64 KiB"),
    ],
)
def test_what_people_and_openssl_would_read_differently_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        keys_in(tmp_path / "key", content)
    assert caught.value.exit_status == 3
    assert str(tmp_path / "key") in str(caught.value)
    assert OURS[:20].decode() not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "taken"), [(b"key\r\n", b"key\r"), (b"\xef\xbb\xbfkey", b"\xef\xbb\xbfkey"), (b"ke\0y", b"ke"), (LONGEST + b"x", LONGEST)]
)
def test_openssl_does_read_those_differently(tmp_path: Path, content: bytes, taken: bytes) -> None:
    ciphertext = encrypted_by_openssl(secret_file(tmp_path / "key", content))
    assert b"".join(OpensslKey(taken).decrypt([ciphertext])) == b"plain"


def test_a_key_in_the_settings_is_checked_the_same() -> None:
    assert encryption_keys(settings_of(encryption_key=OURS.decode())) == (OURS,)
    assert encryption_keys(settings_of()) == ()
    for key in (OURS.decode() + "\r", "a\nb", "x" * 1024):
        with pytest.raises(ConfigurationError, match="BACKUP_ENCRYPTION_KEY:"):
            encryption_keys(settings_of(encryption_key=key))


@pytest.mark.parametrize(
    "key", [b"short", b"password" * 5, os.urandom(23).hex().encode()[:23]], ids=["short", "repeated", "random, but short"]
)
def test_a_weak_key_is_refused_without_showing_it(key: bytes) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32") as caught:
        refuse_weak_key(key)
    assert caught.value.exit_status == 3
    assert key.decode() not in str(caught.value)


def test_no_error_of_a_key_holds_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        keys_in(tmp_path / "key", b"verysecret\r\n")
    assert "verysecret" not in repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)
