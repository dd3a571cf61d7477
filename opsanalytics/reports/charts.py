"""A chart as the page embeds it: figure, words for those who do not see it, and a fixed id."""

from dataclasses import dataclass
from typing import Any

from opsanalytics.cleaning.printable import one_line
from opsanalytics.reports.text import script_json


@dataclass(frozen=True)
class Chart:
    """`id` is the same in every build of the same page; `alt` says what the chart shows, in a sentence."""

    id: str
    figure: Any
    alt: str

    @property
    def json(self) -> str:
        """Data and layout for Plotly, safe inside a script element."""
        return script_json(self.figure.to_plotly_json())

    @property
    def height(self) -> int:
        return int(self.figure.layout.height)

    @property
    def label(self) -> str:
        return one_line(self.alt)
