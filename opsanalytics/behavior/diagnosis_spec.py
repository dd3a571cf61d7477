"""Definition of a drop-off diagnosis: which step of which funnel, and what is compared with what."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from opsanalytics.behavior.cohort_spec import SMALL
from opsanalytics.behavior.conditions import NAME, Definition
from opsanalytics.behavior.duration import Duration
from opsanalytics.behavior.journey_spec import FunnelField
from opsanalytics.behavior.spec import Funnel

LEAST = 5
"""Smaller groups are never shown."""
Names = tuple[Annotated[str, Field(min_length=1)], ...]


class Diagnosis(Definition):
    """What goes with dropping out after a step of a funnel, among people who are comparable.

    The population is everybody whose first attempt is mature and made the step: which attempt counts must not
    depend on its outcome, so who failed first and converted later dropped out here.
    What happened after the step counts up to the landmark: a time after the step that is the same for
    everybody. Who went on before the landmark is left out, and so is who was not seen between step and
    landmark, so those who met something and those who did not were observed equally long and were both there.
    The outcome is going on between the landmark and the end of the attempt's window. What was known when the
    step was made (segments, properties, events before) needs no landmark: everybody is compared.
    """

    name: str = Field(default="diagnosis", min_length=1, pattern=NAME)
    title: str | None = None
    funnel: FunnelField
    """The funnel, or its name in the configuration; it counts persons and its steps have an order."""
    step: int | None = Field(default=None, ge=1)
    """The step after which people drop out; if not given, the one after which most do."""
    landmark: Duration | None = None
    """Time after the step; if not given, half of those who went on had done so by then (at least 1 s)."""
    before: Duration = timedelta(days=1)
    """How long before the step events are looked at."""
    strata: Names = ("platform",)
    """Columns or properties within whose values persons are comparable (the latest value up to the step),
    beside activity before the step and time. What the events do not have is left out."""
    without: Names = ()
    """Names of events, and of properties of the step, that are no candidates."""
    properties: Names | None = None
    """Properties of the step's event to look at; all that are not ids if not given."""
    person_properties: Names = ()
    """Properties of persons. Name none that going on may change: they are as of now."""
    repeats: int = Field(default=3, ge=2)
    """Doing an event so often is a candidate of its own, against doing it less often."""
    limit: int = Field(default=10, ge=1, le=100)
    """Values looked at of each property, those of most persons."""
    min_n: int = Field(default=SMALL, ge=LEAST)
    """Both sides of a comparison have at least so many persons; what is rarer is not shown."""
    false_discovery_rate: float = Field(default=0.05, gt=0, lt=1)
    """Benjamini-Hochberg over all candidates."""
    min_effect: float = Field(default=0.01, ge=0, lt=1)
    """A finding's effect is at least so large (0.01: one percentage point)."""

    @model_validator(mode="after")
    def _fits(self) -> "Diagnosis":
        if isinstance(self.funnel, Funnel):
            check_diagnosed(self.funnel, self.step)
            if self.landmark is not None and self.landmark >= self.funnel.window:
                raise ValueError(f"landmark: it lies beyond the window of the funnel {self.funnel.name!r}")
        return self

    @property
    def label(self) -> str:
        if self.title is not None or not isinstance(self.funnel, Funnel):
            return self.title or self.name
        return self.funnel.label


def check_diagnosed(funnel: Funnel, step: int | None = None) -> None:
    """Raise ValueError unless people can drop out of the funnel after the step, and are persons."""
    if funnel.counting != "persons" or funnel.entity is not None:
        what = funnel.entity or funnel.counting
        raise ValueError(f"funnel: {funnel.name!r} counts {what}; a diagnosis is about persons")
    if funnel.order == "any":
        raise ValueError(f"funnel: the steps of {funnel.name!r} have no order (order = 'any')")
    if len(funnel.steps) < 2:
        raise ValueError(f"funnel: {funnel.name!r} has one step; nobody drops out after it")
    if step is not None and step >= len(funnel.steps):
        raise ValueError(
            f"step: nobody drops out after step {step}; {funnel.name!r} has {len(funnel.steps)} steps"
        )
