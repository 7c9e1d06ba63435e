"""What pg_dump says of a row that is too large for it."""

import pytest

from pgkeeper.postgres.oversized_row import oversized_row
from pgkeeper.postgres.server import Server

NOWHERE = Server({"PGHOST": "/nonexistent"})
SAID = (
    'pg_dump: error: Dumping the contents of table "t" failed: PQgetResult() failed.'
    " pg_dump: {detail}: Error message from server: ERROR: {error}"
    ' pg_dump: {detail}: {the}ommand was: COPY public."odd ""name. (" (id, b) TO stdout;'
)


@pytest.mark.parametrize(
    "error",
    [
        "invalid memory alloc request size 1200000003",
        "out of memory DETAIL: Cannot enlarge string buffer containing 1073741822 bytes by 1 more bytes.",
        "string buffer exceeds maximum allowed length (1073741823 bytes) DETAIL: Cannot enlarge string buffer.",
    ],
)
@pytest.mark.parametrize(("detail", "the"), [("error", "The c"), ("detail", "C")])
def test_a_row_that_is_too_large_is_named_with_its_table_also_where_nobody_can_be_asked(error: str, detail: str, the: str) -> None:
    found = oversized_row(SAID.format(error=error, detail=detail, the=the), NOWHERE, "app")
    assert found is not None
    assert 'a row of public."odd ""name. (" is too large' in found.what
    assert 'FROM public."odd ""name. (" ORDER BY' in found.hint


@pytest.mark.parametrize(
    "error",
    [
        "invalid memory alloc request size 18446744073709551613",
        "invalid page in block 7 of relation base/5/16384",
        'out of memory DETAIL: Failed on request of size 8192 in memory context "ExecutorState".',
    ],
)
def test_damage_and_a_server_short_of_memory_are_something_else(error: str) -> None:
    assert oversized_row(SAID.format(error=error, detail="detail", the="C"), NOWHERE, "app") is None
