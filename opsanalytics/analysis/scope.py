"""What a set of numbers is about: which data, up to when, and whether they passed their checks."""

import hashlib
import json
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import polars as pl

from opsanalytics.analysis.monitoring import DESCRIPTIONS as MONITORED
from opsanalytics.analysis.program import program_version
from opsanalytics.behavior.index import BehaviorIndex, open_index
from opsanalytics.behavior.index_build import IndexFullError, MisplacedEventsError
from opsanalytics.behavior.index_views import index_counted_once
from opsanalytics.behavior.overlaps import counted_once
from opsanalytics.behavior.spec import Definition
from opsanalytics.cleaning.coverage import windows_of_undated
from opsanalytics.config import Settings
from opsanalytics.feedback.decisions import ThemeDecision, read_decisions, told
from opsanalytics.feedback.encoders import EncoderSince, read_encoders
from opsanalytics.feedback.sentences import missing_packages
from opsanalytics.lake.day_prints import OPERATIONAL, day_prints
from opsanalytics.lake.events import read_persons, scan_events
from opsanalytics.lake.paths import Home
from opsanalytics.lake.publish import read_feedback
from opsanalytics.lake.records import DayState
from opsanalytics.lake.tables import Table
from opsanalytics.quality.results import latest, state_of
from opsanalytics.reports.states import begun
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.fetching import landed_windows
from opsanalytics.sources.windows import merged

logger = logging.getLogger(__name__)

HELD_BYTES = 64 * 1024 * 1024
"""Compressed size of events up to which they are held in memory (some ten times as large there): a
dozen reports of a small product with thousands of day files would spend their time opening files."""


NO_MATTER = frozenset(
    {
        "sources",
        "events",
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
        "verification",
        "releases",
        "trackers",
        "reports",
        "notify",
    }
)
"""Sections that change no number except through the data (how they are landed and cleaned), a definition, a
frozen plan or a decision, which are facts of their own."""


class NothingLandedError(RuntimeError):
    """There is no complete data to analyse."""


def complete_through(settings: Settings) -> datetime:
    """The moment, UTC, up to which every event source is completely landed from `project.start` on.

    Raises:
        NothingLandedError: a source has no complete first day, or there is no event source.
    """
    moments = {source.name: _landed_until(source, settings) for source in settings.event_sources}
    lacking = sorted(name for name, moment in moments.items() if moment is None)
    if lacking or not moments:
        what = f"source(s) {', '.join(lacking)}" if lacking else "no event source is configured, so nothing"
        raise NothingLandedError(
            f"nothing to analyse: {what} landed no complete data from {settings.project.start} on. "
            "Materialize the landing assets from that day, or set project.start to the first day you pulled."
        )
    complete = min(moment for moment in moments.values() if moment is not None)
    end = settings.project.end
    return min(complete, datetime.combine(end + timedelta(days=1), time(), UTC)) if end else complete


def _landed_until(source: EventSourceSettings, settings: Settings) -> datetime | None:
    start = source.to_wall(datetime.combine(settings.project.start, time(), UTC))
    landed = [
        *landed_windows(source, settings.home, source.complete_until),
        *windows_of_undated(source, settings.home),
    ]
    for window in merged([*landed, *source.spans_without_data(landed)]):
        if window.start <= start < window.end:
            return source.to_utc(window.end)
    return None


