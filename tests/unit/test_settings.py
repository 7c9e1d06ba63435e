"""Settings."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgkeeper.model.errors import ConfigurationError
from pgkeeper.model.retention import Policy
from pgkeeper.settings import Settings, load_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pgkeeper.env"
    path.touch()
    return path


def load(file: Path, **environ: str) -> Settings:
    return load_settings({"PGKEEPER_ENV_FILE": str(file), **environ})


def test_without_any_setting_there_are_the_documented_defaults(file: Path) -> None:
    settings = load(file)
    assert (settings.dir, settings.state_dir) == (Path("/var/backups/pgkeeper"), Path("/var/lib/pgkeeper"))
    assert (settings.databases, settings.local_retention_days, settings.notify_urls) == ((), 7, ())


def test_the_environment_beats_the_file(file: Path) -> None:
    file.write_text("BACKUP_LOCAL_RETENTION_DAYS=14\nBACKUP_DIR=/srv/backups\nPGPORT=5433\n")
    settings = load(file, BACKUP_LOCAL_RETENTION_DAYS="30", PGPORT="5434")
    assert (settings.local_retention_days, settings.dir, dict(settings.libpq)) == (30, Path("/srv/backups"), {"PGPORT": "5434"})


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("all", ()),
        ("app", ("app",)),
        ("app, shop ,app", ("app", "shop")),
        ('"a,b",c', ("a,b", "c")),
        ('"Ü""; rm -rf"', ('Ü"; rm -rf',)),
        ("a b", ("a b",)),
    ],
)
def test_databases_are_a_list_with_csv_quoting(file: Path, value: str, names: tuple[str, ...]) -> None:
    assert load(file, BACKUP_DATABASES=value).databases == names


@pytest.mark.parametrize("value", ["p'w", 'p"w', "$HOME ${X} `id` \\n #x", "ü;&|"])
def test_nothing_in_a_value_is_expanded(file: Path, value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    file.write_text(f"BACKUP_PROJECT_NAME='{quoted}'\n")
    assert load(file).project_name == value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BACKUP_LOCAL_RETENTION_DAYS", "a week", "BACKUP_LOCAL_RETENTION_DAYS"),
        ("BACKUP_LOCAL_RETENTION_DAYS", "0", "BACKUP_LOCAL_RETENTION_DAYS"),
        ("BACKUP_DIR", "backups", "BACKUP_DIR must be an absolute path"),
        ("BACKUP_DATABASES", "all,app", 'holds "all" and names'),
        ("BACKUP_DATABASES", " ", "is empty"),
        ("BACKUP_DIR", "/var/lib/pgkeeper/backups", "must not lie inside one another"),
        ("BACKUP_STATE_DIR", "/var/backups/pgkeeper", "must not lie inside one another"),
        ("BACKUP_CONSOLE_URL", "admin.example.com", "http"),
        ("BACKUP_PROJECT_NAME", "", "BACKUP_PROJECT_NAME"),
        ("BACKUP_RETENTION_PRESET", "7", "BACKUP_RETENTION_PRESET"),
        ("BACKUP_RETENTION_PRESET", "custom", "does not say how many days"),
        ("BACKUP_KEEP_WEEKLY", "-1", "BACKUP_KEEP_WEEKLY"),
        ("BACKUP_KEEP_YEARLY", "many", "BACKUP_KEEP_YEARLY"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_setting(file: Path, name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(file, **{name: value})
    assert caught.value.exit_status == 3
    assert "\n" not in str(caught.value)


@given(st.text("abcdefghij", min_size=20, max_size=30))
def test_secrets_stand_in_no_error_and_no_repr(secret: str) -> None:
    environ = {"BACKUP_NOTIFY_URLS": f"mailto://u:{secret}@example.com", "PGPASSWORD": secret, "PGKEEPER_ENV_FILE": "/dev/null"}
    assert secret not in repr(load_settings(environ))
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ | {"BACKUP_LOCAL_RETENTION_DAYS": "x"})
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("BACKUP_DIR=/a\nBACKUP_DIR=/b\n", "BACKUP_DIR is set twice"),
        ("just words\n", "line 1 is not NAME=value"),
        ("BACKUP_DIR\n", "line 1 is not NAME=value"),
        ("A=1\nBACKUP_PROJECT_NAME='open\n", "line 2 is not NAME=value"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load(file)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(tmp_path / "none")


def test_a_misspelt_name_is_warned_about_with_the_nearest_one(file: Path) -> None:
    file.write_text("BACKUP_RETENTON_DAYS=3\nBACKUP_XYZZY=1\n")
    near, far = sorted(load(file, BACKUP_DIR="/srv/b").warnings)
    assert "did you mean BACKUP_RETENTION_DAYS?" in near
    assert "BACKUP_XYZZY is not a setting" in far


@pytest.mark.parametrize(
    ("variables", "days"),
    [
        ({}, 7),
        ({"BACKUP_LOCAL_RETENTION_DAYS": "20"}, 20),
        ({"BACKUP_RETENTION_PRESET": "7+30"}, 7),
        ({"BACKUP_RETENTION_PRESET": "14+60"}, 14),
        ({"BACKUP_RETENTION_PRESET": "30+90"}, 30),
        ({"BACKUP_RETENTION_PRESET": "30+90", "BACKUP_LOCAL_RETENTION_DAYS": "30"}, 30),
        ({"BACKUP_RETENTION_PRESET": "custom", "BACKUP_LOCAL_RETENTION_DAYS": "20"}, 20),
    ],
)
def test_a_preset_says_the_days_and_so_may_the_days(file: Path, variables: dict[str, str], days: int) -> None:
    settings = load(file, **variables, BACKUP_KEEP_WEEKLY="4", BACKUP_KEEP_YEARLY="2")
    assert settings.retention == Policy(days, daily=0, weekly=4, monthly=0, yearly=2)


def test_a_preset_beside_other_days_is_a_contradiction(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="30\\+90 means 30 days") as caught:
        load(file, BACKUP_RETENTION_PRESET="30+90", BACKUP_LOCAL_RETENTION_DAYS="7")
    assert caught.value.exit_status == 3
