"""What root makes and removes for user postgres, with that user's rights: a planted link leads no further than postgres could go."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .support.module import call_module
from .support.product import Pgkeeper
from .support.user import make_service_directory, service_ids

Place = Callable[..., dict[str, Any]]


@pytest.fixture
def ground() -> Iterator[Path]:
    """A directory that root alone may write, as all above it."""
    path = Path(tempfile.mkdtemp(dir="/run", prefix="pgkeeper-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def theirs(ground: Path) -> Path:
    """A directory of user postgres."""
    return make_service_directory(ground / "theirs")


@pytest.fixture
def outside(ground: Path) -> Path:
    """A directory of root's, for everybody to read."""
    path = ground / "outside"
    (path / "sub").mkdir(parents=True)
    (path / "sub" / "kept").write_text("kept\n")
    (path / "kept").write_text("kept\n")
    return path


@pytest.fixture
def place(pgkeeper: Pgkeeper) -> Place:
    """The module."""
    return lambda path, state, **options: call_module(pgkeeper, "pgkeeper_place", path=str(path), state=state, **options)


def picture(top: Path) -> dict[str, tuple[int, int, int, str]]:
    """Everything below a directory, and itself, as it is."""
    found = {}
    for path in (top, *sorted(top.rglob("*"))):
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""
        found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


def owner(path: Path) -> int:
    return path.stat().st_uid


def test_a_directory_is_made_where_root_alone_may_write_and_given_to_postgres(place: Place, ground: Path) -> None:
    path = ground / "one" / "two"
    assert place(path, "directory", check=True)["changed"]
    assert not path.parent.exists()
    assert place(path, "directory", mode="0750")["changed"]
    assert [(owner(made), made.stat().st_mode & 0o7777) for made in (path.parent, path)] == [(service_ids()[0], 0o750)] * 2
    assert not place(path, "directory", mode="0750")["changed"]
    assert place(path, "directory", mode="0700")["diff"]["before"] == "directory of postgres, mode 0750\n"
    assert path.stat().st_mode & 0o7777 == 0o700


def test_a_directory_of_roots_is_given_to_postgres_with_nothing_in_it_touched(place: Place, outside: Path) -> None:
    inside = picture(outside / "sub")
    assert place(outside, "directory")["changed"]
    assert owner(outside) == service_ids()[0]
    assert picture(outside / "sub") == inside


def test_roots_own_link_is_followed_to_what_root_decides_about(place: Place, ground: Path) -> None:
    (ground / "real").mkdir()
    (ground / "alias").symlink_to("real")
    assert place(ground / "alias" / "new", "directory")["changed"]
    assert owner(ground / "real" / "new") == service_ids()[0]


@pytest.mark.parametrize("below", ["", "new", "sub"])
def test_a_planted_link_gives_nothing_of_roots_to_postgres(place: Place, theirs: Path, outside: Path, below: str) -> None:
    (theirs / "link").symlink_to(outside)
    before = picture(outside)
    answer = place(theirs / "link" / below, "directory")
    assert answer["failed"]
    assert str(theirs / "link") in answer["msg"]
    assert "\n" not in answer["msg"]
    assert picture(outside) == before


def test_a_link_of_postgres_to_a_directory_of_its_own_is_as_good_as_one(place: Place, theirs: Path) -> None:
    make_service_directory(theirs / "elsewhere", 0o755)
    (theirs / "link").symlink_to("elsewhere")
    assert place(theirs / "link", "directory")["changed"]
    assert (theirs / "elsewhere").stat().st_mode & 0o7777 == 0o700
    assert not place(theirs / "link", "directory")["changed"]


