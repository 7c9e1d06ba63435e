"""Where an interrupted replacement ends is decided by who has production's name."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.names import POSTGRES_NAME_BYTES
from pgkeeper.model.replacement import STEPS, Entry, Replacement, after_name, before_name, ending, next_name, read_replacement, was_touched

AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
OLD, NEW = 10, 20


def replacement(step: str, new_oid: int = NEW) -> Replacement:
    facts = {
        "kind": "replace",
        "database": "app",
        "system_identifier": "7",
        "old_oid": OLD,
        "old_name": "app_before",
        "new_name": "app_next",
    }
    entries = [Entry.model_validate({"step": "begun", "at": AT, **facts})]
    if step != "begun":
        entries.append(Entry.model_validate({"step": step, "at": AT, "new_oid": new_oid}))
    found = read_replacement("r1", entries)
    assert found is not None
    return found


@given(st.sampled_from([*STEPS, "undone"]), st.sampled_from([OLD, NEW, 30, None]))
def test_only_the_new_one_under_the_name_lets_us_go_on(step: str, oid: int | None) -> None:
    known = replacement(step)
    if step in ("done", "undone"):
        assert ending(known, oid) == "nothing"
    else:
        assert ending(known, oid) == ("go_on" if oid == known.new_oid else "go_back")


def test_no_database_at_all_is_never_taken_for_a_new_one_that_was_not_made() -> None:
    known = replacement("saved", new_oid=0)
    assert ending(known, None) == "go_back"
    assert ending(known, OLD) == "go_back"


def test_production_was_touched_from_the_moment_services_are_stopped() -> None:
    touched = [step for step in STEPS if was_touched(replacement(step))]
    assert touched == ["stopping", "closing", "swapping", "starting", "done"]


def test_later_lines_add_to_what_earlier_ones_said() -> None:
    known = replacement("restored")
    assert (known.old_oid, known.new_oid, known.database, known.step) == (OLD, NEW, "app", "restored")
    assert read_replacement("r1", []) is None


@given(st.text(min_size=1, max_size=63).filter(lambda name: "\0" not in name and name.isprintable()))
def test_names_fit_and_tell_apart(database: str) -> None:
    names = {name(database, AT, random) for name in (before_name, after_name, next_name) for random in ("5f0c9a71", "90b1e2d4")}
    assert len(names) == 6
    assert all(len(name.encode()) <= POSTGRES_NAME_BYTES for name in names)
