"""Names on disk."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgkeeper.model.names import POSTGRES_NAME_BYTES, backup_id, decode_segment, encode_segment, fit_name, split_backup_id

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=63)
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract


@given(NAMES)
@example("..")
@example(".")
@example("-x")
@example("host=/x")
@example('Ü"; rm -rf')
@example("a~b")
def test_a_segment_is_one_plain_visible_path_component_and_reads_back(name: str) -> None:
    segment = encode_segment(name)
    assert decode_segment(segment) == name
    assert segment.isascii()
    assert segment.isprintable()
    assert not set(segment) & set("/\\ '\"$`*?&;|<>~")
    assert segment[0] not in ".-"


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_different_names_have_different_segments(names: list[str]) -> None:
    assert encode_segment(names[0]) != encode_segment(names[1])


@given(NAMES, TIMES)
def test_an_id_tells_database_and_time(name: str, at: datetime) -> None:
    assert split_backup_id(backup_id(name, at)) == (name, at.replace(microsecond=0))


@pytest.mark.parametrize(
    "text", ["", "app", "app-20261301T000000Z", "app-2026-01-01", "-20260101T000000Z", "a/b-20260101T000000Z", ".x-20260101T000000Z"]
)
def test_what_is_no_id_is_not_taken_for_one(text: str) -> None:
    assert split_backup_id(text) is None


def test_the_longest_name_fits_a_file_name() -> None:
    assert len(f".building-{backup_id('Ü' * 31 + 'x', datetime.now(UTC))}".encode()) <= 255


@given(NAMES, st.text("abc_0123456789", max_size=40))
def test_a_fitted_name_keeps_the_suffix_and_postgresqls_limit(base: str, suffix: str) -> None:
    fitted = fit_name(base, suffix)
    assert fitted.endswith(suffix)
    assert len(fitted.encode()) <= max(POSTGRES_NAME_BYTES, len(suffix))
    assert base.startswith(fitted.removesuffix(suffix) if suffix else fitted)
