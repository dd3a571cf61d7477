"""Friction: signals that something got in people's way, from events alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from opsanalytics.behavior.rows import Events, checked
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import wilson
from opsanalytics.improvement.absence_signals import form_abandonment, release_drops
from opsanalytics.improvement.click_signals import dead_clicks, rage_clicks
from opsanalytics.improvement.custom_signals import custom
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics.improvement.signals import (
    EXPOSURES,
    OTHER,
    Detection,
    back_and_forth,
    dead_ends,
    empty_searches,
    errors,
    prepare,
    repeated_attempts,
    slow_loads,
    telling,
)
from opsanalytics.improvement.tables import FRICTION


@dataclass(frozen=True)
class Friction:
    """`friction` conforms to FRICTION; `exposures` has a row an occurrence: person, ts, signal, place,
    app_version; `events` are the events prepared for it (see `signals.prepare`); `settings` define it.
    `chances` says by signal at which place an event gave the chance to meet it, `pages` by signal how that
    place is called where it is not the signal's (see `Detection`)."""

    friction: pl.DataFrame
    exposures: pl.DataFrame
    events: pl.DataFrame
    settings: FrictionSettings
    chances: Mapping[str, pl.Expr] = field(default_factory=dict)
    pages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def find_friction(
    events: pl.LazyFrame,
    settings: FrictionSettings,
    funnels: Sequence[Funnel] = (),
    *,
    as_of: datetime,
    quality: str = "not_checked",
) -> Friction:
    """Look for every signal the data can support, and say of the others why not.

    Args:
        events: columns person, event, ts and, where there are any, session_id, url, platform,
            app_version, properties (JSON); events after `as_of` are left out.
        settings: definitions and thresholds.
        funnels: whose steps can be attempted repeatedly, and whose last steps are no dead ends.
        as_of: events up to here are complete, UTC.
        quality: state of the quality checks upstream.
    """
    prepared = prepare(events.filter(pl.col("ts") <= as_of), settings)
    everybody = prepared["person"].n_unique()
    rows: list[pl.DataFrame] = []
    exposures: list[pl.DataFrame] = [pl.DataFrame(schema=EXPOSURES)]
    chances: dict[str, pl.Expr] = {}
    pages: dict[str, Mapping[str, str]] = {}
    for detection in (
        errors(prepared, settings),
        rage_clicks(prepared, settings.rage_click),
        dead_clicks(prepared, settings.dead_click),
        slow_loads(prepared, settings),
        empty_searches(prepared, settings),
        repeated_attempts(prepared, settings, funnels),
        dead_ends(prepared, settings, funnels),
        back_and_forth(prepared, settings),
        form_abandonment(prepared, settings.form_abandonment, as_of),
        release_drops(prepared, settings.release_drop, as_of),
        *(custom(prepared, rule) for rule in settings.custom),
    ):
        found = _few_places(detection, settings.max_places, everybody)
        if found.chance is not None:
            chances[found.signal], pages[found.signal] = found.chance, found.pages
        if found.exposures is not None:
            exposures.append(
                found.exposures.with_columns(signal=pl.lit(found.signal)).select(list(EXPOSURES))
            )
        rows.append(_rows(found, everybody))
    friction = pl.concat([FRICTION.empty(), *rows], how="diagonal_relaxed").with_columns(
        title=pl.col("signal").replace_strict(settings.titles, return_dtype=pl.String),
        as_of=pl.lit(as_of),
        quality=pl.lit(quality),
    )
    return Friction(
        FRICTION.conform(friction),
        pl.concat(exposures).sort("signal", "place", "person", "ts", "app_version"),
        prepared,
        settings,
        chances,
        pages,
    )


