"""Pain points: a place where people get stuck, or a theme they complain of, as one item with its evidence."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.behavior.statistics import poisson_interval, wilson
from opsanalytics.feedback.themes import Themes
from opsanalytics.improvement.candidates import Candidate, find_candidates
from opsanalytics.improvement.friction import Friction
from opsanalytics.improvement.lately import changed_lately
from opsanalytics.improvement.links import Link, link_themes
from opsanalytics.improvement.settings import PainPointSettings
from opsanalytics.improvement.shared_persons import counted_once, overlaps
from opsanalytics.improvement.tables import PAIN_POINT_GROUPS, PAIN_POINT_PERSONS, PAIN_POINTS
from opsanalytics.improvement.titles import behaviour_title
from opsanalytics.improvement.voice import is_happy, message_rows, voice_rows

EXAMPLES = 5
QUOTES = 3


@dataclass(frozen=True)
class PainPoints:
    """`items` conforms to PAIN_POINTS, `persons` (the affected) to PAIN_POINT_PERSONS, `groups` (within which
    they were compared) to PAIN_POINT_GROUPS, `overlaps` to PAIN_POINT_OVERLAPS."""

    items: pl.DataFrame
    persons: pl.DataFrame
    groups: pl.DataFrame
    overlaps: pl.DataFrame


def item_id(anchor: str) -> str:
    """Id of the item about `anchor`: what and where, or the theme; never a number or a label."""
    return "PP-" + hashlib.sha256(anchor.encode()).hexdigest()[:8]


def find_pain_points(
    funnels: Sequence[FunnelPersons],
    friction: Friction,
    themes: Themes,
    settings: PainPointSettings,
    *,
    as_of: datetime,
    quality: str = "not_checked",
) -> PainPoints:
    """Join places, friction, drop-off and themes.

    Lane `behaviour`: a signal met after reaching a funnel step, compared as `comparison` says, valued
    in final conversions lost. Lane `voice`: themes that no behavioural item is about, unless their
    ratings say that people are happy, and single bug reports and requests that others voted for.

    Args:
        funnels: how far each person got.
        friction: what they met.
        themes: what they said.
        settings: thresholds.
        as_of: data up to here is complete, UTC.
        quality: state of the quality checks upstream.
    """
    candidates = find_candidates(funnels, friction, settings, as_of=as_of)
    unhappy = themes.themes.filter(~is_happy(settings))
    links = link_themes(candidates, unhappy, themes.assignments)
    said = {row["theme_id"]: row for row in themes.themes.iter_rows(named=True)}
    seen = _seen(friction.exposures)
    lately = changed_lately(friction.exposures, friction.events, as_of)
    names = frozenset(friction.events["event"].unique().to_list())
    notes = {signal.name: signal.note for signal in friction.settings.custom}
    custom = {signal.name: signal for signal in friction.settings.custom}
    rows = [
        _row(
            candidate,
            links.get(candidate.anchor, []),
            said,
            seen[candidate.signal, candidate.place],
            notes.get(candidate.signal),
            settings.min_effect,
        )
        | {"title": behaviour_title(candidate, names, custom)}
        | lately.get((candidate.signal, candidate.place), {})
        for candidate in candidates
    ]
    spoken_for = [link.theme_id for linked in links.values() for link in linked]
    rows += voice_rows(unhappy.filter(~pl.col("theme_id").is_in(spoken_for)), settings, as_of, item_id)
    authors = themes.assignments["author"].n_unique()
    rows += message_rows(themes.alone, authors, as_of, item_id)
    affected = [
        candidate.met.join(candidate.population.persons.select("person", "reached"), on="person").select(
            "person", "first_ts", "passed", item_id=pl.lit(item_id(candidate.identity)), reached_ts="reached"
        )
        for candidate in candidates
    ]
    persons = PAIN_POINT_PERSONS.conform(
        pl.concat(affected).select(PAIN_POINT_PERSONS.names) if affected else PAIN_POINT_PERSONS.empty()
    )
    losses = {
        row["item_id"]: row["lost_per_week"]
        for row in rows
        if row["lane"] == "behaviour" and row["status"] == "finding"
    }
    once = counted_once(persons, losses, sorted(losses))
    stamped = [
        row | {"lost_once": once.get(row["item_id"]), "as_of": as_of, "quality": quality} for row in rows
    ]
    return PainPoints(
        PAIN_POINTS.conform(pl.DataFrame(stamped, schema=PAIN_POINTS.schema)),
        persons,
        PAIN_POINT_GROUPS.conform(pl.concat([PAIN_POINT_GROUPS.empty(), *map(_groups, candidates)])),
        overlaps(persons),
    )


def _groups(candidate: Candidate) -> pl.DataFrame:
    """Counts of the groups with affected persons, of a candidate whose effect is stated."""
    step, measured = candidate.step, candidate.measured
    if not candidate.stated:
        return PAIN_POINT_GROUPS.empty()
    met, passed, taken = pl.col("met"), pl.col("passed"), pl.col("taken")
    took = np.zeros(len(measured.met))
    for other, effect in measured.effect.beside:
        took += effect * step.measured[other].met
    return (
        pl.DataFrame({"label": measured.label, "met": measured.met, "passed": step.passed, "taken": took})
        .with_columns(platform=step.population.persons["platform"])
        .filter(pl.col("label") >= 0)
        .group_by("label")
        .agg(
            pl.col("platform").first(),
            affected=met.sum(),
            affected_passed=(met & passed).sum(),
            affected_taken=taken.filter(met).sum(),
            others=(~met).sum(),
            others_passed=(~met & passed).sum(),
            others_taken=taken.filter(~met).sum(),
        )
        .filter(pl.col("affected") > 0)
        .with_columns(
            item_id=pl.lit(item_id(candidate.identity)), group=pl.col("label").rank("dense").cast(pl.Int32)
        )
        .select(pl.col(name).cast(dtype) for name, dtype in PAIN_POINT_GROUPS.schema.items())
    )


def _seen(exposures: pl.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """When and from which version on each signal was seen at each place, at whatever step."""
    grouped = (
        exposures.sort("ts", "app_version")
        .group_by("signal", "place", maintain_order=True)
        .agg(
            first_seen=pl.col("ts").min(),
            last_seen=pl.col("ts").max(),
            first_version=pl.col("app_version").drop_nulls().first(),
        )
    )
    return {(row.pop("signal"), row.pop("place")): row for row in grouped.iter_rows(named=True)}


def _row(
    candidate: Candidate,
    links: list[Link],
    said: dict[str, dict[str, Any]],
    seen: dict[str, Any],
    note: str | None,
    min_effect: float,
) -> dict[str, Any]:
    found, ends = candidate.found, candidate.interval
    stated, hidden = candidate.stated, candidate.e_values or (None, None)
    name = item_id(candidate.identity)
    low, high = wilson([found.affected], [candidate.reached])
    lost = candidate.lost or (None, None, None)
    revenue = candidate.lost_revenue or (None, None, None)
    least, most = poisson_interval(found.affected)
    link = links[0] if links else None
    themes = [said[other.theme_id] for other in links]
    quotes = _in_turn([list(zip(theme["quotes"], theme["quote_ids"], strict=True)) for theme in themes])
    stuck = candidate.met.sort(["passed", "first_ts", "person"], descending=[False, True, False])
    return seen | {
        "item_id": name,
        "lane": "behaviour",
        "status": candidate.status,
        "funnel": candidate.population.funnel.name,
        "step": candidate.population.step,
        "signal": candidate.signal,
        "place": candidate.place,
        "theme_id": link.theme_id if link else None,
        "theme_ids": [other.theme_id for other in links],
        "theme_link": link.how if link else None,
        "theme_link_by": None if link is None else "persons" if link.by_persons else "words",
        "affected": found.affected,
        "n": candidate.reached,
        "share": found.affected / candidate.reached,
        "share_low": float(low[0]),
        "share_high": float(high[0]),
        "reach_per_week": candidate.reach_per_week,
        "reach_low": least / candidate.weeks,
        "reach_high": most / candidate.weeks,
        "rate_affected": found.rate_affected if stated else None,
        "rate_others": found.rate_others if stated else None,
        "effect": found.effect if stated else None,
        "effect_low": ends[0] if ends else None,
        "effect_high": ends[1] if ends else None,
        "effect_alone": found.alone if stated else None,
        "matched_effect": candidate.measured.matched if stated else None,
        "crude_effect": found.crude,
        "shrunk_effect": candidate.posterior.expected if candidate.posterior else None,
        "harm_chance": candidate.harm_chance(min_effect),
        "systematic_error": candidate.systematic.error if stated and candidate.systematic else None,
        "systematic_from": candidate.systematic.words if stated and candidate.systematic else None,
        "e_value": hidden[0],
        "e_value_low": hidden[1],
        "overlap": candidate.overlap if found.compared else None,
        "q_value": candidate.q_value,
        "pass_value": candidate.worth.conversion,
        "lost_per_week": lost[0],
        "lost_low": lost[1],
        "lost_high": lost[2],
        "revenue_per_week": revenue[0],
        "revenue_low": revenue[1],
        "revenue_high": revenue[2],
        "also_seen_as": list(candidate.also),
        "strata": candidate.step.alike.words,
        "rated": None,
        "satisfaction": None,
        "messages": sum(theme["messages"] for theme in themes),
        "quotes": [text for text, _ in quotes],
        "quote_ids": [name for _, name in quotes],
        "example_persons": stuck["person"].head(EXAMPLES).to_list(),
        "query": (
            "SELECT person, reached_ts, first_ts, passed FROM pain_point_persons "
            f"WHERE item_id = '{name}' ORDER BY first_ts, person"
        ),
        "effect_query": (
            "SELECT sum(affected_passed) / sum(affected) AS rate_affected,\n"
            "       sum(affected * others_passed / others) / sum(affected) AS rate_of_others_alike,\n"
            "       rate_affected - rate_of_others_alike AS effect_alone,\n"
            "       sum(affected_taken - affected * others_taken / others) / sum(affected) AS others_took,\n"
            "       effect_alone - others_took AS effect\n"
            f"FROM pain_point_groups WHERE item_id = '{name}' AND others > 0"
        )
        if stated
        else None,
        "caveat": "; ".join([*candidate.caveats, *([note] if note else [])]),
    }


def _in_turn(lists: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """The first of each list, then the second of each, up to three in all."""
    longest = max((len(one) for one in lists), default=0)
    return [one[at] for at in range(longest) for one in lists if at < len(one)][:QUOTES]
