"""When a checkout makes the same release, and when another."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "src/pgkeeper").mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "requirements/runtime.lock").write_text("rich==1\n")
    (tmp_path / "src/pgkeeper/__init__.py").write_text('__version__ = "1.2.3"\n')
    return tmp_path


def test_the_version_is_read_without_running_the_package(source_identity: ModuleType, checkout: Path) -> None:
    (checkout / "src/pgkeeper/__init__.py").write_text('import nothing_of_this_name\n__version__: str = "1.2.3"\n')
    assert source_identity.version(checkout) == "1.2.3"


def test_a_package_without_a_version_is_refused(source_identity: ModuleType, checkout: Path) -> None:
    (checkout / "src/pgkeeper/__init__.py").write_text("")
    with pytest.raises(ValueError, match="__version__"):
        source_identity.version(checkout)


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements/runtime.lock", "src/pgkeeper/__init__.py", "src/new"])
def test_whatever_goes_into_a_release_makes_another_one(source_identity: ModuleType, checkout: Path, name: str) -> None:
    before = source_identity.source_hash(checkout)
    with (checkout / name).open("a") as file:
        file.write("\n")
    assert source_identity.source_hash(checkout) != before


def test_a_moved_line_between_files_makes_another_one(source_identity: ModuleType, checkout: Path) -> None:
    (checkout / "src/a").write_text("12")
    (checkout / "src/b").write_text("3")
    before = source_identity.source_hash(checkout)
    (checkout / "src/a").write_text("1")
    (checkout / "src/b").write_text("23")
    assert source_identity.source_hash(checkout) != before


def test_a_playbook_or_a_compiled_file_does_not(source_identity: ModuleType, checkout: Path) -> None:
    before = source_identity.source_hash(checkout)
    (checkout / "playbooks").mkdir()
    (checkout / "playbooks/deploy.yml").write_text("---\n")
    (checkout / "src/pgkeeper/__pycache__").mkdir()
    (checkout / "src/pgkeeper/__pycache__/x.pyc").write_bytes(b"x")
    assert source_identity.source_hash(checkout) == before


def test_this_checkout_has_an_identity(source_identity: ModuleType, root: Path) -> None:
    from pgkeeper import __version__

    assert source_identity.version(root) == __version__
    assert len(source_identity.source_hash(root)) == source_identity.HASH_LENGTH
