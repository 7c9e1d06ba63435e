"""What the owner reads."""

from datetime import UTC, datetime, timedelta

from pgkeeper.model.errors import ErrorInfo
from pgkeeper.notify.messages import backup_failed, check_failed, drill_done, pitr_failed
from tests.unit.builders import AT, manifest

NOW = datetime(2026, 1, 3, 3, 0, tzinfo=UTC)
ERROR = ErrorInfo(what="backup of app failed", why="No space left on device", hint="free some space")


def test_the_alert_follows_the_template() -> None:
    before = manifest(AT - timedelta(days=1), size=1_640_000_000)
    message = backup_failed("Shop", "https://admin.example.com", {"app": ERROR}, 1, (manifest(), before), NOW)
    assert message.subject == "⚠️ Shop - Backup Alert"
    assert message.text == (
        "Database: app\n"
        "\n"
        "Status: ❌ FAILED\n"
        "Time: 2026-01-03 03:00:00 UTC\n"
        "Error: backup of app failed: No space left on device\n"
        "\n"
        "Last Successful Backup: 1 d ago (app, 2026-01-02 03:00:00 UTC)\n"
        "Database Size: 1.66 GB at the last backup (+20.0 MB since the one before)\n"
        "\n"
        "Action Required: free some space\n"
        "\n"
        "View Details: https://admin.example.com/database/backups\n"
    )


def test_several_failures_are_one_alert() -> None:
    message = backup_failed("Shop", "", {"app": ERROR, "shop": ERROR}, 3, (), NOW)
    assert "Database: app, shop (2 of 3)" in message.text
    assert message.text.count("Error: ") == 2
    assert "Last Successful Backup: none" in message.text
    assert "View Details" not in message.text


def test_nothing_in_an_error_is_taken_for_markup() -> None:
    error = ErrorInfo(what="backup of {{ 7*7 }} <b> failed")
    assert "{{ 7*7 }} <b>" in backup_failed("Shop", "", {"{{ 7*7 }} <b>": error}, 1, (), NOW).text


def test_a_failed_check_names_the_backup_and_what_was_found() -> None:
    damage = ERROR.model_copy(update={"exit_status": 4})
    message = check_failed("Shop", "https://admin.example.com", {"app-20260102T030000Z": damage}, NOW)
    assert message.subject == "⚠️ Shop - Backup Check Alert"
    assert message.text == (
        "Backup: app-20260102T030000Z\n"
        "\n"
        "Status: ❌ CHECK FAILED\n"
        "Time: 2026-01-03 03:00:00 UTC\n"
        "Error: backup of app failed: No space left on device\n"
        "\n"
        "A backup that fails a check may not come back.\n"
        "\n"
        "Action Required: free some space\n"
        "\n"
        "View Details: https://admin.example.com/database/backups\n"
    )


def test_a_check_that_could_not_be_made_is_not_told_as_damage() -> None:
    message = check_failed("Shop", "", {"app-20260102T030000Z": ERROR}, NOW)
    assert "NOT CHECKED" in message.text
    assert "Nothing is known to be wrong with the backup." in message.text
    assert "FAILED" not in message.text.replace(ERROR.what, "")
    assert "may not come back" not in message.text


def test_a_passed_drill_says_how_long_it_took_and_where_its_protocol_is() -> None:
    message = drill_done("Shop", ("db1", "spare", "drill-1"), {"app (app-20260102T030000Z)": None}, None, (125.0, 7200.0), NOW)
    assert message.subject == "✅ Shop - Disaster Recovery Drill Passed"
    assert message.text == (
        "Host: db1, drilled on spare\n"
        "\n"
        "Status: ✅ DRILL PASSED\n"
        "Time: 2026-01-03 03:00:00 UTC\n"
        "Recovery Time: 2 min 5 s\n"
        "Age of Data: 2 h\n"
        "Database: app (app-20260102T030000Z): restored and compared\n"
        "\n"
        "Protocol: `pgkeeper drill show drill-1` on spare\n"
    )


def test_a_failed_drill_names_what_did_not_come_back_and_what_else_is_wrong() -> None:
    changed = ErrorInfo(what="the bucket changed")
    message = drill_done("Shop", ("db1", "spare", "drill-1"), {"app": ERROR, "shop": None}, changed, (None, None), NOW)
    assert message.subject == "⚠️ Shop - Disaster Recovery Drill Failed"
    assert message.text == (
        "Host: db1, drilled on spare\n"
        "\n"
        "Status: ❌ DRILL FAILED\n"
        "Time: 2026-01-03 03:00:00 UTC\n"
        "Recovery Time: unknown\n"
        "Age of Data: unknown\n"
        "Database: app: backup of app failed: No space left on device (free some space)\n"
        "Database: shop: restored and compared\n"
        "Error: the bucket changed\n"
        "\n"
        "Protocol: `pgkeeper drill show drill-1` on spare\n"
    )


def test_trouble_with_the_bucket_alone_fails_a_drill() -> None:
    assert "Failed" in drill_done("Shop", ("db1", "spare", "drill-1"), {"app": None}, ERROR, (1.0, 1.0), NOW).subject


def test_the_owner_hears_when_the_disk_of_the_log_is_full() -> None:
    message = pitr_failed("Shop", "https://admin.example.com", ["archiving fails", "repository cloud cannot be used"], 37.5, NOW)
    assert message.subject == "⚠️ Shop - Point-in-Time Recovery Alert"
    assert message.text == (
        "Recovery to any second\n"
        "\n"
        "Status: ❌ AT RISK\n"
        "Time: 2026-01-03 03:00:00 UTC\n"
        "Error: archiving fails\n"
        "Error: repository cloud cannot be used\n"
        "\n"
        "Until that is mended the server keeps its log: its disk is full in about 1 d 13 h, and then the server stops.\n"
        "\n"
        "Action Required: Run `pgkeeper pitr window`; where a bucket is out of reach for long, `pgkeeper pitr detach cloud`\n"
        "\n"
        "View Details: https://admin.example.com/database/backups\n"
    )
    without = pitr_failed("Shop", "", ["a gap"], None, NOW).text
    assert "full" not in without
    assert without.endswith("Error: a gap\n\nAction Required: Run `pgkeeper pitr window`\n")
