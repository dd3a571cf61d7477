"""What each result was made of, so that it is made again when that changes and left alone when not.

A step writes some files. Its record holds their hashes, and for each part of the step (a definition, or the
step as a whole) the facts that the part depends on. A result is current if its files are those that were
written and every fact is what it was. Records are written after the files, so that a killed step is stale.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from opsanalytics.lake.files import sha256_of, write_text
from opsanalytics.lake.paths import Home

Facts = Mapping[str, str]
"""Name of an input, as people call it, to a digest of it or its value."""


class DayState(BaseModel):
    """Events of one source and UTC day when they were read."""

    model_config = ConfigDict(frozen=True)

    rows: int
    content: str
    """Print of the events themselves."""
    persons: str
    """Print of who they belong to."""


class Record(BaseModel):
    """What a step wrote, and from what."""

    model_config = ConfigDict(frozen=True)

    outputs: dict[str, str] = {}
    """Path below the home folder to SHA-256; empty where no file is to be."""
    parts: dict[str, dict[str, str]] = {}
    """Name of a part to its facts."""
    days: dict[str, dict[date, DayState]] = {}
    """Events read, by source and day: tells which days made a step compute again."""

    def intact(self, home: Home, paths: Iterable[Path]) -> bool:
        """Whether these files are the very ones that were recorded."""
        return self.outputs == hashes(home, paths)


def read_record(home: Home, step: str) -> Record:
    """The record of a step; an empty one if there is none, or none of this form."""
    path = _path(home, step)
    if not path.exists():
        return Record()
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError:
        # Of another version of the program, which is reason enough to compute again.
        return Record()


def write_record(home: Home, step: str, record: Record) -> None:
    """Remember what a step did; call it when all its files are written."""
    write_text(_path(home, step), record.model_dump_json() + "\n")


def hashes(home: Home, paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files by their path below the home folder; empty for one that is not there."""
    return {str(path.relative_to(home.root)): sha256_of(path) if path.exists() else "" for path in paths}


def _path(home: Home, step: str) -> Path:
    return home.fingerprints / "steps" / f"{step}.json"
