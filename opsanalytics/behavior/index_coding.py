"""Which rows of the index serve which steps: classes of events, and a mask of steps a class.

An event's class is its code, or with property filters its code and which of the filters it passes. So the
folds see nothing but small numbers, filters or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opsanalytics.behavior.conditions import ANY_EVENT, Filter, Match, Step
from opsanalytics.behavior.index_build import MOST_CODES
from opsanalytics.behavior.spec import Funnel

MOST_FILTERS = 12
"""On events of one name: every combination of them is a class."""


class NotIndexedError(ValueError):
    """The index cannot answer the definition; evaluate it on events instead."""


@dataclass(frozen=True, eq=False)
class Coding:
    """Classes of a definition."""

    masks: npt.NDArray[np.int32]
    """Bits of steps, and above these of exclusions, by class."""
    of_sources: npt.NDArray[np.bool_]
    """Whether a class is of the definition's sources."""
    filters: tuple[Filter, ...]
    """All that events are asked for."""
    first_class: npt.NDArray[np.uint16]
    """By code of an event: the class of one that passes none of the filters."""
    weights: npt.NDArray[np.uint16]
    """By filter and code: what is added to the class of an event that passes the filter."""

    def step_of(self) -> npt.NDArray[np.int8] | None:
        """The step of every class, 0 for none; None where an event may serve two steps."""
        masks = self.masks
        if (masks & (masks - 1)).any():
            return None
        step_of = np.zeros(len(masks), np.int8)
        known = masks != 0
        step_of[known] = np.log2(masks[known]).astype(np.int8) + 1
        return step_of


def coding_of(definition: Funnel, codes: Sequence[tuple[str, str]]) -> Coding:
    """Classes of the events with these (source, name) pairs, one bit a step and exclusion.

    Raises:
        NotIndexedError: more classes than there are numbers.
    """
    groups: list[list[Step | Match]] = [[one] for one in definition.steps]
    groups += [[one] for one in definition.exclusions]
    return coding_of_groups(groups, codes, sources=definition.sources, label=f"funnel {definition.name!r}")


def coding_of_groups(
    groups: Sequence[Sequence[Step | Match]],
    codes: Sequence[tuple[str, str]],
    *,
    sources: Sequence[str] | None,
    label: str,
) -> Coding:
    """As `coding_of`, one bit a group: set where an event is one of its steps. `label` is for the error."""
    matches = [
        tuple(match for one in group for match in (one.matches if isinstance(one, Step) else (one,)))
        for group in groups
    ]
    # By their JSON, since in Python a filter on 1 equals one on true.
    filters = {_key(each): each for group in matches for one in group for each in one.where}
    number = {key: place for place, key in enumerate(filters)}
    masks: list[int] = []
    of_sources: list[bool] = []
    first_class = np.zeros(len(codes), np.uint16)
    weights = np.zeros((len(filters), len(codes)), np.uint16)
    for code, (source, name) in enumerate(codes):
        ours = sources is None or source in sources
        serving = [
            (bit, {_key(each) for each in one.where})
            for bit, group in enumerate(matches)
            for one in group
            if ours and one.event in (name, ANY_EVENT)
        ]
        asked = [key for key in filters if any(key in where for _, where in serving)]
        if len(asked) > MOST_FILTERS or len(masks) + (1 << len(asked)) > MOST_CODES:
            raise NotIndexedError(
                f"{label}: {len(asked)} filters on the event {name!r} are more than the "
                "index can tell apart; evaluate it on the events of the lake"
            )
        first_class[code] = len(masks)
        for place, key in enumerate(asked):
            weights[number[key], code] = 1 << place
        for passed in range(1 << len(asked)):
            masks.append(_mask(serving, {key for i, key in enumerate(asked) if passed >> i & 1}))
            of_sources.append(ours)
    return Coding(
        np.array(masks, np.int32),
        np.array(of_sources, np.bool_),
        tuple(filters.values()),
        first_class,
        weights,
    )


def _key(condition: Filter) -> str:
    return condition.model_dump_json()


def _mask(serving: Sequence[tuple[int, set[str]]], passed: set[str]) -> int:
    mask = 0
    for bit, where in serving:
        if where <= passed:
            mask |= 1 << bit
    return mask
