"""Object storage for the tests of what uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.support.object_storage import object_storage


@pytest.fixture(scope="session")
def storage() -> Iterator[str]:
    """The address of a server that takes everything."""
    with object_storage() as url:
        yield url
