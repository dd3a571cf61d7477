"""Detectors of friction in events: who met which signal, where and when.

Each takes the prepared events (see `prepare`) and returns a `Detection`. Definitions and thresholds are
those of the settings classes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from opsanalytics.behavior.filters import step_matches
from opsanalytics.behavior.sessionizing import session_number
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import wilson
from opsanalytics.improvement.places import error_place, optional_text, page
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics.lake.tables import UTC_TIME, DataType

EXPOSURES: dict[str, DataType] = {
    "person": pl.String,
    "ts": UTC_TIME,
    "signal": pl.String,
    "place": pl.String,
    "app_version": pl.String,
}
OTHER = "(other)"
"""Name of all rare places together: nothing that could be fixed, so never a pain point."""
SYMPTOMS = frozenset({"repeated_attempt", "back_and_forth"})
"""They may be the consequence of failing rather than its cause."""
OUTCOMES = frozenset({"dead_end", "form_abandonment", "release_drop"})
"""Leaving, and doing no longer, is what conversion measures; comparing those who left with those who stayed
proves nothing."""


@dataclass(frozen=True)
class Detection:
    """What a detector saw: occurrences with the columns person, ts, place, app_version.

    `could_meet` has the columns place and n (distinct persons); a place "" stands for all places.
    `reason` says how the signal is defined, or why it is not available (then `exposures` is None).
    """

    signal: str
    reason: str
    exposures: pl.DataFrame | None = None
    could_meet: pl.DataFrame | None = None
    chance: pl.Expr | None = None
    """Of an event: the place at which its person could have met the signal then, null for none. Without it
    whoever could have met the signal is not known."""
    pages: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    """What else there is to say of a place."""
    """Name that `chance` has for a place, where it is another."""


def prepare(events: pl.LazyFrame, settings: FrictionSettings) -> pl.DataFrame:
    """Events with a person and a time, their `page` added, sorted by person and time.

    Args:
        events: columns person, event, ts and, where there are any, session_id, url, platform,
            app_version, properties (JSON).
    """
    columns = events.collect_schema().names()
    where = page(columns, settings.page_property)
    missing = [
        pl.lit(None, pl.String).alias(name)
        for name in ("session_id", "platform", "app_version")
        if name not in columns
    ]
    order = ["person", "ts", "event", *(["properties"] if "properties" in columns else [])]
    return (
        events.filter(pl.col("person").is_not_null() & pl.col("ts").is_not_null())
        .with_columns(*missing, (where if where is not None else pl.lit(None, pl.String)).alias("page"))
        .sort(order)
        .collect()
    )


def errors(events: pl.DataFrame, settings: FrictionSettings) -> Detection:
    """Events configured as errors, by page and code."""
    if not settings.error_events:
        return Detection("error", "no event is configured as an error (friction.error_events)")
    names = ", ".join(settings.error_events)
    found = events.filter(pl.col("event").is_in(list(settings.error_events)))
    if found.is_empty():
        return Detection("error", f"none of the configured error events occurs: {names}")
    found = found.with_columns(place=error_place(found.columns, settings.error_place, settings.page_property))
    # Who saw the page could have met its errors; where the page is unknown, everybody could.
    of_place = found.group_by("place").agg(pl.col("page").drop_nulls().unique())
    seen = [
        events.filter(pl.col("page").is_in(pages))["person"].n_unique() if pages else _everybody(events)
        for pages in of_place["page"].to_list()
    ]
    could = of_place.select("place", n=pl.Series(seen, dtype=pl.Int64))
    on_page = {place: min(pages) for place, pages in of_place.iter_rows() if pages}
    return Detection("error", f"events: {names}", exposed(found), could, chance=pl.col("page"), pages=on_page)


def slow_loads(events: pl.DataFrame, settings: FrictionSettings) -> Detection:
    """Loads that took longer than the threshold, by page."""
    rule = settings.slow_load
    if rule.event is None:
        return Detection("slow_load", "no event is configured for loading times (friction.slow_load.event)")
    loads = events.filter(pl.col("event") == rule.event)
    loads = loads.with_columns(took=number_of(loads.columns, rule.property)).drop_nulls("took")
    if loads.is_empty():
        return Detection("slow_load", f"no event {rule.event!r} has a numeric property {rule.property!r}")
    loads = loads.with_columns(place=pl.coalesce("page", "event"))
    slow = loads.filter(pl.col("took") > rule.threshold_ms)
    reason = f"{rule.event}: {rule.property} above {rule.threshold_ms:g} ms"
    return Detection(
        "slow_load", reason, exposed(slow), persons_by_place(loads), chance=_at_event(rule.event)
    )


def empty_searches(events: pl.DataFrame, settings: FrictionSettings) -> Detection:
    """Searches that found nothing."""
    rule = settings.empty_search
    if rule.event is None:
        return Detection("empty_search", "no event is configured as a search (friction.empty_search.event)")
    searches = events.filter(pl.col("event") == rule.event)
    searches = searches.with_columns(results=number_of(searches.columns, rule.property)).drop_nulls("results")
    if searches.is_empty():
        return Detection("empty_search", f"no event {rule.event!r} has a numeric property {rule.property!r}")
    searches = searches.with_columns(place=pl.coalesce("page", "event"))
    empty = searches.filter(pl.col("results") == 0)
    reason = f"{rule.event}: {rule.property} is 0"
    return Detection(
        "empty_search", reason, exposed(empty), persons_by_place(searches), chance=_at_event(rule.event)
    )


def repeated_attempts(
    events: pl.DataFrame, settings: FrictionSettings, funnels: Sequence[Funnel]
) -> Detection:
    """The same event again and again; once a run, at the time of the attempt that makes it enough."""
    rule = settings.repeated_attempt
    if not funnels:
        return Detection("repeated_attempt", "no funnel is configured")
    if events.is_empty():
        return Detection("repeated_attempt", "there are no events")
    found, could = [], []
    tries: list[tuple[str, pl.Expr, pl.Expr]] = []
    for definition in funnels:
        steps = [step_matches(step, events.columns) for step in definition.steps]
        tries += [
            (step.label, steps[position], pl.any_horizontal(steps[position + 1 :]))
            for position, step in enumerate(definition.steps[:-1])
        ]
    any_step = pl.any_horizontal(
        step_matches(step, events.columns) for definition in funnels for step in definition.steps
    )
    tries += [(name, pl.col("event") == name, any_step) for name in rule.events]
    for name, attempt, progress in tries:
        # An event that is an attempt and progress at once is progress.
        attempts = (
            events.select("person", "ts", "app_version", attempt=attempt, progress=progress)
            .filter(pl.col("attempt") | pl.col("progress"))
            .with_columns(run=pl.col("progress").cum_sum().over("person"), place=pl.lit(name))
            .filter(~pl.col("progress"))
        )
        back = pl.col("ts").shift(rule.attempts - 1).over("person", "run")
        enough = attempts.filter(pl.col("ts") - back <= rule.within)
        found.append(exposed(enough.unique(["person", "run"], keep="first", maintain_order=True)))
        could.append(attempts.select("place", "person"))
    return Detection(
        "repeated_attempt",
        f"{rule.attempts} attempts within {words(rule.within.total_seconds())}, no progress in a funnel",
        pl.concat(found).unique(maintain_order=True),
        persons_by_place(pl.concat(could)),
    )


def dead_ends(events: pl.DataFrame, settings: FrictionSettings, funnels: Sequence[Funnel]) -> Detection:
    """Last events of sessions, for events that markedly often are the last. Goals of funnels are not."""
    rule = settings.dead_end
    if events.is_empty():
        return Detection("dead_end", "there are no events")
    goals = {funnel.steps[-1].event for funnel in funnels}
    silent = session_number(pl.col("ts"), rule.gap).over("person")
    # Without the other columns: all events are held at once.
    key = ["person", "session_id", "silence"]
    sessions = (
        events.select("person", "ts", "event", "app_version", "session_id", silence=silent)
        .with_columns(pl.when(pl.col("session_id").is_null()).then("silence").otherwise(-1))
        .with_columns(last=pl.int_range(pl.len()).over(key) + 1 == pl.len().over(key))
    )
    by_event = (
        sessions.filter(~pl.col("event").is_in(list(goals)))
        .group_by("event")
        .agg(
            sessions=pl.struct(key).n_unique(),
            ended=pl.col("last").sum(),
        )
        .filter(pl.col("sessions") >= rule.min_sessions)
        .sort("event")
    )
    low, _ = wilson(by_event["ended"].to_numpy(), by_event["sessions"].to_numpy())
    marked = by_event.filter(pl.Series(low > rule.min_share))["event"].to_list()
    ends = sessions.filter(pl.col("event").is_in(marked)).with_columns(place="event")
    reason = (
        f"ends more than {rule.min_share:.0%} of at least {rule.min_sessions} sessions it occurs in; "
        f"session: as given, else {words(rule.gap.total_seconds())} of silence"
    )
    return Detection("dead_end", reason, exposed(ends.filter("last")), persons_by_place(ends))


def back_and_forth(events: pl.DataFrame, settings: FrictionSettings) -> Detection:
    """Between two pages and back, again and again; place is the pair."""
    rule = settings.back_and_forth
    views = events.select("person", "ts", "app_version", "page").drop_nulls("page")
    if views.is_empty():
        return Detection("back_and_forth", "no event has a page or URL")
    # Numbers in the order of the names: a pair of names for every visit takes much memory.
    names = views["page"].unique().sort()
    numbered = views.with_columns(page=pl.col("page").rank("dense").cast(pl.UInt32) - 1)
    moved = (pl.col("page") != pl.col("page").shift().over("person")).fill_null(True)
    visits = numbered.filter(moved)
    # A, B, A, B, A is two returns to A: each page equals the one before last.
    same = [
        (pl.col("page").shift(back).over("person") == pl.col("page").shift(back + 2).over("person"))
        for back in range(2 * rule.returns - 1)
    ]
    took = pl.col("ts") - pl.col("ts").shift(2 * rule.returns).over("person")
    other = pl.col("page").shift().over("person")
    found = visits.with_columns(
        first=pl.min_horizontal("page", other),
        second=pl.when(other.is_not_null()).then(pl.max_horizontal("page", other)),
        swing=pl.all_horizontal(*same, took <= rule.within).fill_null(False),
    )
    # A longer swing is one occurrence, at the time it became long enough.
    starts = pl.col("swing") & ~pl.col("swing").shift().over("person").fill_null(False)
    exposures = found.filter(starts)
    met = exposures.select("first", "second").unique()
    could = found.select("person", "first", "second").join(met, on=["first", "second"], how="semi")
    named = pl.concat_str(
        pl.lit(names).gather(pl.col("first")), pl.lit(" and "), pl.lit(names).gather(pl.col("second"))
    )
    reason = f"{rule.returns} returns between two pages within {words(rule.within.total_seconds())}"
    return Detection(
        "back_and_forth",
        reason,
        exposed(exposures.with_columns(place=named)),
        persons_by_place(could.select("person", place=named)),
    )


def telling(exposures: pl.DataFrame, labels: Collection[str]) -> pl.DataFrame:
    """Exposures that may be a cause of dropping out: columns signal and place, `labels` those of the steps.

    Trying a step again is not passing it, said twice; only an event that somebody named as a sign of
    trouble can stand for itself.
    """
    symptom = pl.col("signal").is_in(list(SYMPTOMS)) & ~(
        (pl.col("signal") == "repeated_attempt") & ~pl.col("place").is_in(list(labels))
    )
    return exposures.filter(~symptom & ~pl.col("signal").is_in(list(OUTCOMES)) & (pl.col("place") != OTHER))


def exposed(found: pl.DataFrame) -> pl.DataFrame:
    """The columns of occurrences."""
    return found.select("person", "ts", "place", "app_version")


def _at_event(name: str) -> pl.Expr:
    """Page of events of that name, else the name."""
    return pl.when(pl.col("event") == name).then(pl.coalesce("page", "event"))


def persons_by_place(frame: pl.DataFrame) -> pl.DataFrame:
    """place, n: distinct persons."""
    return frame.group_by("place").agg(n=pl.col("person").n_unique().cast(pl.Int64))


def _everybody(events: pl.DataFrame) -> int:
    return events["person"].n_unique()


def number_of(columns: list[str], name: str) -> pl.Expr:
    """A property as a number; null where it is none."""
    return optional_text(name, columns).cast(pl.Float64, strict=False)


def words(seconds: float) -> str:
    """Such as "10 min"."""
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