@pytest.mark.parametrize(
    "options", [{"state": "file", "content": "x"}, {"state": "file"}, {"state": "link", "target": "/x"}, {"state": "absent"}], ids=str
)
@pytest.mark.parametrize("name", ["kept", "sub", "new"])
def test_nothing_is_written_or_removed_behind_a_planted_link(
    place: Place, theirs: Path, outside: Path, options: dict[str, str], name: str
) -> None:
    (theirs / "link").symlink_to(outside)
    before = picture(outside)
    answer = place(theirs / "link" / name, **options)
    assert picture(outside) == before
    # A file without content is any that is there, and what is not there need not be removed.
    fine = (options == {"state": "file"} and name == "kept") or (options == {"state": "absent"} and name == "new")
    assert (not answer.get("failed")) == fine
    assert not answer.get("changed")


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(place: Place, theirs: Path, outside: Path) -> None:
    (theirs / "file").symlink_to(outside / "kept")
    before = picture(outside)
    assert place(theirs / "file", "file", content="new\n", mode="0644", check=True)["changed"]
    assert (theirs / "file").is_symlink()
    assert place(theirs / "file", "file", content="new\n", mode="0644")["changed"]
    assert not (theirs / "file").is_symlink()
    assert (theirs / "file").read_text() == "new\n"
    assert (owner(theirs / "file"), (theirs / "file").stat().st_mode & 0o7777) == (service_ids()[0], 0o644)
    assert not place(theirs / "file", "file", content="new\n", mode="0644")["changed"]
    assert place(theirs / "file", "file", content="newer\n", mode="0644")["diff"]["before"] == "new\n"
    assert picture(outside) == before
    assert sorted(path.name for path in theirs.iterdir()) == ["file"]


def test_a_file_without_content_is_made_where_there_is_none_and_left_as_it_is(place: Place, theirs: Path) -> None:
    assert place(theirs / "begun", "file", mode="0600")["changed"]
    (theirs / "begun").write_text("said\n")
    assert not place(theirs / "begun", "file", mode="0600")["changed"]
    assert (theirs / "begun").read_text() == "said\n"


def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(place: Place, theirs: Path) -> None:
    os.mkfifo(theirs / "file")
    assert place(theirs / "file", "file", content="new\n")["changed"]
    assert (theirs / "file").read_text() == "new\n"


def test_a_link_is_made_and_put_right(place: Place, theirs: Path) -> None:
    assert place(theirs / "link", "link", target="/somewhere", check=True)["changed"]
    assert not (theirs / "link").is_symlink()
    assert place(theirs / "link", "link", target="/elsewhere")["changed"]
    assert place(theirs / "link", "link", target="/somewhere")["changed"]
    assert str((theirs / "link").readlink()) == "/somewhere"
    assert not place(theirs / "link", "link", target="/somewhere")["changed"]


def test_a_directory_goes_from_roots_with_links_in_it_and_not_with_what_they_lead_to(place: Place, theirs: Path, outside: Path) -> None:
    (theirs / "link").symlink_to(outside)
    (make_service_directory(theirs / "deep") / "link").symlink_to(outside)
    before = picture(outside)
    assert place(theirs, "absent", check=True)["changed"]
    assert theirs.exists()
    assert place(theirs, "absent")["changed"]
    assert not theirs.exists()
    assert picture(outside) == before
    assert not place(theirs, "absent")["changed"]


def test_of_a_directory_only_what_is_named_goes_and_itself_when_it_is_empty_then(place: Place, theirs: Path, outside: Path) -> None:
    before = picture(outside)
    (theirs / "app.log").symlink_to(outside / "kept")
    (theirs / "app.log.1").write_text("old\n")
    (theirs / "other").write_text("other\n")
    assert place(theirs, "absent", only=["app.log*"], check=True)["changed"]
    assert place(theirs, "absent", only=["app.log*"])["diff"]["after"] == "directory\nother\n"
    assert [path.name for path in theirs.iterdir()] == ["other"]
    assert not place(theirs, "absent", only=["app.log*"])["changed"]
    (theirs / "other").unlink()
    assert place(theirs, "absent", only=["app.log*"])["changed"]
    assert not theirs.exists()
    assert picture(outside) == before


@pytest.mark.parametrize("path", ["/etc", "/", "relative/path", "/run/../etc/x"])
def test_a_path_that_is_no_place_of_its_own_is_refused(place: Place, path: str) -> None:
    assert "name an absolute path" in place(path, "directory", check=True)["msg"]
