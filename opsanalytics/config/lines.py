"""Which line of a TOML file holds which key; tomllib does not tell."""

import re
from collections.abc import Mapping
from typing import TypeAlias

Location: TypeAlias = tuple[int | str, ...]

HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
KEY = re.compile(
    r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)
PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")


def key_lines(text: str) -> dict[Location, int]:
    """Map each table header and each key at the start of a line to its line number, from 1.

    Keys inside inline tables are found through the line of the key that holds them.
    """
    lines: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            if "=" in line.split("#")[0] and not line.lstrip().startswith("["):
                continue
            path = _resolve(_parts(header[2]), counts)
            if header[1] == "[[":
                counts[path] = counts.get(path, -1) + 1
                path = (*path, counts[path])
            table = path
            lines.setdefault(table, number)
        elif key := KEY.match(line):
            lines.setdefault(table + _parts(key[1]), number)
    return lines


def line_of(lines: Mapping[Location, int], location: Location) -> int | None:
    """Line of the key, else of the nearest enclosing key or table."""
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return None


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in PART.findall(dotted))


def _resolve(parts: tuple[str, ...], counts: Mapping[Location, int]) -> Location:
    """`[a.b]` below `[[a]]` means b of the latest a."""
    path: Location = ()
    for position, part in enumerate(parts):
        path = (*path, part)
        if position < len(parts) - 1 and path in counts:
            path = (*path, counts[path])
    return path
