"""pgBackRest's configuration file, as far as others must know it: where the cluster lies, and where repositories do."""

import configparser
from collections.abc import Mapping, Sequence
from pathlib import Path

from pgkeeper.model.errors import ConfigurationError


def configured_paths(config_file: Path, stanza: str) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the data directory of the stanza, None where it does not stand there, and the directories of local repositories.

    Raises ConfigurationError (exit status 3) when the file can't be read.
    """
    options = _options((config_file,), ("global", stanza))
    data = options.get("pg1-path")
    return Path(data) if data else None, _local_repositories(options)


def used_directories(config_file: Path, attached: Path, stanza: str) -> tuple[Path, ...]:
    """Return the directories that pgBackRest writes to: local repositories, attached ones too, its spool, locks and logs.

    Raises ConfigurationError (exit status 3) when a file can't be read.
    """
    options = _options(_files(config_file, attached), ("global", stanza))
    own = (Path(options[name]) for name in ("spool-path", "lock-path", "log-path") if name in options)
    return (*_local_repositories(options), *own)


def queue_limit(config_file: Path, attached: Path, stanza: str) -> str | None:
    """Return `archive-push-queue-max`, beyond which pgBackRest drops the log, None where none is set.

    Raises ConfigurationError (exit status 3) when a file can't be read.
    """
    sections = ("global", "global:archive-push", stanza, f"{stanza}:archive-push")
    return _options(_files(config_file, attached), sections).get("archive-push-queue-max")


def _local_repositories(options: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the directories of the repositories that lie on this host, by their numbers."""
    numbers = {name[len("repo") : -len("-path")] for name in options if name.startswith("repo") and name.endswith("-path")}
    return tuple(Path(options[f"repo{number}-path"]) for number in sorted(numbers) if options.get(f"repo{number}-type", "posix") == "posix")


def _files(config_file: Path, attached: Path) -> tuple[Path, ...]:
    """Return the files as pgBackRest reads them: its configuration, then those of the include path."""
    return (config_file, *sorted(attached.glob("*.conf")))


def _options(files: Sequence[Path], sections: Sequence[str]) -> dict[str, str]:
    """Return the options that stand in these sections; a later section overrides."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    for file in files:
        try:
            parser.read_string(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            raise ConfigurationError(f"pgBackRest's configuration {file} cannot be read", type(error).__name__) from error
    return {name: value for section in sections if parser.has_section(section) for name, value in parser.items(section)}
