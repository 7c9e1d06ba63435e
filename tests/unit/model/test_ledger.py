"""The ledger notices what is missing off site, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.ledger import CopyRecord, Ledger, as_sent, hold_against

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAYS = 30
PLACES = st.tuples(st.sampled_from(["15-main", "17-main"]), st.integers(0, 60))


def record(cluster: str, age_days: int) -> CopyRecord:
    at = NOW - timedelta(days=age_days)
    return CopyRecord(
        backup_id=f"app-{at:%Y%m%dT%H%M%SZ}",
        cluster=cluster,
        database="app",
        created_at=at,
        copied_at=at,
        seconds=1.0,
        storage_class="STANDARD",
        objects={"manifest.json": 100, "database.sql.gz.enc": 5000},
        manifest_sha256="0" * 64,
    )


def listed(ledger: Ledger) -> dict[tuple[str, str], dict[str, int]]:
    return {(copy.cluster, copy.backup_id): dict(copy.objects) for copy in ledger.copies}


ledgers = st.sets(PLACES, max_size=8).map(lambda places: Ledger(copies=tuple(record(*place) for place in places)))


@given(ledgers, st.booleans())
def test_a_store_as_the_ledger_says_is_in_order(ledger: Ledger, store_expires: bool) -> None:
    found = hold_against(ledger, listed(ledger), NOW, DAYS, store_expires=store_expires)
    assert (found.losses, found.expired, found.unknown) == ((), (), ())


@given(ledgers.filter(lambda ledger: bool(ledger.copies)), st.data(), st.booleans())
def test_a_copy_that_is_gone_is_lost_unless_the_bucket_let_it_expire(ledger: Ledger, data: st.DataObject, store_expires: bool) -> None:
    gone = data.draw(st.sampled_from(ledger.copies))
    there = listed(ledger)
    del there[gone.cluster, gone.backup_id]
    found = hold_against(ledger, there, NOW, DAYS, store_expires=store_expires)
    if store_expires and NOW - gone.created_at > timedelta(days=DAYS):
        assert (found.losses, found.expired) == ((), (gone,))
    else:
        assert [loss.copy for loss in found.losses] == [gone]
        assert "removed there" in found.losses[0].what


@given(ledgers.filter(lambda ledger: bool(ledger.copies)), st.one_of(st.none(), st.integers(0, 60)))
def test_a_copy_was_last_seen_when_it_was_sent_or_when_somebody_looked_since(ledger: Ledger, looked_days_ago: int | None) -> None:
    looked = None if looked_days_ago is None else NOW - timedelta(days=looked_days_ago)
    looked_at = ledger.model_copy(update={"looked_at": looked})
    for copy in ledger.copies:
        assert looked_at.seen_at(copy) == (copy.copied_at if looked is None or looked < copy.copied_at else looked)


@pytest.mark.parametrize(
    ("ledger", "nothing"),
    [
        (Ledger(), True),
        (Ledger(failing_since=NOW, problem="no line"), True),
        (Ledger(copies=(record("15-main", 1),)), False),
        (Ledger(succeeded_at=NOW), False),
        (Ledger(foreign=("app-20261101T000000Z",)), False),
    ],
)
def test_a_ledger_that_was_lost_is_told_from_one_that_is_surprised(ledger: Ledger, nothing: bool) -> None:
    assert ledger.knows_nothing == nothing


@given(ledgers.filter(lambda ledger: bool(ledger.copies)), st.data())
def test_an_object_that_is_missing_or_has_another_size_is_named(ledger: Ledger, data: st.DataObject) -> None:
    hurt = data.draw(st.sampled_from(ledger.copies))
    name = data.draw(st.sampled_from(sorted(hurt.objects)))
    there = listed(ledger)
    size = data.draw(st.none() | st.integers(0, 10_000).filter(lambda size: size != hurt.objects[name]))
    if size is None:
        del there[hurt.cluster, hurt.backup_id][name]
    else:
        there[hurt.cluster, hurt.backup_id][name] = size
    (loss,) = hold_against(ledger, there, NOW, DAYS, store_expires=True).losses
    assert loss.copy == hurt
    assert name in loss.what


@given(ledgers, PLACES)
def test_a_copy_the_ledger_does_not_know_is_unknown_and_no_loss(ledger: Ledger, place: tuple[str, int]) -> None:
    other = record(*place)
    known = ledger.without([other])
    found = hold_against(known, listed(known.with_copy(other)), NOW, DAYS, store_expires=False)
    assert found.losses == ()
    assert found.unknown == ((other.cluster, other.backup_id),)


@given(ledgers, PLACES)
def test_what_is_put_in_is_there_once_and_what_is_taken_out_is_not(ledger: Ledger, place: tuple[str, int]) -> None:
    copy = record(*place)
    twice = ledger.with_copy(copy).with_copy(copy)
    assert twice.copies.count(copy) == 1
    assert twice.find(copy.cluster, copy.backup_id) == copy
    assert twice.without([copy]).find(copy.cluster, copy.backup_id) is None


@given(ledgers, st.integers(0, 60))
def test_a_predecessor_is_the_next_older_copy_of_the_same_database(ledger: Ledger, age: int) -> None:
    before = NOW - timedelta(days=age)
    found = ledger.predecessor("15-main", "app", before)
    older = [copy for copy in ledger.copies if copy.cluster == "15-main" and copy.created_at < before]
    assert found == (max(older, key=lambda copy: copy.created_at).backup_id if older else None)
    assert ledger.predecessor("15-main", "other", before) is None


def as_listed(record: CopyRecord) -> dict[str, tuple[int, datetime]]:
    return {name: (size, record.copied_at - timedelta(seconds=1)) for name, size in record.objects.items()}


def test_a_copy_lies_there_as_it_was_sent_when_nothing_was_written_since() -> None:
    one = record("15-main", 3)
    there = as_listed(one)
    assert as_sent(one, there)
    assert as_sent(one, {**there, "proof-restore.json": (300, NOW)}), "records are written whenever there is something to say"


@pytest.mark.parametrize("name", ["manifest.json", "database.sql.gz.enc"])
@pytest.mark.parametrize("change", ["gone", "another size", "written since"])
def test_a_copy_of_which_an_object_is_gone_or_was_replaced_is_not_as_it_was_sent(name: str, change: str) -> None:
    one = record("15-main", 3)
    there = as_listed(one)
    size, at = there.pop(name)
    if change != "gone":
        there[name] = (size + 1, at) if change == "another size" else (size, one.copied_at + timedelta(seconds=1))
    assert not as_sent(one, there)


@given(ledgers, ledgers)
def test_adding_many_copies_is_adding_one_after_the_other(ledger: Ledger, other: Ledger) -> None:
    one_by_one = ledger
    for copy in other.copies:
        one_by_one = one_by_one.with_copy(copy)
    assert ledger.with_copies(other.copies) == one_by_one
