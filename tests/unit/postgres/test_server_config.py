"""What a saved configuration says of a setting, whatever somebody put in its place."""

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator

import pytest

from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.server_config import saved_setting

SETTINGS = b"port = '5432'\nshared_preload_libraries = E'a,''b'\n"


def a_tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def cut(text: bytes, size: int) -> Iterator[bytes]:
    return (text[start : start + size] for start in range(0, len(text), size))


@pytest.mark.parametrize("size", [1, 511, 512, 10**6])
def test_a_setting_is_found_however_the_tar_is_cut(size: int) -> None:
    tar = a_tar(postgresql_conf=b"x" * 3000, settings_txt=SETTINGS)
    assert saved_setting(cut(tar, size), "shared_preload_libraries") == "a,'b"
    assert saved_setting(cut(tar, size), "work_mem") == ""


def test_a_tar_without_settings_says_nothing_of_them() -> None:
    assert saved_setting([a_tar(postgresql_conf=b"x")], "work_mem") == ""


@pytest.mark.parametrize(
    "tar",
    [b"", b"garbage", b"garbage" * 1000, b"\0" * 10240, a_tar(settings_txt=SETTINGS)[:700], a_tar(settings_txt=SETTINGS)[:100]],
    ids=["nothing", "short garbage", "garbage", "zeros", "cut in a file", "cut in a header"],
)
def test_what_is_no_whole_tar_is_damage_that_names_the_file(tar: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"server-config\.tar\.gz is damaged"):
        saved_setting([tar], "work_mem")


def test_two_gigabytes_of_zeros_cost_no_memory() -> None:
    program = """
import resource
from pgkeeper.model.errors import IntegrityError
from pgkeeper.postgres.server_config import saved_setting
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for content in (bytes(1 << 20), b"x" * (1 << 20)):
    try:
        saved_setting((content for _ in range(2048)), "work_mem")
    except IntegrityError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *said, grown = done.stdout.splitlines()
    assert len(said) == 2
    assert "server-config.tar.gz is damaged" in said[0]
    assert int(grown) < 150 << 10, f"{grown} KiB"
