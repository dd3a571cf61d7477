"""The map from a file's columns to canonical ones, as the configuration states it."""

import difflib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Keys = tuple[str, ...]
"""A path, cut into the keys it goes through."""


def as_paths(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Paths = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(as_paths), Field(min_length=1)
]
"""One path, or several of which the first that has a value counts."""


def keys_of(path: str) -> Keys:
    """Cut a path at its dots. `\\.` is a dot inside a key and `\\\\` a backslash.

    Everything else stays as it is: case, `$`, quotes, spaces, emoji.
    """
    keys = [""]
    position = 0
    while position < len(path):
        character = path[position]
        if character == "\\" and path[position + 1 : position + 2] in (".", "\\"):
            position += 1
            keys[-1] += path[position]
        elif character == ".":
            keys.append("")
        else:
            keys[-1] += character
        position += 1
    return tuple(keys)


class Columns(BaseModel):
    """`[sources.columns]`: which path of a record is what. A list of paths: the first with a value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: Paths
    ts: Paths
    distinct_id: Paths | None = None
    """Id as ingested; the user, else the device, if not given."""
    user_id: Paths | None = None
    device_id: Paths | None = None
    event_id: Paths | None = None
    """Id that the sender gave the event; two records with one are one event."""
    received_at: Paths | None = None
    session_id: Paths | None = None
    platform: Paths | None = None
    os: Paths | None = None
    browser: Paths | None = None
    app_version: Paths | None = None
    country: Paths | None = None
    url: Paths | None = None
    properties: Paths | None = None
    """A nested object, or a text that holds one. Not given: all columns that nothing else names."""

    @property
    def stated(self) -> dict[str, tuple[str, ...]]:
        """Our column -> paths, of those that are given."""
        return {name: paths for name in type(self).model_fields if (paths := getattr(self, name))}

    @cached_property
    def keys(self) -> dict[str, tuple[Keys, ...]]:
        """Our column -> paths, cut into keys."""
        return {name: tuple(keys_of(path) for path in paths) for name, paths in self.stated.items()}


class EventTypes(BaseModel):
    """`[sources.types]`: records whose event is named by their type (page views, identify calls)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: Annotated[str, Field(min_length=1)] = "type"
    names: Mapping[str, Annotated[str, Field(min_length=1)]]
    """Type -> event name. Records of other types are named by `columns.event`."""

    @cached_property
    def keys(self) -> Keys:
        return keys_of(self.column)


def nearest(missing: Sequence[str], columns: set[str]) -> str:
    """A hint what may be meant."""
    near = sorted({match for name in missing for match in difflib.get_close_matches(name, columns, 1, 0.6)})
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
