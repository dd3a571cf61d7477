"""The typed form of opsanalytics.toml."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from opsanalytics.behavior.activity_spec import Lifecycle, Stickiness, UsageInterval
from opsanalytics.behavior.cohort_spec import Cohort, CohortField
from opsanalytics.behavior.diagnosis_spec import LEAST, Diagnosis, check_diagnosed
from opsanalytics.behavior.journey_spec import Paths, Sessions
from opsanalytics.behavior.overlaps import Overlap
from opsanalytics.behavior.periods import WEEKDAYS, Weekday
from opsanalytics.behavior.references import resolved, resolved_cohorts
from opsanalytics.behavior.segments import Attribution
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.trends_spec import Trends
from opsanalytics.cleaning.privacy import PrivacyRules, PrivacySettings
from opsanalytics.feedback.themes import ThemeSettings
from opsanalytics.improvement.settings import BacklogSettings, FrictionSettings, PainPointSettings
from opsanalytics.improvement.trackers.settings import AnyTracker
from opsanalytics.improvement.verification.settings import Release, VerificationSettings
from opsanalytics.lake.paths import Home
from opsanalytics.quality.settings import QualitySettings
from opsanalytics.sources.base import (
    EventSourceSettings,
    FeedbackSourceSettings,
    SourceSettings,
    source_kinds,
)

NAME = r"^[a-z][a-z0-9_]*$"


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Project(Section):
    """`[project]`: what all parts share."""

    name: str = Field(min_length=1)
    home: Path = Field(default=Path("data"), validate_default=True)
    timezone: str = "UTC"
    week_start: Weekday = "monday"
    start: date
    """First UTC day to pull; the first daily partition."""
    end: date | None = None
    """Last UTC day to pull, for a product that no longer sends events; open if not given."""
    partitions: Literal["day", "month"] = "day"
    """Size of the partitions in Dagster. Dagster records every partition of a run one by one, which
    takes minutes for a dozen years of days; `month` suits the replay of a long, thin history."""
    diagnose: Literal["every_funnel", "named"] = "every_funnel"
    """Which funnels are diagnosed: each at its largest drop, or only those that `[[diagnoses]]` names."""
    notice: str | None = None
    """A sentence that every report shows, for example that the data is generated."""
    owners: tuple[str, ...] = ("team:data",)
    """Owners shown in Dagster: e-mail addresses, or `team:name`."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone; write an IANA name such as 'Europe/Berlin'")
        return value

    @field_validator("owners")
    @classmethod
    def _owner_form(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for owner in value:
            if not owner.startswith("team:") and "@" not in owner:
                raise ValueError(f"{owner!r} is neither an e-mail address nor 'team:name'")
        return value

    @field_validator("home")
    @classmethod
    def _beside_the_file(cls, value: Path, info: ValidationInfo) -> Path:
        folder = (info.context or {}).get("folder")
        return (Path(folder) / value).resolve() if folder else value

    @model_validator(mode="after")
    def _start_before_end(self) -> "Project":
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end ({self.end}) lies before start ({self.start})")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def week_start_number(self) -> int:
        """0 for Monday to 6 for Sunday."""
        return WEEKDAYS.index(self.week_start)


class Segment(Section):
    """`[[segments]]`: a property by which funnels are broken down; the entry event's unless it says more."""

    name: str = Field(pattern=NAME)
    property: Annotated[str, Field(min_length=1)] | Annotated[tuple[str, ...], Field(min_length=1)] | None = (
        None
    )
    cohort: CohortField = None
    """In place of a property: persons in this cohort against those who are not."""
    limit: int = Field(default=10, ge=1, le=100)
    attribution: Attribution | None = None
    """Which event gives a person's value; see `behavior.segments`."""
    step: int | None = Field(default=None, ge=1)
    of: Literal["event", "person"] = "event"

    @model_validator(mode="after")
    def _step_fits(self) -> "Segment":
        if (self.attribution == "step") != (self.step is not None):
            raise ValueError("attribution = 'step' and a number `step` go together")
        if (self.property is None) == (self.cohort is None):
            raise ValueError("give a `property` or a `cohort`, one of them")
        if self.cohort is not None and self.of != "event":
            raise ValueError("`of` is about a property; a cohort is of persons")
        return self


class Report(Section):
    """`[[reports]]`: a page, and when it is made."""

    name: str = Field(pattern=NAME)
    title: str | None = None
    funnels: tuple[str, ...] | None = None
    """Funnels on the page; all if not given."""
    retentions: tuple[str, ...] | None = None
    weekday: Weekday = "monday"
    hour: int = Field(default=7, ge=0, le=23)
    history: int = Field(default=4, ge=1, le=104)
    """Weeks whose pages one run brings up to date."""

    @property
    def cron(self) -> str:
        """When it is made, as a cron schedule in the reporting zone."""
        return f"0 {self.hour} * * {(WEEKDAYS.index(self.weekday) + 1) % 7}"


class Thresholds(Section):
    """`[thresholds]`: when a number is too small or too old to be shown as it is."""

    min_n: int = Field(default=30, ge=1)
    """Rates over fewer persons are flagged as small."""
    freshness_hours: int = Field(default=36, ge=1)
    """Events older than this make the events asset stale in Dagster."""
    trend_weeks: int = Field(default=12, ge=2)
    """Weeks shown in trends and retention heat maps."""
    analysis_weeks: int | None = Field(default=None, ge=1)
    """Weeks of entries that funnels and pain points look back on; everything if not given."""


class Notify(Section):
    """`[notify]`: where a failed run is reported, besides notifications.jsonl in the home folder."""

    webhook_env: str | None = None
    """Environment variable that holds an incoming-webhook URL (Slack-compatible)."""


def _listed(value: Any) -> Any:
    """`[sessions]` is short for one `[[sessions]]`."""
    return [value] if isinstance(value, Mapping) else value


if TYPE_CHECKING:
    AnySource = SourceSettings
else:
    # Known only at run time: whoever adds a source adds a module, not an edit here.
    AnySource = Annotated[Union[tuple(source_kinds().values())], Field(discriminator="kind")]  # noqa: UP007


class Settings(Section):
    """All of opsanalytics.toml."""

    project: Project
    sources: tuple[AnySource, ...] = ()
    events: Mapping[str, tuple[str, ...]] = {}
    """Canonical event name -> names as the vendors export them."""
    overlaps: tuple[Overlap, ...] = ()
    """Sources that instrument the same product, so that nothing counts twice."""
    funnels: tuple[Funnel, ...] = ()
    retentions: tuple[Retention, ...] = ()
    lifecycles: tuple[Lifecycle, ...] = ()
    stickiness: tuple[Stickiness, ...] = ()
    usage_intervals: tuple[UsageInterval, ...] = ()
    trends: tuple[Trends, ...] = ()
    sessions: Annotated[tuple[Sessions, ...], BeforeValidator(_listed)] = ()
    paths: tuple[Paths, ...] = ()
    cohorts: tuple[Cohort, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    """Beside those that every funnel without one gets; see `diagnosed`."""
    segments: tuple[Segment, ...] = ()
    friction: FrictionSettings = FrictionSettings()
    feedback: ThemeSettings = ThemeSettings()
    pain_points: PainPointSettings = PainPointSettings()
    backlog: BacklogSettings = BacklogSettings()
    verification: VerificationSettings = VerificationSettings()
    releases: tuple[Release, ...] = ()
    trackers: tuple[AnyTracker, ...] = ()
    reports: tuple[Report, ...] = (Report(name="weekly"),)
    thresholds: Thresholds = Thresholds()
    notify: Notify = Notify()
    quality: QualitySettings = QualitySettings()
    privacy: PrivacySettings = PrivacySettings()

    @property
    def home(self) -> Home:
        return Home(self.project.home)

    @property
    def event_sources(self) -> tuple[EventSourceSettings, ...]:
        return tuple(source for source in self.sources if isinstance(source, EventSourceSettings))

    @property
    def vendor_properties(self) -> dict[str, frozenset[str]]:
        """By source of events, the properties that its vendor adds: nobody plans them, or changes them."""
        return {source.name: source.vendor_properties for source in self.event_sources}

    @property
    def feedback_sources(self) -> tuple[FeedbackSourceSettings, ...]:
        return tuple(source for source in self.sources if isinstance(source, FeedbackSourceSettings))

    @property
    def event_names(self) -> dict[str, str]:
        """Name as exported -> canonical name."""
        return {exported: name for name, names in self.events.items() for exported in names}

    @property
    def diagnosed(self) -> tuple[Diagnosis, ...]:
        """The diagnoses of the configuration, and of every other funnel of persons the largest drop, unless
        only those named are wanted."""
        if self.project.diagnose == "named":
            return self.diagnoses
        own = {each.funnel.name for each in self.diagnoses if isinstance(each.funnel, Funnel)}
        taken = {each.name for each in self.diagnoses}
        others = [
            Diagnosis(
                name=each.name if each.name not in taken else f"{each.name}_largest_drop",
                funnel=each,
                min_n=max(LEAST, self.thresholds.min_n),
            )
            for each in self.funnels
            if each.name not in own and _can_be_diagnosed(each)
        ]
        return (*self.diagnoses, *others)

    def privacy_rules(self, environ: Mapping[str, str]) -> dict[str, PrivacyRules]:
        """What must not be kept, by source; sources that keep everything are not in it.

        Raises:
            CredentialError: the variable with the key of the hashes is not set.
        """
        rules = {source.name: self.privacy.rules(source.name, environ) for source in self.sources}
        return {name: each for name, each in rules.items() if each is not None}

    @field_validator(
        "sources",
        "funnels",
        "retentions",
        "lifecycles",
        "stickiness",
        "usage_intervals",
        "trends",
        "sessions",
        "paths",
        "cohorts",
        "diagnoses",
        "segments",
        "releases",
        "reports",
        "trackers",
    )
    @classmethod
    def _names_differ(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        seen: set[str] = set()
        for each in value:
            if each.name in seen:
                raise ValueError(f"the name {each.name!r} is used twice")
            seen.add(each.name)
        return value

    @field_validator("events")
    @classmethod
    def _mapping_is_unique(cls, value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        owner: dict[str, str] = {}
        for name, exported in value.items():
            for each in exported:
                if owner.setdefault(each, name) != name:
                    raise ValueError(f"{each!r} is mapped to both {owner[each]!r} and {name!r}")
        return value

    @model_validator(mode="after")
    def _references_exist(self) -> "Settings":
        event_sources = [source.name for source in self.event_sources]
        _all_known("privacy: sources", tuple(self.privacy.sources), [each.name for each in self.sources])
        definitions: tuple[Any, ...] = (
            *self.funnels,
            *self.retentions,
            *self.lifecycles,
            *self.stickiness,
            *self.usage_intervals,
            *self.trends,
            *self.sessions,
            *self.paths,
            *self.cohorts,
        )
        for definition in definitions:
            _all_known(f"{definition.name}: sources", definition.sources, event_sources)
        for overlap in self.overlaps:
            _all_known("overlaps: prefer", overlap.prefer, event_sources)
        for funnel in self.funnels:
            if len(funnel.steps) < 2:
                raise ValueError(f"{funnel.name}: steps: a report needs at least 2 steps to show a funnel")
        for report in self.reports:
            _all_known(f"report {report.name}: funnels", report.funnels, [each.name for each in self.funnels])
            _all_known(
                f"report {report.name}: retentions",
                report.retentions,
                [each.name for each in self.retentions],
            )
        return self

    @model_validator(mode="after")
    def _references_are_put_in(self) -> "Settings":
        """Definitions hold the cohorts and funnels they name, so that their ids tell all the rules."""
        cohorts = resolved_cohorts(self.cohorts)
        funnels = {each.name: resolved(each, cohorts, {}) for each in self.funnels}
        whole: dict[str, tuple[Any, ...]] = {
            "cohorts": tuple(cohorts.values()),
            "funnels": tuple(funnels.values()),
            **{
                section: tuple(resolved(each, cohorts, funnels) for each in getattr(self, section))
                for section in ("retentions", "sessions", "paths", "diagnoses")
            },
            "segments": tuple(_with_cohort(each, cohorts) for each in self.segments),
        }
        # The model is frozen for everybody else.
        self.__dict__.update(whole)
        return self


def _can_be_diagnosed(funnel: Funnel) -> bool:
    try:
        check_diagnosed(funnel)
    except ValueError:
        return False  # it counts no persons, or has no order: nothing that the configuration gets wrong
    return True


def _with_cohort(segment: Segment, cohorts: Mapping[str, Cohort]) -> Segment:
    if not isinstance(segment.cohort, str):
        return segment
    if segment.cohort not in cohorts:
        raise ValueError(
            f"segment {segment.name}: cohort names {segment.cohort!r}, but the configuration has "
            f"{', '.join(cohorts) or 'none'}"
        )
    return segment.model_copy(update={"cohort": cohorts[segment.cohort]})


def _all_known(what: str, wanted: tuple[str, ...] | None, known: list[str]) -> None:
    unknown = [name for name in wanted or () if name not in known]
    if unknown:
        raise ValueError(f"{what} names {unknown}, but the configuration has {known or 'none'}")
