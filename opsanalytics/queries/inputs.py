"""What a question may be asked of, and in which forms a definition may come."""

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import polars as pl
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from opsanalytics.behavior.conditions import NAME, Definition
from opsanalytics.behavior.rows import Events, checked
from opsanalytics.behavior.subjects import with_person_properties
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.paths import Home


class ArrowTable(Protocol):
    """What hands its rows over as Arrow: a table of pandas, PyArrow, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


EventsOrLake: TypeAlias = pl.DataFrame | pl.LazyFrame | ArrowTable | Home | Path | str
"""A table of events (see `behavior.rows.Events`), one that can be made one, or the home folder of a lake."""
Asked = TypeVar("Asked", bound=Definition)
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DefinitionError(ValueError):
    """A definition cannot be read; the message names the file, the field and what is wrong."""


def lake_of(events: EventsOrLake) -> Home | None:
    """The lake, where events are one.

    Raises:
        FileNotFoundError: the folder holds no lake.
        TypeError: neither a table nor a folder.
    """
    if isinstance(events, (pl.DataFrame, pl.LazyFrame)) or _is_arrow(events):
        return None
    if not isinstance(events, (Home, Path, str)):
        raise TypeError(
            f"events: {type(events).__name__} is not a table (of Polars, pandas, PyArrow or DuckDB), nor the "
            "home folder of a lake; pl.DataFrame(...) makes a table of rows or columns"
        )
    home = events if isinstance(events, Home) else Home(Path(events))
    if not home.events.is_dir():
        raise FileNotFoundError(
            f"{home.events.absolute()} does not exist. Run the pipeline first (`opsanalytics run`), or name "
            "the home folder that it writes to"
        )
    return home


def table_of(events: EventsOrLake, persons: pl.DataFrame | None = None) -> Events:
    """Events as a table, with the columns of `persons` as person properties.

    Raises:
        FileNotFoundError, TypeError: see `lake_of`.
        ValueError: see `with_person_properties`.
    """
    home = lake_of(events)
    table: Events
    if home is not None:
        table = scan_events(home)
    elif isinstance(events, (pl.DataFrame, pl.LazyFrame)):
        table = events
    else:
        # An index that pandas made holds no events.
        table = pl.DataFrame(cast(ArrowTable, events)).drop("__index_level_0__", strict=False)
    return table if persons is None else with_person_properties(table, persons)


def _is_arrow(events: object) -> bool:
    return hasattr(events, "__arrow_c_stream__")


def nothing_like(events: Events) -> pl.DataFrame:
    """A table of the same columns without rows, to ask first: what is wrong with a question or with the
    columns is said by it, before anything is read."""
    return pl.DataFrame(schema=events.lazy().collect_schema())


def end_of(events: Events) -> datetime:
    """Time of the last event, UTC: what `as_of` is where nobody names one. 1970 if there is none.

    Raises:
        EventsError: see `rows.checked`.
    """
    frame, _ = checked(events)
    last = frame.select(pl.col("ts").max().dt.epoch("us")).collect().item()
    return moment(last)


def moment(last: int | None) -> datetime:
    """Microseconds since 1970 as a time, within what a datetime can hold; 1970 for None."""
    if last is None:
        return EPOCH
    span = [(edge - EPOCH) // timedelta(microseconds=1) for edge in (EARLIEST, LATEST)]
    return EPOCH + timedelta(microseconds=min(max(last, span[0]), span[1]))


def day_of(name: str, day: date | str | None) -> date | None:
    """A day, or a time, as a date or an ISO 8601 text.

    Raises:
        TypeError, ValueError: it is neither; the message names the argument.
    """
    if day is None or isinstance(day, date):
        return day
    if not isinstance(day, str):
        raise TypeError(f"{name}: {day!r} is not a day; write date(2026, 9, 1) or '2026-09-01'")
    try:
        return date.fromisoformat(day) if len(day) == len("2026-09-01") else datetime.fromisoformat(day)
    except ValueError:
        raise ValueError(f"{name}: {day!r} is not a day; write '2026-09-01'") from None


def as_definition(definition: Asked | Mapping[str, Any] | str | Path, kind: type[Asked]) -> Asked:
    """A definition as a model: as it is, from a mapping, or from a JSON or TOML file.

    Raises:
        DefinitionError: it is wrong; the message names every wrong field. No data has been read.
    """
    if isinstance(definition, kind):
        return definition
    if isinstance(definition, (str, Path)):
        return read_definition(Path(definition), kind)
    if not isinstance(definition, Mapping):
        raise DefinitionError(
            f"definition: {type(definition).__name__} is not a {kind.__name__}, a mapping or a file"
        )
    return _validated(dict(definition), kind, re.sub("(?<!^)(?=[A-Z])", "_", kind.__name__).lower())


def read_definition(path: Path, kind: type[Asked]) -> Asked:
    """Read a definition from a `.json` or `.toml` file with the keys of a definition in the configuration.

    Raises:
        DefinitionError: no such file, not JSON or TOML, or a wrong field.
    """
    if path.suffix not in (".json", ".toml"):
        raise DefinitionError(f"{path}: a definition is a .json or .toml file")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{path}: is not UTF-8; save it as UTF-8") from error
    try:
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise DefinitionError(f"{path}: not valid {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(data, dict):
        raise DefinitionError(
            f"{path}: holds {type(data).__name__}, not the keys of a {kind.__name__.lower()}"
        )
    return _validated(data, kind, str(path))


def _validated(data: dict[str, Any], kind: type[Asked], where: str) -> Asked:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems = [
            f"{where}: {'.'.join(map(str, _place(each))) or 'definition'}: {_told(each, kind)}"
            for each in error.errors()
        ]
        raise DefinitionError("\n".join(dict.fromkeys(problems))) from error


def _place(error: ErrorDetails) -> tuple[int | str, ...]:
    """Where the error is; without the kind of value that was tried last."""
    place = error["loc"]
    return place[: place.index("value") + 1] if _of_value(error) else place


def _of_value(error: ErrorDetails) -> bool:
    """Whether this is one of the kinds that the value of a filter was tried as."""
    place = error["loc"]
    return "value" in place[:-1] and error["type"].endswith(("_type", "_parsing", "_from_float"))


def _told(error: ErrorDetails, kind: type[Definition]) -> str:
    if error["type"] == "missing":
        return "is required but missing"
    given = error["input"]
    if _of_value(error):
        return "must be text, a number, true or false, or a list of these"
    if error["type"] == "tuple_type":
        return f"must be a list, not {given!r}"
    if error["type"] == "model_type":
        return f"must be a table of fields (or its short form), not {given!r}"
    if error["type"] == "string_type":
        return f"must be text, not {given!r}"
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME:
        return f"{given!r} is no name; write small letters, digits and _, beginning with a letter"
    if error["type"] != "extra_forbidden":
        return error["msg"].removeprefix("Value error, ")
    if len(error["loc"]) > 1:
        return "unknown field"
    near = get_close_matches(str(error["loc"][0]), kind.model_fields, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown field{meant or '.'} There are {', '.join(kind.model_fields)}"
