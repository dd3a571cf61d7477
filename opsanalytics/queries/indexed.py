"""Questions about a lake, answered from its behavior index."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError, open_index
from opsanalytics.behavior.index_columns import EventsChangedError
from opsanalytics.lake.paths import Home
from opsanalytics.queries.inputs import moment

TRIES = 3
"""While another process writes to the lake."""
Answer = TypeVar("Answer")


def from_index(
    home: Home, as_of: datetime | None, answer: Callable[[BehaviorIndex, datetime], Answer]
) -> Answer | None:
    """What `answer` gives for the index and `as_of`, the time of the last event if that is not given; None
    where the index cannot answer, so that the events must.

    Raises: as `answer`, except for NotIndexedError and EventsChangedError.
    """
    # A lake that is read-only cannot keep an index.
    if not os.access(home.root, os.W_OK):
        return None
    for _ in range(TRIES):
        index = open_index(home)
        try:
            return answer(index, moment(index.last) if as_of is None else as_of.astimezone(UTC))
        except NotIndexedError:
            return None
        except EventsChangedError:
            continue
    return None
