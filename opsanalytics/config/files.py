"""The files that the configuration is made of: opsanalytics.toml and those it names."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opsanalytics.config.lines import Location, key_lines

PLAN: Location = ("quality", "tracking_plan")
SUITES: Location = ("quality", "suites")


@dataclass(frozen=True)
class Problem:
    """One mistake in the configuration."""

    file: Path
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class ConfigError(ValueError):
    """The configuration cannot be used; `problems` lists every mistake found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True)
class ConfigFile:
    """One file as it was read."""

    path: Path
    data: Any
    lines: Mapping[Location, int]
    """Line of each key, where the format tells."""


def read_toml(path: Path) -> ConfigFile:
    """Read a TOML file.

    Raises:
        ConfigError: unreadable, not UTF-8, not TOML.
    """
    text = _text(path)
    try:
        return ConfigFile(path, tomllib.loads(text), key_lines(text))
    except tomllib.TOMLDecodeError as error:
        line = getattr(error, "lineno", None)
        raise ConfigError([Problem(path, line, "", f"not valid TOML: {error}")]) from error


def include(main: ConfigFile) -> dict[Location, ConfigFile]:
    """Put what stands in the files that `[quality]` names in the place of their names.

    Returns where the content of each file begins in the settings.

    Raises:
        ConfigError: a file or folder that is named does not exist or cannot be read.
    """
    quality = main.data.get("quality")
    if not isinstance(quality, dict):
        return {}
    included: dict[Location, ConfigFile] = {}
    if PLAN[-1] in quality:
        plan = read_toml(_named(main, PLAN, "a TOML file"))
        quality[PLAN[-1]] = plan.data
        included[PLAN] = plan
    if SUITES[-1] in quality:
        folder = _named(main, SUITES, "a folder of suites")
        if not folder.is_dir():
            raise ConfigError([_wrong(main, SUITES, f"{folder} is not a folder")])
        quality[SUITES[-1]] = []
        for number, path in enumerate(sorted(folder.glob("*.json"))):
            suite = _read_suite(path)
            quality[SUITES[-1]].append(suite.data | {"table": path.stem})
            included[(*SUITES, number)] = suite
    return included


def _named(main: ConfigFile, key: Location, what: str) -> Path:
    value = main.data["quality"][key[-1]]
    if not isinstance(value, str):
        raise ConfigError([_wrong(main, key, f"write the name of {what}, relative to {main.path.name}")])
    path = main.path.parent / value
    if not path.exists():
        raise ConfigError([_wrong(main, key, f"there is no {path}")])
    return path


def _wrong(main: ConfigFile, key: Location, message: str) -> Problem:
    return Problem(main.path, main.lines.get(key), ".".join(map(str, key)), message)


def _read_suite(path: Path) -> ConfigFile:
    try:
        data = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise ConfigError([Problem(path, error.lineno, "", f"not valid JSON: {error.msg}")]) from error
    if not isinstance(data, dict):
        raise ConfigError([Problem(path, 1, "", 'a suite is a JSON object with the key "expectations"')])
    return ConfigFile(path, data, {})


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise ConfigError([Problem(path, None, "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(path, line, "", "is not UTF-8; save it as UTF-8")]) from error
