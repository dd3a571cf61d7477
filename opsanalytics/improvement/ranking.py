"""Ways to score items, and how sure an order of scores is.

A score rests on the value of an item (conversions lost per week, or unhappy people per week), its confidence
and the person-weeks it takes.

rice
    value x confidence / effort, which is reach x impact x confidence / effort (McBride, Intercom).
wsjf
    Cost of delay / duration (Reinertsen), where delay costs value x confidence x urgency per week: urgency is
    how often it was met in the last four weeks against the four before, from 0.5 to 2.
ice
    Impact x confidence x ease (Ellis), each from 0 to 10: impact against the costliest item of the lane,
    ease 10 for a week or less, falling with effort.
value_per_effort
    value / effort: what it is worth if it is what it seems.
"""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from opsanalytics.improvement.settings import RankingMethod

FORMULAS: Mapping[RankingMethod, str] = {
    "rice": "reach × impact × confidence / effort",
    "wsjf": "reach × impact × confidence × urgency / effort",
    "ice": "impact × confidence × ease, each from 0 to 10",
    "value_per_effort": "reach × impact / effort",
}
TOP = 5
DRAWS = 4_000
Z = 1.959964
TREND = timedelta(weeks=4)
URGENCY = (0.5, 2.0)

Triple = tuple[float, float, float]
"""Estimate, lower and upper end of the 95 % interval."""


@dataclass(frozen=True)
class Ranked:
    """An item at its place."""

    item_id: str
    tier: int
    """Whatever it scores, it is behind items of an earlier tier."""
    group: Hashable
    """Items of different groups are never tied."""
    score: Triple | None
    """Without a score: last of its tier."""


@dataclass(frozen=True)
class Sureness:
    """How sure the place of an item among the ranked is."""

    top: float
    """Chance that it belongs to the first five of its lane."""
    rank_low: int
    rank_high: int
    """Ranks that leave out 5 % of the draws at each end."""
    tied: int
    """Rank of the first item that it cannot be told from; its own if there is none."""


def scored(
    method: RankingMethod,
    values: Triple,
    *,
    confidence: float,
    weeks: float,
    urgency: float,
    most: float,
) -> Triple:
    """Score of an item with the interval that its value gives.

    Args:
        values: value per week with its interval.
        confidence: 0 to 1.
        weeks: person-weeks.
        urgency: as `urgencies` gives it.
        most: the highest value of the lane.
    """
    if method == "rice":
        by = confidence / weeks
    elif method == "wsjf":
        by = confidence * urgency / weeks
    elif method == "value_per_effort":
        by = 1 / weeks
    else:
        impact = 10 / most if most > 0 else 0.0
        by = impact * 10 * confidence * 10 / max(1.0, weeks)
    return values[0] * by, values[1] * by, values[2] * by


def urgencies(occurrences: pl.DataFrame, as_of: datetime) -> dict[str, float]:
    """Per item how often it was met in the last four weeks against the four before.

    One is added to both counts, so that few say little.

    Args:
        occurrences: item_id, ts.
        as_of: data up to here is complete, UTC.
    """
    counts = occurrences.group_by("item_id").agg(
        now=((pl.col("ts") > as_of - TREND) & (pl.col("ts") <= as_of)).sum(),
        before=((pl.col("ts") > as_of - 2 * TREND) & (pl.col("ts") <= as_of - TREND)).sum(),
    )
    return {
        item: float(np.clip((now + 1) / (before + 1), *URGENCY)) for item, now, before in counts.iter_rows()
    }


def sureness(items: Sequence[Ranked], *, tie_below: float, top: int = TOP) -> list[Sureness]:
    """How sure the order of items is, from the intervals of their scores.

    Scores are drawn from a normal distribution on each side of the estimate, as wide as that side of the
    interval, not below zero; items are drawn apart, though some share persons. The draws of an item
    depend on its id alone, so that the same data gives the same chances.

    Args:
        items: in order of rank.
        tie_below: an item whose chance to be behind the first of a tie is less than this, shares its rank.
        top: how many are the top.
    """
    if not items:
        return []
    draws = np.stack([_draws(item) for item in items])
    tiers = np.array([item.tier for item in items])
    # Rank in each draw: by tier, then by score; equal scores keep the order they have.
    order = np.lexsort((np.broadcast_to(np.arange(len(items))[:, None], draws.shape), -draws,
                        np.broadcast_to(tiers[:, None], draws.shape)), axis=0)  # fmt: skip
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, len(items) + 1)[:, None], axis=0)
    low, high = np.quantile(ranks, [0.05, 0.95], axis=1, method="inverted_cdf")
    tied, first = [], 0
    for at in range(len(items)):
        same = items[at].group == items[first].group
        if at and not (same and np.mean(ranks[first] < ranks[at]) < tie_below):
            first = at
        tied.append(first + 1)
    return [
        Sureness(float(np.mean(ranks[at] <= top)), int(low[at]), int(high[at]), tied[at])
        for at in range(len(items))
    ]


def _draws(item: Ranked) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if item.score is None:
        return np.full(DRAWS, -1.0)
    seed = int.from_bytes(hashlib.sha256(f"rank|{item.item_id}".encode()).digest()[:8], "big")
    normal = np.random.default_rng(seed).standard_normal(DRAWS)
    estimate, low, high = item.score
    wide = np.where(normal < 0, estimate - low, high - estimate) / Z
    return np.maximum(0.0, estimate + normal * wide)
