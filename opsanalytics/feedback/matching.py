"""Which newly found group is which known theme: what stays, what is new, what was split, what was merged."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from opsanalytics.feedback.clusters import Labels

SAME_SHARE = 0.4
"""A group and a theme that share so much of what either has are the same. Where themes may lose what they
have, nothing else is; where they keep it, a theme is also the group that has most of it."""
NEW_SHARE = 0.5
"""A group with this share of its weight in no theme is a new theme."""
SPLIT_SHARE = 0.1
"""A part of a theme with less of its weight than this is not worth a theme of its own."""
CORE_SHARE = 0.5
"""A theme with less of its weight in any one group has no core: its parts are split off if large enough."""
MERGE_SHARE = 0.7
"""A theme with this share of its weight in another theme's group is part of that theme."""

Change: TypeAlias = tuple[Literal["new", "split", "merged"], int, int]
"""What happened, and to which: ("new", group, -1), ("split", group, theme), ("merged", theme, into theme)."""


@dataclass(frozen=True)
class Matching:
    """`theme_of` a group, for those that are a known theme; and what is to change."""

    theme_of: dict[int, int]
    changes: tuple[Change, ...]


def match(
    groups: Labels,
    themes: Labels,
    weights: Labels,
    *,
    min_size: int,
    settling: bool = False,
    loyal: bool = False,
) -> Matching:
    """Match groups to themes so that the weight they share is greatest (Hungarian method).

    Args:
        groups: group of each text, -1 for none.
        themes: theme of each text, -1 for none.
        weights: how many messages each text stands for.
        settling: whether texts will follow their groups, so that a theme may become another one.
        loyal: whether a theme is the group that has most of it also then.
        min_size: what is split off or new has at least this weight.
    """
    count, known = int(groups.max(initial=-1)) + 1, int(themes.max(initial=-1)) + 1
    shared = np.zeros((count, known + 1))
    grouped = groups >= 0
    # column -1, the last, holds what is in no theme
    np.add.at(shared, (groups[grouped], themes[grouped]), weights[grouped])
    sizes = np.zeros(known + 1)
    np.add.at(sizes, themes, weights)
    rows, columns = linear_sum_assignment(-shared[:, :known])
    theme_of = {
        int(g): int(t)
        for g, t in zip(rows, columns, strict=True)
        if shared[g, t] >= SAME_SHARE * (shared[g].sum() + sizes[t] - shared[g, t]) > 0
        or ((loyal or not settling) and shared[g, t] == shared[:, t].max() > 0)
    }
    changes: list[Change] = []
    for group in range(count):
        if group in theme_of:
            continue
        total, outside = shared[group].sum(), shared[group, known]
        if outside >= max(min_size, NEW_SHARE * total):
            changes.append(("new", group, -1))
            continue
        if known and shared[group, :known].any():
            theme = int(shared[group, :known].argmax())
            part = shared[group, theme]
            core = shared[:, theme].max() >= CORE_SHARE * sizes[theme]
            worth = 0.0 if settling or not core else SPLIT_SHARE * sizes[theme]
            if settling or part >= max(min_size, worth, NEW_SHARE * total):
                changes.append(("split", group, theme))
    matched = set(theme_of.values())
    for theme in range(known):
        if theme in matched or not sizes[theme] or not count:
            continue
        group = int(shared[:, theme].argmax())
        into = theme_of.get(group)
        if into is not None and shared[group, theme] >= MERGE_SHARE * sizes[theme]:
            changes.append(("merged", theme, into))
    return Matching(theme_of, tuple(changes))
