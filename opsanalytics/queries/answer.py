"""What every answer to a question has."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Generic, Protocol, TypeVar

import polars as pl

from opsanalytics.behavior.rows import LeftOut
from opsanalytics.behavior.spec import Definition
from opsanalytics.reports import formats


class Counted(Protocol):
    """What all evaluated reports have."""

    @property
    def definition(self) -> Any: ...
    @property
    def as_of(self) -> datetime: ...
    @property
    def left_out(self) -> LeftOut: ...
    def to_polars(self) -> pl.DataFrame: ...
    def to_dict(self) -> dict[str, Any]: ...


Counts = TypeVar("Counts", bound=Counted)


@dataclass(frozen=True, eq=False, repr=False)
class Answer(ABC, Generic[Counts]):
    """One evaluated report."""

    counts: Counts

    @property
    def definition(self) -> Definition:
        definition: Definition = self.counts.definition
        return definition

    @property
    def definition_id(self) -> str:
        return self.definition.definition_id

    @property
    def as_of(self) -> datetime:
        return self.counts.as_of

    @property
    def left_out(self) -> LeftOut:
        """Matching events without person or time, which count nowhere."""
        return self.counts.left_out

    def to_polars(self) -> pl.DataFrame:
        """The rows of the report's mart without `quality`."""
        return self.counts.to_polars()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return self.counts.to_dict()

    def __repr__(self) -> str:
        return repr(self.counts)

    def _repr_html_(self) -> str:
        return "".join(self.html_parts()) or f"<p>{escape(repr(self))}</p>"

    @abstractmethod
    def html_parts(self) -> list[str]:
        """The report as tables."""

    @property
    def _caption(self) -> str:
        label: str = self.counts.definition.label
        return f"{label}, as of {formats.moment(self.as_of, 'UTC')}"
