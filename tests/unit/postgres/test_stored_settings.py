"""Settings that roles and databases carry."""

import pytest

from pgkeeper.model.manifest import Setting
from pgkeeper.postgres.stored_settings import search_path, setting_value, split_list


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ('"$user", public', ["$user", "public"]),
        ('a, "b,c", "d""e"', ["a", "b,c", 'd"e']),
        ("", [""]),
        ("one", ["one"]),
    ],
)
def test_lists_are_split_as_catalogs_quote_them(value: str, elements: list[str]) -> None:
    assert split_list(value) == elements


def test_only_list_settings_are_split() -> None:
    assert setting_value(Setting(role=None, name="search_path", value='"$user", public')).as_string(None) == "'$user', 'public'"
    assert setting_value(Setting(role=None, name="datestyle", value="ISO, DMY")).as_string(None) == "'ISO, DMY'"


def test_the_search_path_is_the_most_special_one_that_is_stored() -> None:
    database = Setting(role=None, name="search_path", value="shop, public")
    own = Setting(role=None, name="search_path", value="mine")
    special = Setting(role="app", name="search_path", value="here")
    assert search_path([]) == ["$user", "public"]
    assert search_path([database, special]) == ["shop", "public"]
    assert search_path([database], "app", [own]) == ["mine"]
    assert search_path([special, database], "app", [own]) == ["here"]
    assert search_path([special, database], "other", [own]) == ["mine"]
