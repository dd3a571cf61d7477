"""`[quality]`: tracking plan, own suites, and when a volume is called unusual."""

from pydantic import BaseModel, ConfigDict, Field

from opsanalytics.quality.plan import TrackingPlan
from opsanalytics.quality.suites import OwnSuite


class AnomalySettings(BaseModel):
    """`[quality.anomalies]`: when a daily volume, or a silence, is worth a person's time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history_weeks: int = Field(default=8, ge=4, le=52)
    """Weeks before a day that say what is usual for it."""
    min_weeks: int = Field(default=6, ge=4, le=52)
    """Weeks of history below which no verdict is given."""
    false_discovery_rate: float = Field(default=0.001, gt=0, lt=0.5)
    """Expected share of false alarms among the alarms of a day, over all events of all sources. Every day
    asks anew, so it is small."""
    min_change: float = Field(default=0.3, ge=0, lt=1)
    """Share below (or, as a ratio, above) what is usual from which a change matters."""
    window_days: int = Field(default=28, ge=7, le=366)
    """Days up to the newest that are judged; older verdicts expire with their warnings."""


class QualitySettings(BaseModel):
    """`[quality]`. The configuration names files; what stands in them is read with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracking_plan: TrackingPlan = TrackingPlan()
    """In the file: the name of a TOML file, relative to opsanalytics.toml."""
    suites: tuple[OwnSuite, ...] = ()
    """In the file: the name of a folder with Great Expectations suites, one JSON file a table."""
    anomalies: AnomalySettings = AnomalySettings()
