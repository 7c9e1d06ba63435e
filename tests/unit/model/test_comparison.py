"""Comparing what came out with what was promised."""

import pytest

from pgkeeper.model.comparison import database_differences, differences, role_differences
from pgkeeper.model.manifest import Contents, Extension, Membership, Privilege, Setting
from tests.unit.builders import contents, database_facts, manifest, table

FACTS = database_facts()
CLUSTER = manifest().cluster
(APP,) = CLUSTER.roles


def test_equal_contents_have_no_differences() -> None:
    assert differences(contents(), contents()) == ()


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (contents(table("other")), "table public.posts: missing"),
        (contents(table(), table("other")), "table public.other: not promised"),
        (contents(table(rows=3)), "table public.posts: 3 rows found, 2 promised"),
        (contents(table(digest="c")), "table public.posts: 2 rows, but their content differs"),
        (contents(sequence=8), "sequence public.posts_id_seq: at 8, promised 7"),
        (contents(sequence=7, is_called=False), "sequence public.posts_id_seq: at 7 (still to be given out), promised 7"),
        (contents(objects=1), "large objects: 1 with 0 bytes found"),
        (contents(schema="c"), "schema: 12 statements found, 12 promised, or other text"),
    ],
)
def test_each_kind_of_difference_is_named(found: Contents, line: str) -> None:
    assert any(difference.startswith(line) for difference in differences(contents(), found))


def test_rows_in_another_order_are_the_same_rows() -> None:
    assert differences(contents(), contents(table(digest="c")), same_rows=lambda _promised, _found: True) == ()
    assert differences(contents(), contents(table(rows=3, digest="c")), same_rows=lambda _promised, _found: True)


def test_the_schema_can_be_left_out() -> None:
    assert differences(contents(), contents(schema="c"), with_schema=False) == ()


def test_hundreds_of_differences_end_in_a_count() -> None:
    promised = contents(*(table(f"t{number}") for number in range(300)))
    lines = differences(promised, contents(table("t0")))
    assert len(lines) == 21
    assert lines[-1] == "and 279 more differences"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"owner": "other"}, "database: owner is 'other', promised 'app'"),
        ({"encoding": "LATIN1"}, "database: encoding is 'LATIN1', promised 'UTF8'"),
        ({"locale_provider": "icu"}, "database: locale provider is"),
        ({"lc_collate": "C"}, "database: lc collate is 'C'"),
        ({"lc_ctype": "C"}, "database: lc ctype is 'C'"),
        ({"locale": "de"}, "database: locale is 'de', promised None"),
        ({"icu_rules": "&a<b"}, "database: icu rules is"),
        ({"connection_limit": 3}, "database: connection limit is 3, promised -1"),
        ({"is_template": True}, "database: is template is True"),
        ({"comment": None}, "database: comment is None"),
        ({"has_public_schema": False}, "database: has public schema is False"),
        ({"settings": (Setting(role=None, name="work_mem", value="7MB"),)}, "database: setting work_mem is '7MB', not promised"),
        ({"extensions": (Extension(name="hstore", version="1.8", schema_name="public"),)}, "database: extension hstore is only in one"),
        ({"privileges": ()}, "database: its privileges differ"),
    ],
)
def test_each_property_of_a_database_that_differs_is_named(change: dict[str, object], line: str) -> None:
    found = FACTS.model_copy(update=change)
    differences_found = database_differences(FACTS, found)
    assert differences_found[0].startswith(line)
    # Another owner has other default privileges.
    assert len(differences_found) == (2 if "owner" in change else 1)


def test_what_depends_on_the_place_is_no_difference() -> None:
    promised = FACTS.model_copy(
        update={
            "extensions": (Extension(name="hstore", version="1.7", schema_name="public"),),
            "settings": (Setting(role=None, name="gone.library", value="x"),),
        }
    )
    found = FACTS.model_copy(
        update={
            "name": "app_proof",
            "size_bytes": 1,
            "collation_version": "2.36",
            "tablespaces_used": ("fast",),
            "extensions": (Extension(name="hstore", version="1.8", schema_name="public"),),
        }
    )
    assert database_differences(promised, found) == ()


def test_privileges_are_the_same_however_they_are_written() -> None:
    granted = [("app", "CREATE"), ("app", "CONNECT"), ("app", "TEMPORARY"), (None, "CONNECT"), (None, "TEMPORARY")]
    spelled = tuple(Privilege(grantor="app", grantee=grantee, privilege=word, grantable=False) for grantee, word in granted)
    assert database_differences(FACTS, FACTS.model_copy(update={"privileges": spelled})) == ()
    assert database_differences(FACTS.model_copy(update={"privileges": spelled}), FACTS.model_copy(update={"privileges": spelled[1:]}))


def test_a_missing_role_and_a_lost_membership_are_named() -> None:
    membership = Membership(role="staff", member="app", grantor="boss", admin=False, inherit=True, set=True)
    promised = CLUSTER.model_copy(update={"memberships": (membership,)})
    assert role_differences(promised, CLUSTER) == ("role app: is no member of staff any more",)
    other_grantor = membership.model_copy(update={"grantor": "postgres"})
    assert role_differences(promised, CLUSTER.model_copy(update={"memberships": (other_grantor,)})) == ()
    assert role_differences(CLUSTER, CLUSTER.model_copy(update={"roles": ()})) == ("role app: missing",)


@pytest.mark.parametrize(
    "change",
    [
        {"superuser": True}, {"login": False}, {"create_database": True}, {"create_role": True}, {"replication": True},
        {"bypass_rls": True}, {"inherit": False}, {"connection_limit": 1}, {"password": None}, {"comment": "other"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_each_attribute_of_a_role_that_differs_is_noticed(change: dict[str, object]) -> None:
    found = CLUSTER.model_copy(update={"roles": (APP.model_copy(update=change),)})
    assert role_differences(CLUSTER, found) == ("role app: its attributes differ",)


def test_superusers_may_have_other_attributes_but_must_be_superusers() -> None:
    promised = CLUSTER.model_copy(update={"roles": (APP.model_copy(update={"superuser": True}),)})
    same = CLUSTER.model_copy(update={"roles": (APP.model_copy(update={"superuser": True, "connection_limit": 3}),)})
    assert role_differences(promised, same) == ()
    assert role_differences(promised, CLUSTER) == ("role app: its attributes differ",)


def test_more_roles_than_promised_and_settings_are_no_difference() -> None:
    more = APP.model_copy(update={"name": "more"})
    setting = Setting(role="app", name="work_mem", value="1MB")
    found = CLUSTER.model_copy(update={"roles": (APP.model_copy(update={"settings": (setting,)}), more)})
    assert role_differences(CLUSTER, found) == ()
