"""Questions about a lake, answered from its behavior index."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_breakdown import Broken
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError, open_index
from opsanalytics.behavior.index_breakdown import indexed_breakdown
from opsanalytics.behavior.index_columns import EventsChangedError
from opsanalytics.behavior.index_funnel import indexed_funnel
from opsanalytics.behavior.index_retention import indexed_retention
from opsanalytics.behavior.retention import RetentionResult
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.semantics import Semantics
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.lake.paths import Home
from opsanalytics.queries.inputs import moment

TRIES = 3
"""While another process writes to the lake."""
Answer = TypeVar("Answer")


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

    def asked(index: BehaviorIndex, end: datetime) -> tuple[FunnelResult, list[Broken]]:
        limits: dict[str, Any] = {
            "as_of": end,
            "first": first,
            "last": last,
            "timezone": timezone,
            "preset": preset,
        }
        if not segments:
            return indexed_funnel(index, definition, **limits), []
        parts = indexed_breakdown(index, definition, segments, **limits)
        return parts[0].whole, parts

    return _of_lake(home, as_of, asked)


def retention_of_lake(
    home: Home, definition: Retention, *, as_of: datetime | None, **limits: Any
) -> RetentionResult | None:
    """A retention; None where the index cannot answer, so that the events must.

    `as_of` is the time of the last event if it is not given; `limits` are those of `indexed_retention`.

    Raises: as `index_retention.indexed_retention`, except for NotIndexedError and EventsChangedError.
    """
    return _of_lake(home, as_of, lambda index, end: indexed_retention(index, definition, as_of=end, **limits))


def _of_lake(
    home: Home, as_of: datetime | None, asked: Callable[[BehaviorIndex, datetime], Answer]
) -> Answer | None:
    # A lake that is read-only cannot keep an index.
    if not os.access(home.root, os.W_OK):
        return None
    for _ in range(TRIES):
        index = open_index(home)
        try:
            return asked(index, moment(index.last) if as_of is None else as_of.astimezone(UTC))
        except NotIndexedError:
            return None
        except EventsChangedError:
            continue
    return None
