"""A rebuilt server finds in a backup how the old one was set up."""

from __future__ import annotations

import tarfile

from .support.history import newest
from .support.product import Pgkeeper


def test_settings_that_a_server_was_started_with_are_saved_too(pgkeeper: Pgkeeper) -> None:
    pgkeeper.create_database("app")
    pgkeeper.cluster.stop()
    # As Patroni and container images start it.
    pgkeeper.cluster.start("work_mem=7MB", "shared_preload_libraries=auto_explain")
    try:
        pgkeeper.backup("app")
    finally:
        pgkeeper.cluster.stop()
        pgkeeper.cluster.start()
    with tarfile.open(newest(pgkeeper, "app") / "server-config.tar.gz") as archive:
        file = archive.extractfile("settings.txt")
        assert file is not None
        settings = file.read().decode().splitlines()
    assert {"work_mem = '7MB'", "shared_preload_libraries = 'auto_explain'"} <= set(settings)
