"""Feedback frames for tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from opsanalytics.lake.schemas import FEEDBACK

START = datetime(2026, 1, 5, tzinfo=UTC)


def messages(
    texts: Sequence[str | None],
    *,
    users: Sequence[str | None] | None = None,
    satisfaction: Sequence[float | None] | None = None,
    ids: Sequence[str] | None = None,
    start: datetime = START,
    apart: timedelta = timedelta(hours=1),
) -> pl.DataFrame:
    """Feedback as FEEDBACK, one message an hour unless `apart` says otherwise."""
    size = len(texts)
    frame = (
        FEEDBACK.empty()
        .clear(size)
        .with_columns(
            feedback_id=pl.Series(ids or [f"survey:{i:05}" for i in range(size)], dtype=pl.String),
            source=pl.lit("survey"),
            ts=pl.Series([start + apart * i for i in range(size)], dtype=pl.Datetime("us", "UTC")),
            user_id=pl.Series(users or [None] * size, dtype=pl.String),
            satisfaction=pl.Series(satisfaction or [None] * size, dtype=pl.Float64),
            text=pl.Series(texts, dtype=pl.String),
            raw=pl.lit("{}"),
            ingest_run=pl.lit("test"),
        )
    )
    return FEEDBACK.conform(frame)
