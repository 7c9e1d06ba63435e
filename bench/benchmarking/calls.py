"""Measured calls of pgkeeper and of other programs, each begun when the disk has nothing left to do."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL
from typing import IO, Any

from .cluster import Cluster
from .measure import Usage, measure
from .results import Sample
from .user import give_to_postgres
from .workspace import Workspace


class Pgkeeper:
    """The program, with directories of its own, below one of its `name`, and settings of its own, those in `more` among them."""

    def __init__(self, program: Path, cluster: Cluster, workspace: Workspace, name: str = "own", **more: str) -> None:
        self.program = program
        place = workspace.directory(name)
        values = {"BACKUP_PROJECT_NAME": "Benchmark", **more}
        # Short ones: there will be sockets in them, whose paths are short of room.
        for key, each in (("BACKUP_DIR", "backups"), ("BACKUP_STATE_DIR", "state"), ("BACKUP_LOG_DIR", "log")):
            if key not in values:
                values[key] = str(workspace.directory(f"{name}/{each}"))
        settings = place / "pgkeeper.env"
        settings.write_text("".join(f"{key}='{value}'\n" for key, value in values.items()), encoding="utf-8")
        give_to_postgres(settings, 0o600)
        home = workspace.directory(f"{name}/home")
        self.environment = {
            **cluster.environment,
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "TMPDIR": str(home),
            "PGKEEPER_ENV_FILE": str(settings),
            # An installed release is compiled; here that is done once, while warming up, and not into the checkout.
            "PYTHONPYCACHEPREFIX": str(workspace.directory(f"{name}/compiled")),
        }

    def arguments(self, *words: str) -> list[str]:
        """Return the command line of a call."""
        return [str(self.program), *words]


class Calls:
    """What is called and measured, as postgres. `cluster` is the one whose work is waited for before each call."""

    def __init__(self, pgkeeper: Pgkeeper, cluster: Cluster) -> None:
        self._pgkeeper = pgkeeper
        self._cluster = cluster

    def pgkeeper(self, *words: str, more: Mapping[str, str] | None = None, product: Path | None = None) -> tuple[Usage, Any]:
        """Measure a call of pgkeeper, with `more` in its environment; returns the report it prints as well. Raises as `measure` does."""
        return self.told(self._pgkeeper.arguments(*words, "--json"), {**self._pgkeeper.environment, **(more or {})}, product)

    def told(self, arguments: Sequence[str], environment: Mapping[str, str], product: Path | None = None) -> tuple[Usage, Any]:
        """Measure a command; returns the JSON it prints as well."""
        with tempfile.TemporaryFile() as output:
            usage = self.measured(arguments, environment, output, product)
            output.seek(0)
            return usage, json.load(output)

    def measured(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: int | IO[bytes] = DEVNULL,
        product: Path | None = None,
    ) -> Usage:
        """Measure a command; `product` is as `measure` has it."""
        self._cluster.settle()
        with tempfile.TemporaryFile() as errors:
            return measure(arguments, environment, output, errors, product)


def as_sample(usage: Usage, produced: int | None, *, own: bool = False, sending: float | None = None) -> Sample:
    """Return what a round's step took as the results have it; with `own` the peak of pgkeeper's own process is among it."""
    return Sample(
        wall_seconds=round(usage.wall_seconds, 4),
        cpu_seconds=round(usage.cpu_seconds, 4),
        peak_bytes=usage.peak_bytes,
        own_peak_bytes=usage.own_peak_bytes if own else None,
        produced_bytes=produced,
        sending_seconds=None if sending is None else round(sending, 4),
    )
