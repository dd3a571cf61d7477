"""Questions about a lake, answered from its behavior index."""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_breakdown import Broken
from opsanalytics.behavior.index import NotIndexedError, open_index
from opsanalytics.behavior.index_breakdown import indexed_breakdown
from opsanalytics.behavior.index_columns import EventsChangedError
from opsanalytics.behavior.index_funnel import indexed_funnel
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.semantics import Semantics
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.paths import Home
from opsanalytics.queries.inputs import moment

TRIES = 3
"""While another process writes to the lake."""


def funnel_of_lake(
    home: Home,
    definition: Funnel,
    segments: Sequence[Segment],
    *,
    as_of: datetime | None,
    first: date | None,
    last: date | None,
    timezone: str,
    preset: Semantics,
) -> tuple[FunnelResult, list[Broken]] | None:
    """A funnel and its breakdowns; None where the index cannot answer, so that the events must.

    `as_of` is the time of the last event if it is not given.

    Raises: as `index_funnel.indexed_funnel`, except for NotIndexedError and EventsChangedError.
    """
    # A lake that is read-only cannot keep an index.
    if not os.access(home.root, os.W_OK):
        return None
    for _ in range(TRIES):
        index = open_index(home)
        end = moment(index.last) if as_of is None else as_of.astimezone(UTC)
        limits: dict[str, Any] = {
            "as_of": end,
            "first": first,
            "last": last,
            "timezone": timezone,
            "preset": preset,
        }
        try:
            if not segments:
                return indexed_funnel(index, definition, **limits), []
            parts = indexed_breakdown(index, definition, segments, **limits)
            return parts[0].whole, parts
        except NotIndexedError:
            return None
        except EventsChangedError:
            continue
    return None
