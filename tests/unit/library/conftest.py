"""Make Ansible's side importable: modules by their own name, and module_utils where Ansible would pack it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import ansible.module_utils
import pytest

ROOT = Path(__file__).parents[3]

ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
sys.path.append(str(ROOT / "library"))


def load(path: Path) -> ModuleType:
    """Load a Python file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def probe() -> ModuleType:
    return load(ROOT / "roles/pgkeeper/files/probe_host.py")


@pytest.fixture(scope="session")
def probe_cluster() -> ModuleType:
    return load(ROOT / "roles/pgkeeper_wal/files/probe_cluster.py")


@pytest.fixture(scope="session")
def wal_variables() -> ModuleType:
    return load(ROOT / "roles/pgkeeper_wal/files/variables.py")


@pytest.fixture(scope="session")
def source_identity() -> ModuleType:
    return load(ROOT / "roles/pgkeeper/files/source_identity.py")


@pytest.fixture(scope="session")
def wheelhouse() -> ModuleType:
    return load(ROOT / "roles/pgkeeper/files/wheelhouse.py")


@pytest.fixture(scope="session")
def variable_names() -> ModuleType:
    return load(ROOT / "roles/pgkeeper/files/variable_names.py")


@pytest.fixture(scope="session")
def releases() -> ModuleType:
    return load(ROOT / "roles/pgkeeper/files/releases.py")
