"""Showing progress."""

import pytest

from pgkeeper.cli.progress import LineProgress


def test_a_pipe_gets_plain_lines_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 5.0, 20.0, 25.0, 40.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    lines = LineProgress()
    lines.phase("dump of app")
    for done in (1, 500, 600, 1000):
        lines.advance(done * 10**6, 10**9)
    assert capsys.readouterr().err == (
        "dump of app\ndump of app · 500 MB · 50 % · 25.0 MB/s · 20 s left\ndump of app · 1.00 GB · 100 % · 25.0 MB/s · 0.0 s left\n"
    )
