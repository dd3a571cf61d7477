"""What happened to themes, as a table."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from opsanalytics.feedback.decisions import Decided
from opsanalytics.feedback.tables import THEME_HISTORY

if TYPE_CHECKING:
    from opsanalytics.feedback.walked import Event


def history_rows(
    events: Iterable["Event"],
    rules: Decided,
    theme_of: Mapping[str, str],
    labels: Mapping[str, str],
    as_of: datetime,
) -> pl.DataFrame:
    """Rows of THEME_HISTORY.

    Args:
        events: what the registry recorded.
        rules: decisions in force.
        theme_of: theme of each message before mergers by people.
        labels: of all themes there are or were.
        as_of: feedback up to here is complete, UTC.
    """
    sizes = Counter(theme_of.values())
    happened: list[tuple[datetime, str, str | None, str, int]] = [
        (each.at, each.what, each.from_id, each.to_id, each.messages) for each in events
    ]
    happened += [
        (each.at, "merged_by_people", theme, other, sizes[theme]) for each, theme, other in rules.merged
    ]
    rows = [
        {
            "at": at,
            "what": what,
            "from_id": from_id,
            "from_label": labels[from_id] if from_id else None,
            "to_id": to_id,
            "to_label": labels[to_id],
            "messages": size,
            "as_of": as_of,
        }
        for at, what, from_id, to_id, size in happened
    ]
    return pl.DataFrame(rows, schema=THEME_HISTORY.schema)
