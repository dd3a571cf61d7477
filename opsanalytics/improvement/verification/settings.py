"""`[verification]` and `[[releases]]`: how fixes are checked, and what says that one is out."""

from datetime import date, timedelta
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from opsanalytics.behavior.spec import Filters
from opsanalytics.improvement.settings import ItemId, Settings


class VerificationSettings(Settings):
    """How fixes are checked. What a frozen plan says goes before what stands here later."""

    looks: tuple[Annotated[int, Field(ge=7)], ...] = (14, 28, 56)
    """Days after shipping at which numbers are looked at; a plan has later ones if its power needs it."""
    error_rate: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance of a false verdict over all looks together."""
    power: float = Field(default=0.9, gt=0.5, lt=1)
    """Chance to see the expected change, which decides how long a plan looks."""
    baseline_days: int = Field(default=56, ge=28)
    """Days before shipping that a verdict needs: with fewer, arms that drift apart are not noticed."""
    longest_baseline_days: int = Field(default=182, ge=28)
    """Days before shipping that are looked at."""
    longest_days: int = Field(default=182, ge=28)
    """A plan looks no longer than this after shipping."""
    compare_by: tuple[Annotated[str, Field(min_length=1)], ...] = ("platform", "os", "browser", "country")
    """Columns or properties whose values may tell persons whom a problem cannot reach from the others."""
    watch_days: int = Field(default=28, ge=14)
    """A fix that worked is looked at again every so many days."""

    @field_validator("looks")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)):
            raise ValueError("looks are days after shipping, each later than the one before: [14, 28, 56]")
        return value

    @model_validator(mode="after")
    def _spans_fit(self) -> "VerificationSettings":
        if self.longest_baseline_days < self.baseline_days:
            raise ValueError("longest_baseline_days is shorter than baseline_days")
        if self.longest_days < self.looks[-1]:
            raise ValueError(f"the last look, after {self.looks[-1]} days, is later than longest_days")
        return self


class Release(Settings):
    """`[[releases]]`: items count as shipped on the day on which the data first shows this release.

    A decision of a person goes first: what was shipped or set aside by hand is left alone.
    """

    name: str = Field(min_length=1)
    items: Annotated[tuple[ItemId, ...], Field(min_length=1)]
    """Items that it fixes."""
    app_version: str | None = Field(default=None, min_length=1)
    """It is out once so many `persons` use this version."""
    event: str | None = Field(default=None, min_length=1)
    """Or once this event, such as a deployment marker, occurs."""
    where: Filters = ()
    """Filters of the event, as for funnel steps."""
    persons: int = Field(default=10, ge=1)
    """Persons with the version from whom on it is out: testers have it before."""
    after: date | None = None
    """Only what happens from this UTC day on counts."""

    @model_validator(mode="after")
    def _one_marker(self) -> "Release":
        if (self.app_version is None) == (self.event is None):
            raise ValueError("give an `app_version` or an `event`, one of them")
        if self.where and self.event is None:
            raise ValueError("`where` filters the `event`; give one")
        return self


SETTLING = timedelta(days=1)
"""The day of shipping counts neither before nor after."""
