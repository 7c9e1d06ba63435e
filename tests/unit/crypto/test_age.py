"""Method age: files that age opens, from hosts that cannot."""

import base64
import io
import json
import os
import shutil
import string
import subprocess
from pathlib import Path

import pyrage
import pytest

from pgkeeper.crypto.age import AgeOpener
from pgkeeper.crypto.envelope import KeyRing
from pgkeeper.crypto.signer import Signer
from pgkeeper.model.errors import IntegrityError, RefusedError
from tests.contracts.envelope import EnvelopeContract, encrypted, opener_of
from tests.unit.crypto.keys import ring_of, secret_file

SIZES = [0, 1, 65_535, 65_536, 65_537, 1_000_003]
OURS = pyrage.x25519.Identity.generate()
SPARE = pyrage.x25519.Identity.generate()
THEIRS = pyrage.x25519.Identity.generate()


def identity_file(place: Path, *identities: object) -> Path:
    place.mkdir(exist_ok=True)
    return secret_file(place / "identity.txt", "".join(f"# a comment\n{identity}\n" for identity in identities).encode())


def age_ring(place: Path, identity: object, **values: object) -> KeyRing:
    recipient = str(identity.to_public())  # type: ignore[attr-defined]
    return ring_of(place, encryption_method="age", age_recipients=recipient, age_identity_file=identity_file(place, identity), **values)


class TestAge(EnvelopeContract):
    @pytest.fixture
    def ring(self, tmp_path: Path) -> KeyRing:
        return age_ring(tmp_path / "ours", OURS)

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> KeyRing:
        return age_ring(tmp_path / "theirs", THEIRS)

    @pytest.fixture
    def secrets(self, tmp_path: Path, ring: KeyRing) -> tuple[str, ...]:
        ring.sealer().seal("copy", {})
        key = (tmp_path / "ours" / "signing.key").read_bytes()
        return (str(OURS), str(OURS)[20:], key.hex(), repr(key)[2:-1])


@pytest.mark.parametrize("size", SIZES)
def test_other_programs_open_what_we_encrypt(tmp_path: Path, size: int) -> None:
    plain = os.urandom(size)
    ciphertext = encrypted(age_ring(tmp_path, OURS).sealer(), plain)
    assert pyrage.decrypt(ciphertext, [OURS]) == plain
    if shutil.which("age"):
        done = subprocess.run(["age", "-d", "-i", tmp_path / "identity.txt"], input=ciphertext, check=True, capture_output=True)
        assert done.stdout == plain


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_other_programs_encrypt(tmp_path: Path, size: int) -> None:
    plain, recipient = os.urandom(size), OURS.to_public()
    made = [pyrage.encrypt(plain, [recipient])]
    if shutil.which("age"):
        made.append(subprocess.run(["age", "-r", str(recipient)], input=plain, check=True, capture_output=True).stdout)
    for ciphertext in made:
        assert b"".join(opener_of(age_ring(tmp_path, OURS)).decrypt([ciphertext])) == plain


def test_each_recipient_opens_it_alone(tmp_path: Path) -> None:
    both = f"{OURS.to_public()}, {SPARE.to_public()}"
    ciphertext = encrypted(ring_of(tmp_path, encryption_method="age", age_recipients=both).sealer(), b"plain")
    for identity in (OURS, SPARE):
        assert b"".join(AgeOpener("0" * 16, [identity]).decrypt([ciphertext])) == b"plain"
    assert b"".join(AgeOpener("0" * 16, [THEIRS, SPARE]).decrypt([ciphertext])) == b"plain"


def test_a_key_id_stands_for_the_recipients_in_any_order(tmp_path: Path) -> None:
    def key_id(*recipients: object) -> str:
        return ring_of(tmp_path, encryption_method="age", age_recipients=" ".join(map(str, recipients))).sealer().key_id

    one, two = OURS.to_public(), SPARE.to_public()
    assert key_id(one, two) == key_id(two, one) == key_id(two, one, one)
    assert len({key_id(one, two), key_id(one), key_id(two)}) == 3


