"""Which file of the log holds what was just written, as the server is asked for it."""

from __future__ import annotations

from pgkeeper.model.wal import parse_lsn
from pgkeeper.postgres.archiver import create_restore_point, end_segment
from pgkeeper.postgres.server import Server, Session

from .support.cluster import Cluster
from .support.user import SERVICE_USER

WHERE = "select pg_current_wal_insert_lsn()::text as at, pg_size_bytes(current_setting('wal_segment_size')) as segment_bytes"
PAGE, PAGE_HEADER = 8192, 24
# A restore point's record: header of a record and of short data, a time, a name of 64 bytes; records begin at multiples of 8.
RESTORE_POINT = 104
# A message's record without what it says: header of a record and of long data, the message's own, an empty prefix.
MESSAGE = 24 + 5 + 24 + 1


def at_the_border(session: Session) -> tuple[str, str]:
    """Write a restore point whose record is the last of its segment. Returns the position behind it and the segment it is said to be in."""
    for _ in range(20):
        row = session.execute(WHERE).fetchone()
        assert row is not None
        at, segment_bytes = parse_lsn(row["at"]), row["segment_bytes"]
        rest_of_page, pages = -at % PAGE, (-at % segment_bytes) // PAGE
        room = rest_of_page + pages * (PAGE - PAGE_HEADER) - RESTORE_POINT - MESSAGE
        session.execute("select pg_logical_emit_message(false, '', repeat('x', %s))", (max(room, 0),))
        made = create_restore_point(session, "border")
        if parse_lsn(made.lsn) % segment_bytes == 0:
            return made.lsn, made.segment
    raise AssertionError("others wrote at the same time each time")


def test_a_record_that_ends_with_its_segment_is_said_to_be_in_that_one(cluster: Cluster) -> None:
    with Server({**cluster.environment(), "PGUSER": SERVICE_USER}).connect_maintenance() as session:
        lsn, segment = at_the_border(session)
        before = session.execute("select pg_walfile_name(%s::pg_lsn - 1) as name", (lsn,)).fetchone()
        assert before is not None
        assert (segment, end_segment(session, "next") > segment) == (before["name"], True)


def test_a_segment_without_a_record_is_ended_all_the_same(cluster: Cluster) -> None:
    with Server({**cluster.environment(), "PGUSER": SERVICE_USER}).connect_maintenance() as session:
        names = [end_segment(session, "again") for _ in range(3)]
    assert len(set(names)) == 3
