"""Pain points made by hand, for what happens to them in the backlog."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from opsanalytics.improvement.backlog import OCCURRENCES, Backlog, make_backlog
from opsanalytics.improvement.decision_log import Log, decide, read_log, remember
from opsanalytics.improvement.decisions import Decision
from opsanalytics.improvement.settings import BacklogSettings, PainPointSettings
from opsanalytics.improvement.tables import PAIN_POINTS
from opsanalytics.lake.paths import Home

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ITEMS = tuple(f"PP-{digit * 8}" for digit in "abcdef")


def pain_point(item_id: str, lost: float = 10.0, **known: Any) -> dict[str, Any]:
    """A finding with an interval of a third around what it costs."""
    return (
        dict.fromkeys(PAIN_POINTS.names)
        | {
            "item_id": item_id,
            "lane": "behaviour",
            "status": "finding",
            "title": f"Error at {item_id}",
            "funnel": "onboarding",
            "theme_ids": [],
            "also_seen_as": [],
            "affected": 100,
            "n": 1_000,
            "reach_per_week": lost * 4,
            "effect": -0.25,
            "effect_low": -0.33,
            "effect_high": -0.17,
            "harm_chance": 0.99,
            "overlap": 1.0,
            "q_value": 0.001,
            "lost_per_week": lost,
            "lost_low": lost * 2 / 3,
            "lost_high": lost * 4 / 3,
            "messages": 0,
            "quotes": [],
            "quote_ids": [],
            "example_persons": [],
            "first_seen": AS_OF - timedelta(weeks=8),
            "last_seen": AS_OF - timedelta(days=1),
            "query": "",
            "caveat": "",
            "as_of": AS_OF,
            "quality": "passed",
        }
        | known
    )


def points(*rows: dict[str, Any]) -> pl.DataFrame:
    """As PAIN_POINTS."""
    return PAIN_POINTS.conform(pl.DataFrame(list(rows), schema=PAIN_POINTS.schema))


def met(**days: Sequence[datetime]) -> pl.DataFrame:
    """Occurrences; PP_aaaaaaaa stands for the item PP-aaaaaaaa."""
    rows = [(name.replace("_", "-"), ts) for name, times in days.items() for ts in times]
    return pl.DataFrame(rows, schema=OCCURRENCES, orient="row")


def ranked(
    frame: pl.DataFrame,
    log: Log | None = None,
    *,
    as_of: datetime = AS_OF,
    occurrences: pl.DataFrame | None = None,
    **settings: Any,
) -> Backlog:
    return make_backlog(
        frame,
        BacklogSettings.model_validate(settings),
        PainPointSettings(),
        as_of=as_of,
        log=log,
        occurrences=occurrences,
    )


def run(home: Home, frame: pl.DataFrame, as_of: datetime, occurrences: pl.DataFrame | None = None) -> Backlog:
    """What a run of the pipeline does with the backlog."""
    made = ranked(frame, read_log(home), as_of=as_of, occurrences=occurrences)
    remember(home, made.sightings)
    return made


def take(home: Home, item: str, action: str, by: str = "ann", **details: Any) -> list[Decision]:
    return decide(home, NOW, by, lambda _: [(item, action, details)])


def row(made: Backlog, item: str) -> dict[str, Any]:
    return made.items.filter(pl.col("item_id") == item).row(0, named=True)