def test_without_an_identity_a_host_checks_but_does_not_open(tmp_path: Path) -> None:
    ring = ring_of(tmp_path, encryption_method="age", age_recipients=str(OURS.to_public()))
    sealer, opener = ring.sealer(), opener_of(ring)
    ciphertext = encrypted(sealer, b"plain")
    assert not opener.can_decrypt
    assert opener.tag("a", 0, ciphertext) == sealer.tag("a", 0, ciphertext)
    assert ring.open("copy", sealer.seal("copy", {"a": 1})) == {"a": 1}
    with pytest.raises(RefusedError, match="BACKUP_AGE_IDENTITY_FILE") as caught:
        list(opener.decrypt([ciphertext]))
    assert caught.value.exit_status == 6


def test_a_wrong_identity_is_told_from_damage(tmp_path: Path) -> None:
    ciphertext = encrypted(age_ring(tmp_path, OURS).sealer(), b"plain")
    with pytest.raises(IntegrityError, match="for others") as caught:
        list(AgeOpener("0" * 16, [THEIRS]).decrypt([ciphertext]))
    assert caught.value.exit_status == 4
    with pytest.raises(IntegrityError, match="damaged"):
        list(AgeOpener("0" * 16, [OURS]).decrypt([ciphertext[:-1]]))


def test_what_comes_before_damage_is_genuine(tmp_path: Path) -> None:
    plain = os.urandom(5 << 20)
    ciphertext = bytearray(encrypted(age_ring(tmp_path, OURS).sealer(), plain))
    ciphertext[-100] ^= 1
    got = io.BytesIO()
    with pytest.raises(IntegrityError, match="damaged"):
        got.writelines(AgeOpener("0" * 16, [OURS]).decrypt([bytes(ciphertext)]))
    assert plain.startswith(got.getvalue())
    assert len(got.getvalue()) >= 4 << 20


def test_a_salt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="repeated"):
        next(age_ring(tmp_path, OURS).sealer().encrypt([], b"12345678"))


def test_signers_that_are_named_are_believed_and_no_others(tmp_path: Path) -> None:
    (one, two) = (tmp_path / "one", tmp_path / "two")
    content = age_ring(one, OURS).sealer().seal("copy", {"a": 1})
    name = Signer(one).name
    assert json.loads(content)["signer"] == name
    with pytest.raises(IntegrityError, match=f"{name}, whom this host does not trust .*BACKUP_AGE_SIGNERS"):
        age_ring(two, OURS).open("copy", content)
    assert age_ring(two, OURS, age_signers=name).open("copy", content) == {"a": 1}


def test_who_has_the_public_key_can_not_sign_in_another_name(tmp_path: Path) -> None:
    ours, theirs = age_ring(tmp_path / "ours", OURS), age_ring(tmp_path / "theirs", OURS)
    genuine, forged = json.loads(ours.sealer().seal("copy", {"a": 1})), json.loads(theirs.sealer().seal("copy", {"a": 2}))
    forged["signer"] = genuine["signer"]
    for content in (
        forged,
        {**forged, "seal": genuine["seal"]},
        {**genuine, "seal": ""},
        {**genuine, "seal": "é"},
        {**genuine, "signer": "x"},
    ):
        with pytest.raises(IntegrityError):
            ours.open("copy", (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    assert ours.open("copy", (json.dumps(genuine, indent=1, sort_keys=True) + "\n").encode()) == {"a": 1}


def test_another_spelling_of_the_same_signature_is_not_genuine(tmp_path: Path) -> None:
    ring = age_ring(tmp_path, OURS)
    genuine = json.loads(ring.sealer().seal("copy", {"a": 1}))
    seal = genuine["seal"]
    others = [f"{seal[:-3]}{letter}==" for letter in string.ascii_letters + string.digits + "+/" if letter != seal[-3]]
    same = [other for other in others if base64.b64decode(other) == base64.b64decode(seal)]
    assert len(same) == 15
    for other in same:
        with pytest.raises(IntegrityError, match="not genuine"):
            ring.open("copy", (json.dumps({**genuine, "seal": other}, indent=1, sort_keys=True) + "\n").encode())
