"""A control file for programs that want to see the cluster's, where the cluster is lost."""

import struct
from pathlib import Path

from pgkeeper.host.processes import run
from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.programs import program

_SECONDS = 120
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected (Castagnoli), as port/pg_crc32c.h
_SHORTEST, _LONGEST = 64, 1024


def control_stand_in(directory: Path, major: int, system_identifier: str) -> Path:
    """Make, in `directory`, as much of a data directory as tells of which cluster it is; return it. Nothing can run on it.

    It is an empty cluster's of that major version, with another system identifier, the first eight bytes of the control file
    (catalog/pg_control.h). Raises OperationFailed, ConfigurationError where that major is not installed.
    """
    data = directory / "data"
    options = ["--auth=reject", "--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C"]
    run([program("initdb", major, same=True), "-D", data, *options], {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, timeout=_SECONDS)
    path = data / "global" / "pg_control"
    content = path.read_bytes()
    # Where the checksum stands depends on the version: behind everything that it covers.
    size = next((size for size in range(_SHORTEST, _LONGEST, 4) if _crc(content[:size]) == _number(content, size)), None)
    if size is None:
        raise OperationFailed("the control file of an empty cluster is not understood", f"PostgreSQL {major}")
    content = struct.pack("=Q", int(system_identifier)) + content[8:]
    path.write_bytes(content[:size] + struct.pack("=I", _crc(content[:size])) + content[size + 4 :])
    return data


def _number(content: bytes, at: int) -> int:
    (number,) = struct.unpack_from("=I", content, at)
    return int(number)


def _crc(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
