"""Public and private keys of age."""

from pathlib import Path

import pyrage
import pytest

from pgkeeper.crypto.age_keys import age_identities, age_recipients
from pgkeeper.model.errors import ConfigurationError
from tests.unit.crypto.keys import secret_file, settings_of

ONE, TWO = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()


def identities_in(path: Path, content: str) -> list[str]:
    return [str(identity) for identity in age_identities(settings_of(age_identity_file=secret_file(path, content.encode())))]


@pytest.mark.parametrize(
    "content",
    [f"{ONE}", f"# created: today\n# public key: {ONE.to_public()}\n{ONE}\n", f"{ONE}\r\n", f"\n  {ONE} \n\n"],
    ids=["alone", "comments", "carriage return", "blanks"],
)
def test_an_identity_file_is_read_as_age_keygen_writes_it(tmp_path: Path, content: str) -> None:
    assert identities_in(tmp_path / "identity", content) == [str(ONE)]


def test_several_identities_are_all_read(tmp_path: Path) -> None:
    assert identities_in(tmp_path / "identity", f"{ONE}\n# older\n{TWO}\n") == [str(ONE), str(TWO)]
    assert age_identities(settings_of()) == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no private key"),
        ("# only this\n", "no private key"),
        (f"{ONE}\n{str(TWO)[:-1]}\n", "line 2 is no private key"),
        (str(ONE.to_public()), "line 1 is no private key"),
        ("age-encryption.org/v1\n-> scrypt x 18\n", "encrypted itself"),
        ("-----BEGIN AGE ENCRYPTED FILE-----\n", "encrypted itself"),
        ("\udcff", "line 1 is no private key"),
    ],
    ids=["empty", "comments", "cut off", "public key", "password", "armored", "no text"],
)
def test_what_is_no_identity_file_is_refused_without_showing_it(tmp_path: Path, content: str, words: str) -> None:
    path = secret_file(tmp_path / "identity", content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=words) as caught:
        age_identities(settings_of(age_identity_file=path))
    assert "BACKUP_AGE_IDENTITY_FILE" in str(caught.value)
    assert str(TWO)[16:40] not in str(caught.value) + repr(caught.value.__context__)


def test_an_identity_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="chmod 600"):
        age_identities(settings_of(age_identity_file=secret_file(tmp_path / "identity", str(ONE).encode(), 0o640)))


def test_a_private_key_among_the_recipients_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"word 2 .*keep it off this host") as caught:
        age_recipients(settings_of(age_recipients=f"{ONE.to_public()} {TWO}"))
    assert str(TWO)[16:40] not in str(caught.value) + repr(caught.value.__context__)


def test_recipients_are_sorted_and_each_counts_once() -> None:
    keys = [str(pyrage.x25519.Identity.generate().to_public()) for _ in range(10)]
    assert age_recipients(settings_of(age_recipients=f"{' '.join(keys)}, {','.join(keys)}")) == tuple(sorted(keys))
