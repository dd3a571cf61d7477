"""Sources compared with each other, and whether two of them count the same product twice."""

from datetime import datetime

import polars as pl

from opsanalytics.analysis.refresh import WHOLE, Refreshed, refresh
from opsanalytics.analysis.scope import Scope, frame_digest
from opsanalytics.behavior.source_comparison import SOURCE_COMPARISON, compare_sources, overlap_evidence
from opsanalytics.lake.tables import UTC_TIME
from opsanalytics.quality.results import CheckOutcome, record

COUNTED_ONCE = "counted_once"
DESCRIPTION = (
    "No two sources send the same events of the same persons unless [[overlaps]] says which one counts: "
    "everybody would count twice."
)


def comparison_mart(scope: Scope) -> Refreshed:
    """SOURCE_COMPARISON: depends on the events of all sources."""
    settings = scope.settings

    def compute(_: object) -> dict[str, pl.DataFrame]:
        compared = compare_sources(
            scope.recorded_events, [source.name for source in settings.event_sources], settings.overlaps
        )
        rows = compared.with_columns(
            pl.lit(scope.as_of).cast(UTC_TIME).alias("as_of"), pl.lit(scope.event_quality).alias("quality")
        )
        return {SOURCE_COMPARISON.name: rows}

    names = {"sources": " ".join(source.name for source in settings.event_sources)}
    without = ("friction", "feedback", "pain_points", "backlog", "segments")
    facts = scope.facts([SOURCE_COMPARISON], without=without) | names
    return refresh(scope, "sources", [SOURCE_COMPARISON], {WHOLE: facts}, compute)


def check_counted_once(scope: Scope, comparison: pl.DataFrame, *, checked_at: datetime) -> list[CheckOutcome]:
    """Record for every two sources whether they are counted twice, and return it.

    A warning: two vendors may be meant to see the same persons, and funnels that name one source are right.
    """
    outcomes = [
        CheckOutcome(
            table=SOURCE_COMPARISON.name,
            check=COUNTED_ONCE,
            partition=f"{row['source_a']} and {row['source_b']}",
            passed=row["declared"] or not row["evident"],
            severity="warning",
            description=DESCRIPTION,
            checked=row["person_days"],
            unexpected=row["in_both"],
            examples=tuple(row["examples"]),
        )
        for row in overlap_evidence(comparison).to_dicts()
    ]
    record(
        scope.home,
        outcomes,
        producer="sources",
        checked_at=checked_at,
        data_version=frame_digest(comparison),
        instead_of_all=True,
    )
    return outcomes