@dataclass(frozen=True)
class Scope:
    """Events and feedback before `as_of`, as configured."""

    settings: Settings
    as_of: datetime
    prints: pl.DataFrame = field(repr=False, compare=False)
    """Prints (schema PRINTS) of the days that began before `as_of`, taken before anything is read."""
    wider: "Scope | None" = field(default=None, repr=False, compare=False)
    """A scope that has all of this one's data, which is then read once for both."""

    @classmethod
    def of(cls, settings: Settings) -> "Scope":
        """The scope as of the latest complete data.

        Raises:
            NothingLandedError: there is no complete data.
        """
        as_of = complete_through(settings)
        return cls(settings, as_of, _begun(day_prints(settings.home), as_of))

    def only(self, **chosen: Sequence[Definition]) -> "Scope":
        """The same scope with these definitions alone: `only(funnels=[...])`."""
        settings = self.settings.model_copy(update={name: tuple(each) for name, each in chosen.items()})
        return Scope(settings, self.as_of, self.prints, self)

    def until(self, moment: datetime) -> "Scope":
        """The scope as of an earlier moment; this one if the moment is later."""
        as_of = min(moment, self.as_of)
        return Scope(self.settings, as_of, _begun(self.prints, as_of), self)

    @property
    def home(self) -> Home:
        return self.settings.home

    @cached_property
    def recorded_events(self) -> pl.LazyFrame:
        """Every event before `as_of`, with persons, of overlapping sources too. Read once if they are few,
        at each use if they are many."""
        if self.wider is not None and self.wider.as_of == self.as_of:
            return self.wider.recorded_events
        if self.wider is not None:
            scanned = self.wider.recorded_events
        else:
            scanned = scan_events(self.home, last=self.as_of.date())
        scanned = scanned.filter(pl.col("ts") < self.as_of)
        return scanned.collect().lazy() if self._few else scanned

    @cached_property
    def _few(self) -> bool:
        stored = sum(file.stat().st_size for file in self.home.events.glob("day=*/*.parquet"))
        return stored <= HELD_BYTES

    @cached_property
    def events(self) -> pl.LazyFrame:
        """Events before `as_of`, with persons; of overlapping sources each counts once."""
        return self.events_for(None)

    def events_for(self, sources: Sequence[str] | None) -> pl.LazyFrame:
        """Events for a definition that names `sources`: overlaps are between those alone."""
        overlaps = self.settings.overlaps
        if not any(len(each.among(sources)) > 1 for each in overlaps):
            return self.recorded_events
        between = tuple(sorted({name for each in overlaps for name in each.among(sources)}))
        if between not in self._counted:
            counted = counted_once(self.recorded_events, overlaps, sources=sources)
            self._counted[between] = counted.collect().lazy() if self._few else counted
        return self._counted[between]

    def index_for(self, sources: Sequence[str] | None) -> BehaviorIndex | None:
        """The index of what `events_for` has. None where the lake is read-only or cannot be indexed."""
        overlaps = self.settings.overlaps
        between = tuple(sorted({name for each in overlaps for name in each.among(sources)}))
        if between not in self._indexes:
            index = None if self._index is None else self._index.before(self.as_of)
            counted = None if index is None else index_counted_once(index, overlaps, sources=sources)
            self._indexes[between] = counted
        return self._indexes[between]

    @cached_property
    def _index(self) -> BehaviorIndex | None:
        if self.wider is not None:
            return self.wider._index
        if not os.access(self.home.root, os.W_OK):
            return None
        try:
            return open_index(self.home)
        except (IndexFullError, MisplacedEventsError) as error:
            logger.warning("%s; reading the events", error)
            return None

    @cached_property
    def _indexes(self) -> dict[tuple[str, ...], BehaviorIndex | None]:
        """By the sources between which overlaps were settled."""
        same = self.wider is not None and self.wider.as_of == self.as_of
        return self.wider._indexes if same and self.wider is not None else {}

    @cached_property
    def _counted(self) -> dict[tuple[str, ...], pl.LazyFrame]:
        """Events by the sources between which overlaps were settled."""
        same = self.wider is not None and self.wider.as_of == self.as_of
        return self.wider._counted if same and self.wider is not None else {}

    @cached_property
    def persons(self) -> pl.DataFrame:
        return read_persons(self.home) if self.wider is None else self.wider.persons

    @cached_property
    def feedback(self) -> pl.DataFrame:
        """Feedback before `as_of`."""
        said = read_feedback(self.home) if self.wider is None else self.wider.feedback
        return said.filter(pl.col("ts") < self.as_of)

    @cached_property
    def theme_decisions(self) -> tuple[ThemeDecision, ...]:
        """What people decided about themes, also about those of earlier weeks."""
        return read_decisions(self.home) if self.wider is None else self.wider.theme_decisions

    @property
    def theme_encoders(self) -> tuple[EncoderSince, ...]:
        """Which encoder themes were found with since when; before the first themes the configured one."""
        if self.wider is not None:
            return self.wider.theme_encoders
        return read_encoders(self.home) or (EncoderSince(self.settings.feedback.encoder),)

    @cached_property
    def day_states(self) -> dict[str, dict[date, DayState]]:
        """Rows and print of every day, by source."""
        states: dict[str, dict[date, DayState]] = {}
        for row in self.prints.iter_rows(named=True):
            state = DayState(rows=row["rows"], content=row["content"], persons=row["persons"])
            states.setdefault(row["source"], {})[row["day"]] = state
        return states

    def facts(
        self,
        tables: Sequence[Table],
        *,
        definition: Definition | None = None,
        sources: Sequence[str] | None = None,
        without: Collection[str] = (),
    ) -> dict[str, str]:
        """What a result from events depends on: see `lake.records`.

        Args:
            tables: that the result fills.
            definition: the one it is of, if it is of one.
            sources: whose events it reads; None: all.
            without: sections of the configuration that cannot change it. A section that is new counts.
        """
        left_out = NO_MATTER | {"project"} | set(without)
        rules = self.settings.model_dump(mode="json", exclude=set(left_out))
        project = self.settings.project
        facts = {
            "as of": self.as_of.isoformat(),
            "program": program_version(),
            "tables": _digest([repr(table) for table in tables]),
            "configuration": _digest([rules, project.timezone, project.week_start]),
            "quality of events": self.event_quality,
        }
        if definition is not None:
            facts["definition"] = _digest(definition.model_dump(mode="json"))
        for source, days in self.day_states.items():
            if sources is None or source in sources:
                told = [
                    (day.isoformat(), state.content, state.persons) for day, state in sorted(days.items())
                ]
                facts[f"events of {source}"] = _digest(told)
        return facts

    def feedback_facts(self) -> dict[str, str]:
        """What a result from feedback depends on besides `facts`."""
        said = self.feedback.select(pl.exclude(*OPERATIONAL))
        authors = self.persons.filter(
            (pl.col("id_kind") == "user") & pl.col("id").is_in(said["user_id"].drop_nulls().implode())
        )
        return {
            "feedback": frame_digest(said),
            "persons who gave feedback": frame_digest(authors.select("source", "id", "person")),
            "quality of feedback": self.feedback_quality,
            "decisions about themes": _digest(told(self.theme_decisions)),
            "encoders of themes": _digest([repr(each) for each in self.theme_encoders]),
            "missing for encoders": ", ".join(missing_packages()),
        }

    @property
    def first_entry(self) -> date | None:
        """First local day of entries that count, if the configuration looks back only so far."""
        weeks = self.settings.thresholds.analysis_weeks
        if weeks is None:
            return None
        return (self.as_of.astimezone(self.settings.project.zone) - timedelta(weeks=weeks)).date()

    @cached_property
    def known_results(self) -> pl.DataFrame:
        """QUALITY_RESULTS about data before `as_of`, without those of monitoring: they look back from today,
        and whoever needs them for an earlier moment looks back from there."""
        day = pl.col("partition").str.to_date("%Y-%m-%d", strict=False)
        return latest(self.home).filter(begun(day, self.as_of) & ~pl.col("check").is_in(list(MONITORED)))

    @cached_property
    def event_quality(self) -> str:
        return self._quality("events")

    @cached_property
    def feedback_quality(self) -> str:
        return self._quality("feedback")

    def _quality(self, table: str) -> str:
        return state_of(self.known_results if self._earlier else latest(self.home), [table])

    @property
    def _earlier(self) -> bool:
        """Whether this is a look back from a later scope."""
        return self.wider is not None and (self.as_of < self.wider.as_of or self.wider._earlier)


def _begun(prints: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    return prints.filter(pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") < moment)


def frame_digest(frame: pl.DataFrame) -> str:
    """Digest of the rows of a small frame, whatever their order."""
    return hashlib.sha256("\n".join(sorted(frame.write_ndjson().splitlines())).encode()).hexdigest()[:16]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
