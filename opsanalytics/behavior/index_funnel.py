"""Funnels from the behavior index: the same numbers as from the events, without reading these."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.attempts import Bucket, best_attempts
from opsanalytics.behavior.folding import is_plain
from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_rows import entry_rows
from opsanalytics.behavior.index import BehaviorIndex, Segment, Slice, chosen_rows, nobodys
from opsanalytics.behavior.index_coding import Coding, coding_of
from opsanalytics.behavior.index_projection import projected_funnel
from opsanalytics.behavior.index_question import Asked, asked_of
from opsanalytics.behavior.index_streaming import Codes, streamed_attempts, streamed_counts
from opsanalytics.behavior.index_subjects import passing_persons
from opsanalytics.behavior.rows import LeftOut
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.tables import UTC_TIME

AT_ONCE = 1 << 15
"""Persons whose attempts are followed at once: what is done once a range costs more than the cache gains."""


def indexed_funnel(
    index: BehaviorIndex,
    definition: Funnel,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    preset: str | Semantics = OPSANALYTICS,
) -> FunnelResult:
    """As `funnel.funnel` on the lake's events, by all the same rules.

    Raises:
        NotIndexedError: see `index_coding.coding_of`.
        EventsChangedError: the lake changed while it was read; open the index again.
        ValueError, PropertyError, PresetError: as `funnel`.
    """
    asked = asked_of(index, definition, as_of, first, last, timezone, preset)
    if not foldable(definition):
        return projected_funnel(
            index, definition, as_of=as_of, first=first, last=last, timezone=timezone, preset=preset
        )
    coding = coding_of(definition, index.codes)
    since, until = asked.events
    segments = index.between(since, until)
    codes = class_codes(index, coding, segments, until=asked.until)
    step_of = coding.step_of()
    if step_of is not None and is_plain(definition, asked.semantics) and definition.reentry:
        frames = streamed_attempts(index, asked, step_of, segments, codes)
    else:
        frames = followed_attempts(index, asked, coding, segments, codes)
    wanted = coding.of_sources if asked.keeps_all else coding.masks != 0
    return FunnelResult(
        definition=definition,
        as_of=asked.as_of,
        attempts=pl.concat(frames) if frames else no_attempts(definition),
        left_out=LeftOut(without_person=nobodys(segments, codes, wanted, since=since, until=until)),
        semantics=asked.semantics,
        names=index.named,
    )


def indexed_counts(
    index: BehaviorIndex,
    definition: Funnel,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    preset: str | Semantics = OPSANALYTICS,
) -> pl.DataFrame:
    """`step`, `persons`, `immature_persons` (Int64) of `indexed_funnel`, without its persons and times.

    For plain ordered funnels whose events serve one step each, and `windowFunnel` without modes on such,
    one row of state a person is enough.

    Raises: as `indexed_funnel`.
    """
    asked = asked_of(index, definition, as_of, first, last, timezone, preset)
    coding = coding_of(definition, index.codes) if foldable(definition) else None
    step_of = None if coding is None else coding.step_of()
    if coding is None or step_of is None or not definition.reentry or not _one_state_a_step(asked):
        steps = indexed_funnel(
            index, definition, as_of=as_of, first=first, last=last, timezone=timezone, preset=preset
        ).to_polars()
        return steps.select("step", "persons", "immature_persons")
    segments = index.between(*asked.events)
    codes = class_codes(index, coding, segments, until=asked.until)
    counts = streamed_counts(index, asked, step_of, segments, codes)
    return pl.DataFrame(
        {
            "step": pl.Series(range(1, len(definition.steps) + 1), dtype=pl.Int32),
            "persons": counts[0],
            "immature_persons": counts[1] if len(counts) > 1 else np.zeros_like(counts[0]),
        }
    )


def foldable(definition: Funnel) -> bool:
    """Whether the folds work on the index as it lies; if not, they work on events that are made of it."""
    return (
        not definition.hold
        and definition.counting != "sessions"
        and definition.entity is None
        and definition.value is None
        and definition.among is None
        and all(step.occurrence == "any" for step in definition.steps)
    )


def class_codes(index: BehaviorIndex, coding: Coding, segments: Sequence[Segment], *, until: int) -> Codes:
    """The class of every row of some segments."""
    from opsanalytics.behavior.kernels_index import add_filter, add_person_filter, begin_classes

    if not coding.filters:
        return [one.event for one in segments]
    names = dict.fromkeys(each.property for each in coding.filters if each.of == "event")
    columns = {name: index.property_of(name, segments) for name in names}
    persons = [
        passing_persons(index, each, until) if each.of == "person" else None for each in coding.filters
    ]
    passing = [columns[each.property].passing(each) if each.of == "event" else [] for each in coding.filters]

    def classes(place: int) -> npt.NDArray[np.uint16]:
        segment = segments[place]
        out = np.empty(len(segment.event), np.uint16)
        begin_classes(segment.event, coding.first_class, out)
        for number, each in enumerate(coding.filters):
            weight, of_person = coding.weights[number], persons[number]
            if of_person is not None:
                add_person_filter(segment.person, of_person, segment.event, weight, out)
            else:
                code = columns[each.property].days[place].codes
                add_filter(code, segment.row, passing[number][place], segment.event, weight, out)
        return out

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return list(pool.map(classes, range(len(segments))))


def no_attempts(definition: Funnel) -> pl.DataFrame:
    """The columns of attempts, by number of person, without any."""
    times = ["first_entry_ts", "entry_ts", *(f"ts_{k}" for k in range(1, len(definition.steps) + 1))]
    unit = {"unit": pl.String} if definition.counting != "persons" else {}
    return pl.DataFrame(
        schema={
            "person": pl.UInt32,
            **unit,
            "mature": pl.Boolean,
            "step_reached": pl.Int32,
            **dict.fromkeys(times, UTC_TIME),
        }
    )


def followed_attempts(
    index: BehaviorIndex,
    asked: Asked,
    coding: Coding,
    segments: Sequence[Segment],
    codes: Codes,
    bucket: Bucket | None = None,
) -> list[pl.DataFrame]:
    """Best attempts of the folds that need all rows of a person at once, also of each bucket."""
    since, until = asked.events
    wanted = coding.of_sources if asked.keeps_all else coding.masks != 0

    def part(low: int, high: int, slices: list[Slice]) -> pl.DataFrame:
        rows = chosen_rows(low, high, slices, codes, coding.masks, wanted, since=since, until=until)
        entries = entry_rows(
            rows, asked.definition, first=asked.first, last=asked.last, timezone=asked.timezone
        )
        return best_attempts(
            rows, asked.definition, entries, as_of=asked.as_of, bucket=bucket, semantics=asked.semantics
        )

    return index.by_range(segments, part, most=AT_ONCE)


def _one_state_a_step(asked: Asked) -> bool:
    if asked.semantics.scan == "window_funnel":
        return not asked.semantics.modes and is_plain(asked.definition, OPSANALYTICS)
    return is_plain(asked.definition, asked.semantics)
