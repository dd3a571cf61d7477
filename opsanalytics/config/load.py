"""Reading opsanalytics.toml, with mistakes located by file, line and key."""

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from opsanalytics.config.files import ConfigError, ConfigFile, Problem, include, read_toml
from opsanalytics.config.lines import Location, line_of
from opsanalytics.config.settings import Settings

CONFIG_NAME = "opsanalytics.toml"
CONFIG_VARIABLE = "OPSANALYTICS_CONFIG"


def find_config(environ: Mapping[str, str] = os.environ) -> Path:
    """The file named by OPSANALYTICS_CONFIG, else opsanalytics.toml in the current folder.

    Raises:
        ConfigError: there is no such file.
    """
    named = environ.get(CONFIG_VARIABLE)
    path = Path(named) if named else Path.cwd() / CONFIG_NAME
    if not path.is_file():
        source = f"named by {CONFIG_VARIABLE}" if named else "in the current folder"
        raise ConfigError(
            [
                Problem(
                    path,
                    None,
                    "",
                    f"there is no such file ({source}). Run `opsanalytics init` to write one, change to the "
                    f"folder that has it, or set {CONFIG_VARIABLE}.",
                )
            ]
        )
    return path.resolve()


def load_settings(path: Path) -> Settings:
    """Read and validate the configuration. A relative `home` is relative to the file's folder.

    Raises:
        ConfigError: unreadable, not TOML, unknown keys, wrong values; all mistakes at once.
    """
    main = read_toml(path)
    included = include(main)
    try:
        return Settings.model_validate(main.data, context={"folder": path.parent})
    except ValidationError as error:
        problems = [_problem(main, included, each) for each in error.errors()]
        raise ConfigError(sorted(problems, key=lambda p: (p.file != path, p.file, p.line or 0))) from error


def _problem(main: ConfigFile, included: Mapping[Location, ConfigFile], error: ErrorDetails) -> Problem:
    at = next((at for at in included if error["loc"][: len(at)] == at), ())
    file = included.get(at, main)
    location = _in_file(error["loc"][len(at) :], file.data)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown key" + _nearest(error["loc"])
    elif error["type"] == "missing":
        message = "is required but missing"
    elif error["type"] == "union_tag_invalid":
        context = error["ctx"]
        message = f"unknown kind {context['tag']!r}; known are {context['expected_tags']}"
    elif error["type"] == "literal_error":
        message = f"{error['input']!r}: expected {error['ctx']['expected']}"
    key = ".".join(f"[{part}]" if isinstance(part, int) else part for part in location).replace(".[", "[")
    return Problem(file.path, line_of(file.lines, location), key, message)


def _in_file(location: Sequence[int | str], data: Any) -> Location:
    """Drop the parts that pydantic adds (the tag of a union) and that are not keys of the file."""
    found: list[int | str] = []
    at = data
    for position, part in enumerate(location):
        if isinstance(part, int) and isinstance(at, list) and part < len(at):
            at = at[part]
        elif isinstance(part, str) and isinstance(at, dict):
            last = position == len(location) - 1
            if part not in at and not last:
                continue
            at = at.get(part)
        elif not isinstance(part, str) or position != len(location) - 1:
            continue
        elif isinstance(at, list | dict) or not found:
            pass
        else:
            continue
        found.append(part)
    return tuple(found)


def _nearest(location: Sequence[int | str]) -> str:
    wrong = str(location[-1])
    known = _known_keys(location[:-1])
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known keys are {', '.join(known)}"


def _known_keys(location: Sequence[int | str]) -> list[str]:
    """Keys that the model at `location` knows, read off the JSON schema of all settings."""
    schema = Settings.model_json_schema()

    def resolve(node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        return node

    def options(node: dict[str, Any]) -> list[dict[str, Any]]:
        node = resolve(node)
        variants = [*node.get("anyOf", []), *node.get("oneOf", [])]
        return [each for variant in variants for each in options(variant)] or [node]

    at: list[dict[str, Any]] = [schema]
    for part in location:
        below: list[dict[str, Any]] = []
        for node in at:
            if isinstance(part, int):
                items = node.get("items") or next(iter(node.get("prefixItems", [])), None)
                below += options(items) if items else []
            elif part in node.get("properties", {}):
                below += options(node["properties"][part])
            elif node.get("properties", {}).get("kind", {}).get("const") == part:
                below.append(node)
            elif isinstance(node.get("additionalProperties"), dict):
                below += options(node["additionalProperties"])
        at = below or at
    return sorted({key for node in at for key in node.get("properties", {})})
