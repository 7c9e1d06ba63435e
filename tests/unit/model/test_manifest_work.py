"""Reading a manifest writes it anew once, to see that it is canonical: with very many backups that is what a list takes."""

import pytest

from pgkeeper.model import manifest as module
from pgkeeper.model.manifest import dump_manifest, parse_manifest
from tests.unit.builders import manifest


def test_a_manifest_is_written_anew_once_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = manifest()
    content = dump_manifest(whole)
    written = []
    canonical = module._canonical

    def counting(data: dict[str, object]) -> bytes:
        written.append(1)
        return canonical(data)

    monkeypatch.setattr(module, "_canonical", counting)
    assert parse_manifest(content, whole.backup_id) == whole
    assert len(written) == 1
