"""The documentation says what the code does, as far as that can be told by comparing the two."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from pgkeeper.model.errors import ErrorInfo
from pgkeeper.model.job import Job, JobEvent
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.prices import PRICES, Price, parse_prices
from pgkeeper.operations.backup import BackupReport
from pgkeeper.operations.cost import CostReport
from pgkeeper.operations.delete import DeleteReport
from pgkeeper.operations.doctor import DoctorReport
from pgkeeper.operations.drill_report import DrillReport
from pgkeeper.operations.drills import DrillList
from pgkeeper.operations.expire import ExpireReport
from pgkeeper.operations.jobs import JobList
from pgkeeper.operations.keep import KeepReport
from pgkeeper.operations.listing import BackupSummary
from pgkeeper.operations.notify_test import NotifyReport
from pgkeeper.operations.pin import PinReport
from pgkeeper.operations.pitr_attach import AttachReport, DetachReport
from pgkeeper.operations.pitr_backup import PitrBackupReport
from pgkeeper.operations.pitr_check import PitrCheckReport
from pgkeeper.operations.pitr_expire import PitrExpireReport
from pgkeeper.operations.pitr_mark import MarkReport
from pgkeeper.operations.pitr_restore import PitrRestorePlan, PitrRestoreReport
from pgkeeper.operations.pitr_verify import PitrVerifyReport
from pgkeeper.operations.pitr_window import WindowReport
from pgkeeper.operations.plan_replace_cluster import ReplaceClusterPlan
from pgkeeper.operations.plan_undo_cluster import UndoClusterPlan
from pgkeeper.operations.rebuild_catalog import RebuildReport
from pgkeeper.operations.rebuild_copies import RebuildCopiesReport
from pgkeeper.operations.replace import ReplaceReport
from pgkeeper.operations.replace_cluster_report import ReplaceClusterReport
from pgkeeper.operations.restore import RestoreReport
from pgkeeper.operations.resume import ResumeReport
from pgkeeper.operations.stats import StatsReport
from pgkeeper.operations.status import StatusReport
from pgkeeper.operations.sync import SyncReport
from pgkeeper.operations.undo import UndoReport
from pgkeeper.operations.verify import VerifyReport
from pgkeeper.postgres import server
from pgkeeper.settings import NO_VARIABLES, Settings, load_settings
from tests.unit.printed_commands import leaves, refused

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("roles/*/README.md"))]

PATTERNS = {"pgkeeper COMMAND --help", "pgkeeper …", "pgkeeper sync, through 1 GBit/s"}
"""What stands for any command, and a line of the benchmark."""
INCOMPLETE = re.compile("Missing argument|requires an argument")
"""How a command is refused that is only named, without what it is given."""

DOCUMENTS: dict[str, type[BaseModel]] = {
    "backup": BackupReport,
    "verify": VerifyReport,
    "restore": RestoreReport,
    "pin": PinReport,
    "unpin": PinReport,
    "replace": ReplaceReport,
    "undo": UndoReport,
    "resume": ResumeReport,
    "delete": DeleteReport,
    "keep": KeepReport,
    "expire": ExpireReport,
    "status": StatusReport,
    "stats": StatsReport,
    "cost": CostReport,
    "doctor": DoctorReport,
    "notify-test": NotifyReport,
    "catalog-rebuild": RebuildReport,
    "catalog-rebuild-copies": RebuildCopiesReport,
    "sync": SyncReport,
    "drill": DrillReport,
    "drill-list": DrillList,
    "pitr-window": WindowReport,
    "pitr-check": PitrCheckReport,
    "pitr-backup": PitrBackupReport,
    "pitr-mark": MarkReport,
    "pitr-verify": PitrVerifyReport,
    "pitr-detach": DetachReport,
    "pitr-attach": AttachReport,
    "pitr-expire": PitrExpireReport,
    "pitr-restore-plan": PitrRestorePlan,
    "pitr-restore": PitrRestoreReport,
    "pitr-replace-plan": ReplaceClusterPlan,
    "pitr-replace": ReplaceClusterReport,
    "pitr-undo-plan": UndoClusterPlan,
    "pitr-resume": ResumeReport,
    "job": Job,
    "job-list": JobList,
}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def marked(name: str, mark: str, language: str) -> str:
    found = re.search(rf"^<!-- test: {mark} -->\n+```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name} has no block marked {mark}"
    return found[1]


def samples() -> dict[str, dict[str, Any]]:
    """Each document of json.md by its shape."""
    blocks = re.findall(r"^```json\n(.*?)^```$", page("json.md"), re.MULTILINE | re.DOTALL)
    documents = [json.loads(block) for block in blocks]
    return {str(document.pop("schema")): document for document in documents if "schema" in document}


def messages_in(text: str) -> list[str]:
    """Return the messages that tables explain: what stands in backticks in the first column below the head `Message`."""
    tables = re.findall(r"^\| Message \|.*\n\|[- |]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    first = [row.split(" | ")[0] for table in tables for row in table.splitlines()]
    return [message for cell in first for message in re.findall(r"`([^`]+)`", cell)]


def assert_shape(model: type[BaseModel], sample: dict[str, Any]) -> None:
    """Fail unless the sample has every field of the model, no other, and values as the model writes them."""
    assert model.model_validate(sample).model_dump(mode="json") == sample


def test_every_setting_is_described_with_its_default() -> None:
    rows = re.findall(r"^\| `(BACKUP_\w+)` \| (.+?) \|", page("settings.md"), re.MULTILINE)
    fields = {name: field for name, field in Settings.model_fields.items() if name not in NO_VARIABLES}
    assert [name for name, _ in rows] == list(dict.fromkeys(name for name, _ in rows))
    assert {name for name, _ in rows} == {f"BACKUP_{name.upper()}" for name in fields}
    for name, written in rows:
        field = fields[name.removeprefix("BACKUP_").lower()]
        default = field.default
        if field.default_factory is not None:
            assert written == "the host's name"
        elif name == "BACKUP_PROOF_DIR":
            assert written == "`proofs` in `BACKUP_STATE_DIR`"
        elif name == "BACKUP_PITR_DIR":
            assert written == "`pitr/side` in `BACKUP_STATE_DIR`"
        elif name == "BACKUP_DATABASES":
            assert (written, default) == ("`all`", ())
        elif name == "BACKUP_CATALOG_URL":
            assert (written, default.get_secret_value()) == ("`catalog.db` in `BACKUP_STATE_DIR`", "")
        elif default in ("", (), None) or (isinstance(default, SecretStr) and not default.get_secret_value()):
            assert written == "none"
        else:
            assert written == f"`{str(default).lower() if isinstance(default, bool) else default}`", name


def test_the_variables_of_libpq_are_those_that_are_passed_on() -> None:
    listed = re.search(r"<!-- test: libpq -->\n(.*?)\n\n", page("settings.md"), re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`(PG\w+)`", listed[1])) == {*server._KEYWORDS, "PGSERVICEFILE"}


def test_the_settings_file_of_the_page_is_one(tmp_path: Path) -> None:
    file = tmp_path / "pgkeeper.env"
    file.write_text(marked("settings.md", "settings-file", "ini"), encoding="utf-8")
    settings = load_settings({"PGKEEPER_ENV_FILE": str(file)})
    assert settings.warnings == ()
    assert settings.databases == ("app", "metrics")
    assert settings.libpq == {"PGPORT": "5433"}
    assert [url.get_secret_value().partition(":")[0] for url in settings.notify_urls] == ["mailtos", "tgram"]
    assert "pa$$word" in settings.notify_urls[0].get_secret_value()


def test_the_prices_of_the_page_are_those_that_are_reckoned_with() -> None:
    table = page("cost.md").partition("<!-- test: prices -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    written = []
    for row in table:
        provider, storage_class, storage, free, egress, free_egress, retrieval, days = (
            cell.strip(" `") for cell in row.strip("|").split("|")
        )
        amount = float(free_egress.split()[0]) if free_egress != "none" else 0
        times = "times" in free_egress
        written.append(
            Price(
                provider=provider,
                storage_class=storage_class,
                storage=float(storage),
                egress=float(egress),
                free=float(free),
                egress_free=0 if times else amount,
                egress_free_times=amount if times else 0,
                retrieval=float(retrieval),
                minimum_days=int(days.removesuffix(" days")),
            )
        )
    assert tuple(written) == PRICES


def test_the_prices_that_the_page_overrides_are_understood() -> None:
    (example,) = re.findall(r"^BACKUP_PRICES='(.*)'$", page("cost.md"), re.MULTILINE)
    standard, amazon = parse_prices(example)
    assert (standard.storage, standard.egress, amazon.storage, amazon.egress_free) == (0.006, 0.01, 0.0245, 0)


def test_every_document_has_a_sample() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/pgkeeper/cli").glob("*.py"))
    printed = set(re.findall(r'(?:door\.show|print_document)\("([a-z-]+)"', source))
    assert set(samples()) == {f"pgkeeper.{shape}/1" for shape in printed}


@pytest.mark.parametrize("shape", DOCUMENTS)
def test_a_report_looks_as_its_sample(shape: str) -> None:
    assert_shape(DOCUMENTS[shape], samples()[f"pgkeeper.{shape}/1"])


def test_the_other_documents_look_as_their_samples() -> None:
    found = samples()
    for backup in found["pgkeeper.list/1"]["backups"]:
        assert_shape(BackupSummary, backup)
    shown = found["pgkeeper.show/1"]
    assert set(shown) == {"path", "pinned", "manifest"}
    assert_shape(Manifest, shown["manifest"])
    assert set(found["pgkeeper.pitr-side/1"]) == {"directory", "state"}
    assert set(found["pgkeeper.error/1"]) == {"error"}
    assert_shape(ErrorInfo, found["pgkeeper.error/1"]["error"])
    log = found["pgkeeper.job-log/1"]
    assert set(log) == {"job_id", "state", "events"}
    for event in log["events"]:
        assert_shape(JobEvent, event)


def test_messages_that_are_explained_are_messages_that_exist() -> None:
    code = [*(ROOT / "src").rglob("*.py"), *ROOT.glob("module_utils/*.py"), *ROOT.glob("library/*.py")]
    places = [*code, *ROOT.glob("roles/*/*/*"), *(ROOT / "playbooks").rglob("*.yml")]
    spoken = " ".join(path.read_text(encoding="utf-8") for path in places if path.is_file())
    table = [message for path in DOCS.glob("*.md") for message in messages_in(path.read_text(encoding="utf-8"))]
    assert len(table) > 100
    unknown = [message for message in table if not all(part.strip() in spoken for part in message.split("…"))]
    assert not unknown


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_the_pages_are_commands_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = [(command, True) for command in re.findall(r"`(pgkeeper [^`\n]+)`", text)]
    blocks = "".join(re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    typed = [(command, False) for command in re.findall(r"^ *(?:sudo )?(pgkeeper [^|&;\n]+)", blocks, re.MULTILINE)]
    said = PATTERNS | set(messages_in(text))
    problems = {command: refused(command.replace("…", "x")) for command, _ in (*named, *typed) if command not in said}
    mentions = {command for command, only_named in named if only_named}
    wrong = {command: why for command, why in problems.items() if why and not (command in mentions and INCOMPLETE.search(why))}
    assert not wrong


def test_each_command_has_the_options_that_the_readme_promises_of_all() -> None:
    assert "Each has `--help`, and `--json` for programs." in (ROOT / "README.md").read_text(encoding="utf-8")
    without = [path for path, command in leaves().items() if not any("--json" in option.opts for option in command.params)]
    assert not without


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_of_the_checkout_that_a_page_names_are_there(path: Path) -> None:
    named = re.findall(r"\b(?:playbooks|scripts|inventory|group_vars)/[\w./-]*\w", path.read_text(encoding="utf-8"))
    example = ROOT / "inventory/example"
    places = {
        name: example / name if name.startswith("group_vars/") else ROOT / name.replace("inventory/mine", "inventory/example")
        for name in named
    }
    assert not [name for name, place in places.items() if not place.exists()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        place, _, anchor = target.partition("#")
        other = (path.parent / place).resolve() if place else path
        assert other.exists(), f"{path.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target
