"""The owner is told what needs him, and of nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgkeeper.model.status import BackupFacts, DatabaseFacts, DetachedFacts, HostFacts, LeftFacts, headline, judge

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
KEPT = "keep it: its checksums and contents are right"


def backup(hours: float = 3, *, proven_days: float | None = None, problem: str = "", recovery: float | None = 42.0) -> BackupFacts:
    at = NOW - timedelta(hours=hours)
    return BackupFacts(
        backup_id=f"app-{hours}",
        created_at=at,
        snapshot_at=None if problem else at + timedelta(seconds=1),
        problem=problem,
        proven_at=None if proven_days is None else NOW - timedelta(days=proven_days),
        recovery_seconds=None if proven_days is None else recovery,
    )


def database(*backups: BackupFacts, wanted: bool = True, expirable: int = 0) -> DatabaseFacts:
    return DatabaseFacts("15-main", "app", wanted, backups, expirable)


HEALTHY = HostFacts(databases=(database(backup(3), backup(27, proven_days=1)),), disk_used_percent=40.0, owner_is_told=True)


def problems(facts: HostFacts) -> list[str]:
    return [finding.text for finding in judge(facts, NOW).findings if finding.level == "problem"]


def test_what_recoveries_have_left_is_named_and_nobody_has_to_come() -> None:
    left = (
        LeftFacts("main-1", recovered=True, running=True, since=NOW - timedelta(days=2)),
        LeftFacts("main.before-1", recovered=False, running=False, since=None),
        LeftFacts("two words", recovered=True, running=False, since=None),
        LeftFacts("lost", recovered=True, running=False, since=None, known=False),
    )
    findings = judge(replace(HEALTHY, left=left), NOW).findings
    assert [(finding.level, finding.text) for finding in findings] == [
        ("remark", "main-1 is there for 2 d: a recovered cluster, running"),
        ("remark", "main.before-1 is there: kept by a replacement of the cluster"),
        ("remark", "two words is there: a recovered cluster, stopped"),
        ("remark", "lost is there: it does not say what it is"),
    ]
    assert "`pgkeeper pitr remove main-1 --confirm main-1`" in findings[0].hint
    assert "`pgkeeper pitr remove 'two words' --confirm 'two words'`" in findings[2].hint
    # It would be refused.
    assert "pitr remove" not in findings[3].hint


def test_a_healthy_host_needs_nobody() -> None:
    judgement = judge(HEALTHY, NOW)
    assert judgement.findings == ()
    (found,) = judgement.databases
    assert found.recoverable_to == NOW - timedelta(hours=3) + timedelta(seconds=1)
    assert (found.proven_at, found.recovery_seconds) == (NOW - timedelta(days=1), 42.0)
    assert headline([]) == "All is well: nothing needs you."


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(HEALTHY, databases=(database(),)), "there is no good backup"),
        (replace(HEALTHY, databases=(database(backup(29, proven_days=1)),)), "is 1 d 5 h old"),
        (replace(HEALTHY, databases=(database(backup(3)),)), "was ever proven"),
        (replace(HEALTHY, databases=(database(backup(3), backup(24 * 9, proven_days=9)),)), "is 9 d old"),
        (replace(HEALTHY, databases=(database(backup(3, proven_days=-1)),)), "was ever proven"),
        (replace(HEALTHY, databases=(database(backup(3, proven_days=0), backup(30, problem="it is damaged")),)), "it is damaged"),
        (replace(HEALTHY, databases=(database(backup(3, proven_days=0), backup(-30)),)), "from the future"),
        (replace(HEALTHY, databases=(database(replace(backup(3, proven_days=0), pin_problem="a bad pin")),)), "a bad pin"),
        (replace(HEALTHY, disk_used_percent=85.1), "85 % full"),
        (replace(HEALTHY, owner_is_told=False), "nobody is told"),
        (replace(HEALTHY, server_problem="connection refused"), "connection refused"),
        (replace(HEALTHY, store_problem="permission denied"), "permission denied"),
        (
            replace(HEALTHY, held_back="the clock jumped", databases=(database(backup(3, proven_days=0), expirable=2),)),
            "holds back 2 backups: the clock jumped",
        ),
        (replace(HEALTHY, interrupted="a replacement was interrupted"), "a replacement was interrupted"),
        (replace(HEALTHY, archiving_problem="archive_mode is off"), "not every moment can be brought back: archive_mode is off"),
        (replace(HEALTHY, detached=(DetachedFacts("cloud", NOW - timedelta(hours=2)),)), "repository cloud is detached since 2 h"),
        (replace(HEALTHY, detached=(DetachedFacts("cloud", None),)), "repository cloud is detached: no log"),
    ],
)
def test_each_thing_that_needs_the_owner_is_told_alone(changed: HostFacts, words: str) -> None:
    (text,) = problems(changed)
    assert words in text
    assert headline(judge(changed, NOW).findings) == "1 thing needs you."


def test_a_full_disk_begins_beyond_85_percent() -> None:
    assert problems(replace(HEALTHY, disk_used_percent=85.0)) == []


def test_settling_while_nothing_waits_to_go_bothers_nobody() -> None:
    assert judge(replace(HEALTHY, held_back="expiry looks for the first time here"), NOW).findings == ()


def test_a_database_that_is_gone_is_a_remark() -> None:
    gone = DatabaseFacts("15-main", "old", False, (backup(24 * 90),), 3)
    (finding,) = judge(replace(HEALTHY, databases=(*HEALTHY.databases, gone)), NOW).findings
    assert (finding.level, finding.database) == ("remark", "old")


def test_a_standby_that_is_left_to_its_primary_is_a_remark() -> None:
    (finding,) = judge(replace(HEALTHY, databases=(), standby=True), NOW).findings
    assert (finding.level, "standby" in finding.text) == ("remark", True)


FACTS = st.builds(
    HostFacts,
    databases=st.lists(
        st.builds(
            DatabaseFacts,
            cluster=st.just("15-main"),
            database=st.sampled_from(["app", "shop"]),
            wanted=st.booleans(),
            backups=st.lists(
                st.builds(
                    backup,
                    st.integers(-50, 3000),
                    proven_days=st.one_of(st.none(), st.integers(-3, 90)),
                    problem=st.sampled_from(["", "", "it is damaged"]),
                ),
                max_size=6,
            ).map(tuple),
            expirable=st.integers(0, 3),
        ),
        max_size=3,
    ).map(tuple),
    disk_used_percent=st.floats(0, 100),
    owner_is_told=st.booleans(),
    server_problem=st.sampled_from(["", "down"]),
    held_back=st.sampled_from(["", "the clock"]),
)


@settings(max_examples=1000, deadline=None)
@given(FACTS)
def test_silence_means_a_fresh_readable_and_proven_backup_of_every_database(facts: HostFacts) -> None:
    judgement = judge(facts, NOW)
    levels = [finding.level for finding in judgement.findings]
    assert levels == sorted(levels), "problems come first"
    assert len(judgement.databases) == len(facts.databases)
    for known, found in zip(facts.databases, judgement.databases, strict=True):
        good = [one for one in known.backups if not one.problem and one.created_at <= NOW]
        assert (found.backup_id is None) == (not good)
        if good:
            assert found.backup_id == max(good, key=lambda one: (one.created_at, one.backup_id)).backup_id
        if "problem" not in levels and known.wanted:
            assert any(NOW - one.created_at <= timedelta(hours=28) for one in good)
            assert any(one.proven_at and timedelta() <= NOW - one.proven_at <= timedelta(days=8) for one in known.backups)
            assert not any(one.problem for one in known.backups)
            assert facts.owner_is_told
            assert facts.disk_used_percent <= 85


def test_a_backup_whose_restore_differed_can_be_had_back_and_is_not_to_be_deleted() -> None:
    differing = replace(backup(3), difference="what was restored differs", advice=KEPT)
    judgement = judge(replace(HEALTHY, databases=(database(differing, backup(27, proven_days=1)),)), NOW)
    assert judgement.databases[0].backup_id == differing.backup_id
    (finding,) = judgement.findings
    assert (finding.text, finding.hint) == (differing.difference, KEPT)