def friction_met(
    events: Events, settings: FrictionSettings, funnel: Funnel, *, as_of: datetime
) -> pl.DataFrame:
    """What may make people drop out of a funnel: `person`, `ts` (UTC), `signal` (in words), `place`.

    Rare places, leaving itself and what may be the consequence of failing at a step are not among them.

    Args:
        events: see `rows.Events`.
        settings, as_of: as `find_friction`.
        funnel: whose steps it is about.

    Raises:
        EventsError: a column is missing or has the wrong type.
    """
    frame, _ = checked(events)
    repeated = settings.repeated_attempt.events
    names = [
        *settings.error_events,
        *(one for one in (settings.slow_load.event, settings.empty_search.event) if one is not None),
        *(rule.event for rule in settings.custom),
        *(name for step in funnel.steps for name in (*step.events, *repeated) if repeated),
    ]
    clicks = (settings.rage_click, settings.dead_click)
    names += [name for rule in clicks for name in (rule.event, *rule.reported) if name is not None]
    # Only a dead click is told by the events that do not follow it; others are most, and need no look.
    every = "*" in names or settings.dead_click.event is not None
    known = frame.filter(pl.col("ts") <= as_of, pl.col("event").is_in(names) | every)
    prepared = prepare(known.with_columns(pl.col("person").cast(pl.String)), settings)
    everybody = prepared["person"].n_unique()
    found = [
        _few_places(detection, settings.max_places, everybody)
        for detection in (
            errors(prepared, settings),
            rage_clicks(prepared, settings.rage_click),
            dead_clicks(prepared, settings.dead_click),
            slow_loads(prepared, settings),
            empty_searches(prepared, settings),
            *([repeated_attempts(prepared, settings, [funnel])] if settings.repeated_attempt.events else []),
            *(custom(prepared, rule) for rule in settings.custom),
        )
    ]
    met = [
        one.exposures.with_columns(signal=pl.lit(one.signal)).select(list(EXPOSURES))
        for one in found
        if one.exposures is not None
    ]
    return (
        telling(pl.concat([pl.DataFrame(schema=EXPOSURES), *met]), {step.label for step in funnel.steps})
        .with_columns(pl.col("signal").replace_strict(settings.titles, return_dtype=pl.String))
        .drop("app_version")
    )


def _few_places(detection: Detection, limit: int, everybody: int) -> Detection:
    """Put the places that fewest persons met under one name, where there are more than `limit`."""
    if detection.exposures is None or detection.could_meet is None:
        return detection
    by_place = detection.exposures.group_by("place").agg(persons=pl.col("person").n_unique())
    if by_place.height <= limit:
        return detection
    kept = by_place.sort(["persons", "place"], descending=[True, False]).head(limit)["place"].to_list()
    exposures = detection.exposures.with_columns(
        place=pl.when(pl.col("place").is_in(kept)).then("place").otherwise(pl.lit(OTHER))
    )
    could = pl.concat(
        [
            detection.could_meet.filter(pl.col("place").is_in(kept)),
            pl.DataFrame({"place": [OTHER], "n": [everybody]}),
        ]
    )
    return replace(detection, exposures=exposures, could_meet=could)


def _rows(detection: Detection, everybody: int) -> pl.DataFrame:
    head = {"signal": detection.signal, "place": "", "reason": detection.reason}
    if detection.exposures is None or detection.could_meet is None:
        return pl.DataFrame(head | {"available": False})
    if detection.exposures.is_empty():
        return pl.DataFrame(head | {"available": True, "occurrences": 0, "persons": 0, "n": everybody})
    counted = (
        detection.exposures.group_by("place")
        .agg(
            occurrences=pl.len(),
            persons=pl.col("person").n_unique(),
            first_seen=pl.col("ts").min(),
            last_seen=pl.col("ts").max(),
        )
        .join(detection.could_meet, on="place", how="left")
        .sort("place")
    )
    low, high = wilson(counted["persons"].to_numpy(), counted["n"].to_numpy())
    return counted.with_columns(
        signal=pl.lit(detection.signal),
        available=pl.lit(True),
        reason=pl.lit(detection.reason),
        detail=pl.col("place").replace_strict(dict(detection.details), default=None, return_dtype=pl.String),
        share=pl.col("persons") / pl.col("n"),
        share_low=pl.Series(low),
        share_high=pl.Series(high),
    )
