"""What vendors themselves count, landed beside the events to compare them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from pydantic import BaseModel, ConfigDict

from opsanalytics.lake.files import write_text
from opsanalytics.lake.paths import Home


@dataclass(frozen=True)
class VendorTotals:
    """An answer of the vendor."""

    events: dict[date, dict[str, int]]
    """Day on the vendor's clock -> event name -> how many."""
    exact: bool
    """Whether the vendor says that nothing was left out or lumped together."""


class DayTotals(BaseModel):
    """What the vendor counted for one day, when it was asked last."""

    model_config = ConfigDict(frozen=True)

    fetched_at: datetime
    exact: bool
    events: dict[str, int]


class LandedTotals(BaseModel):
    """All days of a source."""

    model_config = ConfigDict(frozen=True)

    days: dict[date, DayTotals] = {}


def read_totals(home: Home, source: str) -> LandedTotals:
    """What was landed for a source; no day if nothing was."""
    path = home.vendor_totals_file(source)
    return LandedTotals.model_validate_json(path.read_bytes()) if path.exists() else LandedTotals()


def land_totals(home: Home, source: str, totals: VendorTotals, now: datetime) -> None:
    """Keep an answer; it replaces earlier ones for its days. The caller holds the source's lock."""
    fetched_at = now.astimezone(UTC)
    fresh = {
        day: DayTotals(fetched_at=fetched_at, exact=totals.exact, events=events)
        for day, events in totals.events.items()
    }
    days = read_totals(home, source).days | fresh
    landed = LandedTotals(days={day: days[day] for day in sorted(days)})
    write_text(home.vendor_totals_file(source), landed.model_dump_json(indent=1) + "\n")
