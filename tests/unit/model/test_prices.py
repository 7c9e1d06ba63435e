"""Prices, and how settings put them right."""

from typing import get_args

import pytest

from pgkeeper.model.errors import ConfigurationError
from pgkeeper.model.prices import PRICES, STANDARD, parse_prices, price_list, price_of
from pgkeeper.off_site_settings import Provider
from pgkeeper.settings import load_settings


def test_every_provider_has_a_price_and_none_twice() -> None:
    places = [(price.provider, price.storage_class) for price in PRICES]
    assert len(set(places)) == len(places)
    for provider in get_args(Provider):
        assert price_of(PRICES, provider, STANDARD).storage > 0
    assert {provider for provider, _ in places} == set(get_args(Provider))


def test_what_is_not_named_stays_as_in_the_list() -> None:
    amazon, backblaze = parse_prices(" aws:STANDARD storage=0.021;\nbackblaze:STANDARD  storage=0.006 egress=0 ;")
    assert (amazon.storage, amazon.egress, amazon.egress_free) == (0.021, 0.09, 100)
    assert (backblaze.storage, backblaze.egress, backblaze.free, backblaze.egress_free_times) == (0.006, 0, 10, 3)
    listed = price_list((amazon, backblaze))
    assert [(one.provider, one.storage_class) for one in listed] == [(one.provider, one.storage_class) for one in PRICES]
    assert (price_of(listed, "aws", STANDARD), price_of(listed, "backblaze", STANDARD)) == (amazon, backblaze)
    assert price_list(()) == PRICES


def test_a_class_that_is_not_in_the_list_begins_as_the_providers_standard_without_free_storage() -> None:
    (added,) = parse_prices("backblaze:ARCHIVE storage=0.002 minimum_days=365")
    assert (added.storage, added.free, added.egress, added.egress_free_times, added.minimum_days) == (0.002, 0, 0.01, 3, 365)
    assert price_of(price_list((added,)), "backblaze", "ARCHIVE") == added


def test_a_price_that_is_not_known_is_an_error_that_says_how_to_give_it() -> None:
    with pytest.raises(ConfigurationError, match='BACKUP_PRICES="aws:DEEP_ARCHIVE storage='):
        price_of(PRICES, "aws", "DEEP_ARCHIVE")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("storage=0.006", "must name a provider"),
        ("azure:HOT storage=1", "must name a provider"),
        ("backblaze storage=0.006", "must name a provider"),
        ("aws:STANDARD", "must give aws:STANDARD a price"),
        ("aws:DEEP_ARCHIVE egress=0.1", "must give aws:DEEP_ARCHIVE a price"),
        ("aws:STANDARD storage=-1", "numbers"),
        ("aws:STANDARD storage=nan", "numbers"),
        ("aws:STANDARD storage=inf", "numbers"),
        ("aws:STANDARD storage=1e9", "numbers"),
        ("aws:STANDARD storage=0,02", "numbers"),
        ("aws:STANDARD storage", "numbers"),
        ("aws:STANDARD price=1", "numbers"),
        ("aws:STANDARD storage=1 storage=2", "numbers, each once"),
        ("aws:STANDARD storage=1; aws:STANDARD egress=2", "names aws:STANDARD twice"),
        ("aws:GLACIER_IR minimum_days=1.5", "whole days"),
        ("aws:GLACIER_IR minimum_days=99999", "whole days"),
    ],
)
def test_a_price_that_cannot_be_meant_is_an_error_that_names_the_setting(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"BACKUP_PRICES .*{message}") as caught:
        load_settings({"PGKEEPER_ENV_FILE": "/dev/null", "BACKUP_PRICES": text})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "$2", ""])
def test_a_budget_that_cannot_be_meant_is_an_error_that_names_the_setting(value: str) -> None:
    with pytest.raises(ConfigurationError, match="BACKUP_MONTHLY_BUDGET"):
        load_settings({"PGKEEPER_ENV_FILE": "/dev/null", "BACKUP_MONTHLY_BUDGET": value})
