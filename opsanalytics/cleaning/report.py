"""What a cleaning run found and changed."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class CleanReport:
    """State of a source's part of the lake after cleaning, and what the run changed."""

    source: str
    deliveries: int
    """Complete deliveries in the landing area."""
    parsed: tuple[str, ...]
    """Deliveries that were read in this run because they or the rules were new."""
    records: int
    """Records in all deliveries."""
    canonical: int
    """Events (or messages) in the lake."""
    duplicates: int
    quarantined: int
    identity_verbs: int = 0
    """Records in all deliveries that only state an identity (`$identify`, ...). They are kept under
    their own event name, so that nothing vanishes; no analysis should count them as behaviour."""
    days: dict[date, tuple[int, int]] = field(default_factory=dict)
    """UTC event days whose events changed: events before and after."""
