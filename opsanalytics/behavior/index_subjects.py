"""What is known of the persons of the index: the latest values of their properties, and their cohorts."""

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.conditions import Filter
from opsanalytics.behavior.filters import filter_passes
from opsanalytics.behavior.index import BehaviorIndex
from opsanalytics.behavior.index_columns import VALUE


def latest_property(index: BehaviorIndex, name: str, until: int) -> tuple[pl.Series, npt.NDArray[np.uint32]]:
    """Values of an event property, null first, and by number of a person the place of its latest value up to
    `until`; see `subjects`.

    Raises:
        PropertyError, EventsChangedError: see `BehaviorIndex.property_of`.
    """
    from opsanalytics.behavior.kernels_index import latest_values

    segments = [one for one in index.segments if one.first <= until]
    values = index.property_of(name, segments)
    at = np.zeros(index.person_count, np.int64)
    latest = np.zeros(index.person_count, np.uint32)
    for segment, day, place in zip(segments, values.days, values.places, strict=True):
        columns = (segment.person, segment.ts, segment.known)
        latest_values(*columns, until, day.codes, segment.row, place, at, latest)
    return values.values, latest


def passing_persons(index: BehaviorIndex, condition: Filter, until: int) -> npt.NDArray[np.bool_]:
    """By number whether a person passes a filter on persons as of `until`; one more for nobody.

    Raises: as `latest_property`.
    """
    values, latest = latest_property(index, condition.property, until)
    asked = condition.model_copy(update={"property": VALUE, "of": "event"})
    frame = values.alias(VALUE).to_frame()
    passes = frame.select(filter_passes(asked, [VALUE]).fill_null(False)).to_series().to_numpy()
    return np.append(passes[latest], passes[0])
