"""Who signs documents."""

import stat
from pathlib import Path

import pytest

from pgkeeper.crypto.signer import Signer, is_signer, open_signed
from pgkeeper.model.errors import IntegrityError, OperationFailed


def test_a_signer_is_made_once_and_belongs_to_the_host_alone(tmp_path: Path) -> None:
    signer = Signer(tmp_path / "state")
    assert signer.existing_name() is None
    name = signer.name
    assert name == signer.name == signer.existing_name() == Signer(tmp_path / "state").name != Signer(tmp_path / "other").name
    assert is_signer(name)
    assert stat.S_IMODE((tmp_path / "state" / "signing.key").stat().st_mode) == 0o600


def test_a_lost_key_is_not_believed_unless_it_is_named(tmp_path: Path) -> None:
    signer = Signer(tmp_path)
    content, lost = signer.close("copy", {"a": 1}), signer.name
    (tmp_path / "signing.key").unlink()
    with pytest.raises(IntegrityError, match="does not trust"):
        open_signed("copy", content, {signer.name})
    assert open_signed("copy", content, {signer.name, lost})["a"] == 1


def test_every_name_has_one_spelling(tmp_path: Path) -> None:
    name = Signer(tmp_path).name
    for other in (
        name[:-1],
        name + "=",
        name + "A",
        name.upper(),
        f" {name}",
        f"{name}\n",
        name.removeprefix("pgkeeper-signer-"),
        name[:-1] + "B",
    ):
        assert not is_signer(other)


def test_a_key_of_another_length_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "signing.key").write_bytes(b"x" * 31)
    with pytest.raises(OperationFailed, match=r"signing\.key.*31 bytes"):
        Signer(tmp_path).close("copy", {})
    assert (tmp_path / "signing.key").read_bytes() == b"x" * 31
