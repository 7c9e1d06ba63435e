"""Method openssl: what the program openssl makes, and nothing else."""

import hashlib
import hmac
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgkeeper.crypto.derive import derived_key
from pgkeeper.crypto.envelope import KeyRing
from pgkeeper.crypto.openssl import OpensslKey
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.seal import Seal
from tests.contracts.envelope import EnvelopeContract
from tests.unit.crypto.keys import OURS, THEIRS, ring_of

# As the backup strategy has them.
ENCRYPT = "openssl enc -aes-256-cbc -salt -pbkdf2 -in backup.sql.gz -out backup.sql.gz.enc -pass env:BACKUP_ENCRYPTION_KEY"
DECRYPT = "openssl enc -aes-256-cbc -d -pbkdf2 -in backup.sql.gz.enc -out backup.sql.gz -pass env:BACKUP_ENCRYPTION_KEY"
SIZES = [0, 1, 15, 16, 17, 8191, 8192, 65_536, 1_000_003]
KEY = OpensslKey(OURS)


class TestOpenssl(EnvelopeContract):
    @pytest.fixture
    def ring(self, tmp_path: Path) -> KeyRing:
        return ring_of(tmp_path / "ours", encryption_key=OURS.decode())

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> KeyRing:
        return ring_of(tmp_path / "theirs", encryption_key=THEIRS.decode())

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        return (OURS.decode(), repr(OURS), OURS.hex())


def openssl(command: str, place: Path, key: bytes = OURS) -> None:
    environment = {b"PATH": os.environb[b"PATH"], b"BACKUP_ENCRYPTION_KEY": key}
    subprocess.run(command.split(), cwd=place, env=environment, check=True, capture_output=True)


@pytest.mark.parametrize("size", SIZES)
def test_openssl_alone_opens_what_we_encrypt(tmp_path: Path, size: int) -> None:
    plain = os.urandom(size)
    (tmp_path / "backup.sql.gz.enc").write_bytes(b"".join(KEY.encrypt([plain])))
    openssl(DECRYPT, tmp_path)
    assert (tmp_path / "backup.sql.gz").read_bytes() == plain


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_openssl_encrypts_and_make_the_same_of_it(tmp_path: Path, size: int) -> None:
    plain = os.urandom(size)
    (tmp_path / "backup.sql.gz").write_bytes(plain)
    openssl(ENCRYPT, tmp_path)
    ciphertext = (tmp_path / "backup.sql.gz.enc").read_bytes()
    assert b"".join(KEY.decrypt([ciphertext])) == plain
    assert b"".join(KEY.encrypt([plain], KEY.salt_of(ciphertext[:64]))) == ciphertext


@pytest.mark.parametrize("key", ["Üñ\udcff ключ 鍵".encode("utf-8", "surrogateescape"), b" blanks around ", b"a" * 1023, b"#'\"\\$`"])
def test_a_key_is_what_openssl_takes_it_for(tmp_path: Path, key: bytes) -> None:
    (tmp_path / "backup.sql.gz.enc").write_bytes(b"".join(OpensslKey(key).encrypt([b"plain"])))
    openssl(DECRYPT, tmp_path, key)
    assert (tmp_path / "backup.sql.gz").read_bytes() == b"plain"


@settings(deadline=None, max_examples=30)
@given(plain=st.binary(max_size=100), missing=st.integers(1, 15))
def test_a_file_that_is_no_whole_number_of_blocks_is_cut_off(plain: bytes, missing: int) -> None:
    ciphertext = b"".join(KEY.encrypt([plain]))
    for pieces in ([ciphertext[:-missing]], [ciphertext[:20], ciphertext[20:-missing]]):
        with pytest.raises(IntegrityError, match="cut off"):
            list(KEY.decrypt(pieces))


def test_the_beginning_alone_is_cut_off() -> None:
    with pytest.raises(IntegrityError, match="cut off"):
        list(KEY.decrypt([b"Salted__12345678"]))


@pytest.mark.parametrize("padding", [0, 17, 32])
def test_padding_of_another_length_is_no_padding(padding: int) -> None:
    ciphertext = b"Salted__somesalt" + KEY._cipher(b"somesalt").encryptor().update(bytes([padding]) * 32)
    with pytest.raises(IntegrityError, match="makes no sense"):
        list(KEY.decrypt([ciphertext]))


def test_the_last_block_comes_only_with_its_padding() -> None:
    ciphertext = b"".join(KEY.encrypt([bytes(160)], b"somesalt"))
    pieces: list[bytes] = []
    with pytest.raises(IntegrityError, match="makes no sense"):
        pieces.extend(KEY.decrypt([ciphertext[:64], ciphertext[64:-16]]))
    with pytest.raises(IntegrityError, match="makes no sense"):
        pieces += KEY.decrypt([ciphertext[:-32], ciphertext[-32:-16]])


@pytest.mark.parametrize("beginning", [b"", b"Salted__1234567", b"salted__12345678", b"age-encryption.org/v1"])
def test_other_beginnings_have_no_salt(beginning: bytes) -> None:
    assert KEY.salt_of(beginning) is None


@pytest.mark.parametrize("salt", [b"", b"1234567", b"123456789"])
def test_a_salt_of_another_length_is_no_salt(salt: bytes) -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        next(KEY.encrypt([], salt))


def test_keys_for_different_ends_differ() -> None:
    """As they would not if a label were forgotten: key id, tag and seal each have their own."""
    labels = ("key id", "tag", "seal")
    assert len({derived_key(OURS, label) for label in labels}) == 3
    master = hashlib.pbkdf2_hmac("sha256", OURS, b"pgkeeper/1 master", 200_000, 32)
    for label in labels:
        # HKDF-Expand (RFC 5869) of one block.
        assert derived_key(OURS, label) == hmac.new(master, f"pgkeeper/1 {label}\1".encode(), hashlib.sha256).digest()
    assert KEY.key_id == derived_key(OURS, "key id").hex()[:16]
    piece = (1).to_bytes(8, "big") + b"a" + (2).to_bytes(8, "big") + b"piece"
    assert KEY.tag("a", 2, b"piece") == hmac.new(derived_key(OURS, "tag"), piece, hashlib.sha256).hexdigest()
    assert Seal(derived_key(OURS, "seal")).open("copy", KEY.seal("copy", {"a": 1}))["document"] == {"a": 1}
