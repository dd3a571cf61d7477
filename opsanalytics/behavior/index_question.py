"""A funnel asked of the behavior index: the question, checked, and the times that matter to it."""

from dataclasses import dataclass
from datetime import date, datetime

from opsanalytics.behavior.folding import check_preset
from opsanalytics.behavior.funnel_rows import check_range
from opsanalytics.behavior.index import BehaviorIndex
from opsanalytics.behavior.periods import LONG_AGO, microseconds, time_range, zone
from opsanalytics.behavior.rows import check_as_of, window_microseconds
from opsanalytics.behavior.semantics import Semantics, preset_named
from opsanalytics.behavior.spec import Funnel


@dataclass(frozen=True, eq=False)
class Asked:
    """A checked question."""

    definition: Funnel
    semantics: Semantics
    as_of: datetime
    first: date | None
    last: date | None
    timezone: str
    until: int
    """Last time of an event that counts: `as_of`, or where the index ends before."""

    @property
    def now(self) -> int:
        return microseconds(self.as_of)

    @property
    def window(self) -> int:
        return window_microseconds(self.definition.window)

    @property
    def entries(self) -> tuple[int, int]:
        """First and last time of an entry."""
        since, to = time_range(self.first, self.last, self.timezone)
        return since, min(to, self.until)

    @property
    def events(self) -> tuple[int, int]:
        """First and last time of an event that is looked at."""
        if (self.semantics.date_range or self.definition.date_range) == "all_steps":
            return self.entries
        return LONG_AGO, self.until

    @property
    def keeps_all(self) -> bool:
        """Whether events that serve no step matter."""
        return self.definition.order == "strict" or "strict_order" in self.semantics.modes

    def parts(self) -> list[tuple[bool, int, int]]:
        """Whether mature, and first and last entry, of the attempts that are kept apart."""
        since, to = self.entries
        if not self.semantics.maturity:
            return [(True, since, to)]
        ripe = min(to, self.now - self.window)
        return [(True, since, ripe), (False, max(since, ripe + 1), to)]


def asked_of(
    index: BehaviorIndex,
    definition: Funnel,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
    preset: str | Semantics,
) -> Asked:
    """The question, checked.

    Raises:
        ValueError, PresetError: as `funnel.funnel`.
    """
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    semantics = preset_named(preset)
    check_preset(definition, semantics)
    until = min(microseconds(as_of), index.until)
    return Asked(definition, semantics, as_of, first, last, timezone, until)
