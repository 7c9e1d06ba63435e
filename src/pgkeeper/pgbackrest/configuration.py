"""pgBackRest's configuration file, as far as others must know it: where the cluster lies, and where repositories do."""

import configparser
from pathlib import Path

from pgkeeper.model.errors import ConfigurationError


def configured_paths(config_file: Path, stanza: str) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the data directory of the stanza, None where it does not stand there, and the directories of local repositories.

    Raises ConfigurationError (exit status 3) when the file can't be read.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    try:
        parser.read_string(config_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigurationError(f"pgBackRest's configuration {config_file} cannot be read", type(error).__name__) from error
    options = {name: value for section in ("global", stanza) if parser.has_section(section) for name, value in parser.items(section)}
    numbers = {name[len("repo") : -len("-path")] for name in options if name.startswith("repo") and name.endswith("-path")}
    local = [Path(options[f"repo{number}-path"]) for number in sorted(numbers) if options.get(f"repo{number}-type", "posix") == "posix"]
    data = options.get("pg1-path")
    return Path(data) if data else None, tuple(local)
