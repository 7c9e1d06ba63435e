"""Keys for tests, and rings of them."""

import base64
import hashlib
from pathlib import Path

from pgkeeper.crypto.envelope import KeyRing
from pgkeeper.crypto.ring import key_ring
from pgkeeper.off_site_settings import OffSiteSettings
from pgkeeper.settings import Settings

OURS = base64.b64encode(hashlib.sha256(b"ours").digest())
OLDER = base64.b64encode(hashlib.sha256(b"older").digest())
THEIRS = base64.b64encode(hashlib.sha256(b"theirs").digest())


def secret_file(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def ring_of(state_dir: Path, **values: object) -> KeyRing:
    return key_ring(settings_of(**values), state_dir)


def settings_of(**values: object) -> OffSiteSettings:
    return Settings.model_validate(values)
