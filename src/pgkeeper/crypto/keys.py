"""Encryption keys: one in the settings, or a file of them.

openssl reads the first line of the file (`-pass file:`): that is the key. Further lines are older keys, which still open. A key is taken
byte for byte as openssl takes it, blanks included. What openssl would take otherwise than people see it is refused: it cuts a line at
1023 bytes and at a byte 0, and counts a carriage return and a byte order mark in.
"""

from pgkeeper.crypto.secret_file import read_secret_file
from pgkeeper.crypto.strength import weakness
from pgkeeper.model.errors import ConfigurationError
from pgkeeper.off_site_settings import OffSiteSettings

_KEY = "BACKUP_ENCRYPTION_KEY"
_KEY_FILE = "BACKUP_ENCRYPTION_KEY_FILE"
_MAX_BYTES = 1023
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEW_KEY = "make one with `openssl rand -base64 32`"


def encryption_keys(settings: OffSiteSettings) -> tuple[bytes, ...]:
    """Return the keys, the one that encrypts first; none where none is set.

    Raises ConfigurationError (exit status 3) for a file that can't be used and for what openssl would take for another key.
    """
    if settings.encryption_key_file is None:
        key = settings.encryption_key.get_secret_value().encode("utf-8", "surrogateescape")
        return (_checked(key, _KEY),) if key else ()
    path = settings.encryption_key_file
    first, *others = read_secret_file(path, _KEY_FILE).split(b"\n")
    if not first.strip():
        raise ConfigurationError(f"there is no key in the first line of {path}", "", f"{_NEW_KEY} > {path}")
    keys = [_checked(first, f"the first line of {path}")]
    keys += [_checked(line, f"line {number} of {path}") for number, line in enumerate(others, 2) if line.strip()]
    return tuple(dict.fromkeys(keys))


def refuse_weak_key(key: bytes) -> None:
    """Raise ConfigurationError (exit status 3) for a key that can be guessed, and must not encrypt anything."""
    if why := weakness(key.decode("utf-8", "surrogateescape")):
        raise ConfigurationError("the encryption key is too easy to guess", why, _NEW_KEY)


def _checked(key: bytes, where: str) -> bytes:
    if len(key) > _MAX_BYTES:
        raise _refused(where, f"is longer than the {_MAX_BYTES} bytes that openssl reads", _NEW_KEY)
    if key.startswith(_BYTE_ORDER_MARK):
        raise _refused(where, "begins with a byte order mark, which openssl takes for a part of the key", "save it as UTF-8 without one")
    if key.endswith(b"\r"):
        raise _refused(where, "ends in a carriage return, which openssl takes for a part of the key", "end lines as Unix does")
    if any(byte < 0x20 or byte == 0x7F for byte in key):
        raise _refused(where, "holds control characters: that is no text", _NEW_KEY)
    return key


def _refused(where: str, why: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"cannot use the key in {where}", f"it {why}", hint)
