"""What each signal at a step did to those who met it, all signals of the step considered together.

The effect on those who met a signal (the average effect on the treated) is the difference of passing between
them and others alike who could have met it as well, averaged over groups in the proportion in which affected
persons are in them (direct standardisation). Before, what other harmful signals took from both is put back:
their effects come from one linear model of passing, within groups, of the signals of the step that are
harmful beside the costlier ones. So a signal
that is merely met by the victims of another (rage clicks at an error) is left with no effect of its own,
and two problems of the same persons are not counted twice. A linear model, because its coefficients are
differences of rates, which mean the same whatever else is in the model; with a single signal it is the
Mantel-Haenszel difference.

Standard errors are those of influence functions, which is what a bootstrap over persons estimates by drawing
(Hampel 1974; van der Vaart 1998, chapter 23): they hold whatever the variances, and know that the same
persons are in several estimates. A test compares them with a bootstrap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from opsanalytics.improvement.likeness import Likeness

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Labels: TypeAlias = NDArray[np.int64]

HARMFUL_Z = -2.0
"""Signals whose effect beside costlier ones is so many errors below zero are taken out of others' effects."""

DISTINCT = 0.1
"""Share of a signal's variance that costlier ones must leave for it to be told apart from them."""


@dataclass(frozen=True)
class Effect:
    """Rates are shares that passed; effects are differences of rates; None where nothing compares."""

    affected: int
    compared: int
    """Affected persons who had comparable unaffected ones; the estimates are about these."""
    crude: float | None
    """Affected minus never affected, nothing considered."""
    rate_affected: float | None = None
    rate_others: float | None = None
    """Of comparable unaffected persons had they been as the affected are, and met what else these met."""
    effect: float | None = None
    error: float | None = None
    """Standard error of `effect` by chance alone."""
    alone: float | None = None
    """The same difference if what other signals did is left in."""
    beside: tuple[tuple[int, float], ...] = ()
    """What was taken out: number of each other signal, and its effect in the model of all."""


def crude_effect(passed: Bools | Floats, met: Bools) -> float | None:
    """Share that passed: affected minus all others."""
    return float(passed[met].mean() - passed[~met].mean()) if 0 < met.sum() < len(met) else None


def partition(met: Bools, could: Bools, likeness: Likeness, min_controls: int) -> Labels:
    """Group within which each person is compared, -1 for none.

    Fine groups with too few unaffected persons who could have met the signal are put together within
    their coarse group; where that is not enough either, affected persons are not compared.
    """
    label = np.where(could, likeness.fine, -1)
    others = np.bincount(label[could & ~met], minlength=int(likeness.fine.max(initial=-1)) + 1)
    thin = could & (others[likeness.fine] < min_controls)
    if thin.any():
        pooled = int(likeness.fine.max()) + 1 + likeness.coarse
        there = np.bincount(pooled[thin & ~met], minlength=int(pooled.max()) + 1)
        label = np.where(thin, np.where(there[pooled] >= min_controls, pooled, -1), label)
    return label


def joint_effects(
    passed: Bools,
    met: Sequence[Bools],
    labels: Sequence[Labels],
    groups: Labels,
    causes: Sequence[bool],
) -> list[Effect]:
    """Effect of each signal.

    Args:
        passed: whether each person who reached the step passed it.
        met: of each signal, who met it at the step.
        labels: of each signal, within what each person is compared (see `partition`).
        groups: who is alike, for the model of all signals.
        causes: which signals may be the cause of not passing; only those are taken out of others.
    """
    if not met:
        return []
    outcome = passed.astype(np.float64)
    seen = [
        _effect(outcome, hit, label, None, np.empty(0, np.int64), np.empty(0, np.int64))
        for hit, label in zip(met, labels, strict=True)
    ]
    # The costliest first: what only comes with it then adds nothing, and stays out.
    costs = [(each.alone or 0.0) * each.affected for each in seen]
    order = [int(at) for at in np.argsort(costs, kind="stable") if causes[int(at)] and costs[int(at)] < 0]
    chosen = np.array(_with_effects_of_their_own(outcome, met, groups, order), np.int64)
    if not len(chosen):
        return seen
    harmful = _model(outcome, np.column_stack([met[int(at)] for at in chosen]), groups)
    return [
        _effect(outcome, hit, label, harmful, np.flatnonzero(chosen != at), chosen)
        for at, (hit, label) in enumerate(zip(met, labels, strict=True))
    ]


def _with_effects_of_their_own(
    outcome: Floats, met: Sequence[Bools], groups: Labels, order: Sequence[int]
) -> list[int]:
    """Signals that are harmful beside those taken before them: forward selection by cost."""
    if not order:
        return []
    columns = _within(np.column_stack([met[at] for at in order]).astype(np.float64), groups)
    y = _within(outcome[:, None], groups)[:, 0]
    products, with_y, left = columns.T @ columns, columns.T @ y, float(y @ y)
    free = len(y) - len(np.unique(groups))
    taken: list[int] = []
    for at in range(len(order)):
        tried = [*taken, at]
        with_taken = products[taken, at]
        rest = products[at, at] - with_taken @ np.linalg.pinv(products[np.ix_(taken, taken)]) @ with_taken
        if rest < DISTINCT * products[at, at]:
            continue
        inverse = np.linalg.pinv(products[np.ix_(tried, tried)], rcond=1e-9, hermitian=True)
        effects = inverse @ with_y[tried]
        variance = (left - float(with_y[tried] @ effects)) / max(1, free - len(tried))
        error = np.sqrt(max(0.0, variance * inverse[-1, -1]))
        if error > 0 and effects[-1] / error < HARMFUL_Z:
            taken = tried
    return [order[at] for at in taken]


@dataclass(frozen=True)
class _Model:
    """Linear model within groups: effects, their influence functions (a row a person)."""

    met: Floats
    effects: Floats
    influence: Floats


def _model(outcome: Floats, met: NDArray[np.bool_], groups: Labels) -> _Model:
    columns = met.astype(np.float64)
    inner, y = _within(columns, groups), _within(outcome[:, None], groups)[:, 0]
    # Signals that always come together cannot be told apart: the pseudo-inverse shares the effect out.
    inverse = np.linalg.pinv(inner.T @ inner, rcond=1e-9, hermitian=True)
    effects = inverse @ (inner.T @ y)
    return _Model(columns, effects, (inner * (y - inner @ effects)[:, None]) @ inverse)


def _within(columns: Floats, groups: Labels) -> Floats:
    """Differences to the means of the groups."""
    size = np.bincount(groups).astype(np.float64)
    result = np.empty_like(columns)
    for at in range(columns.shape[1]):
        mean = np.bincount(groups, columns[:, at]) / np.where(size > 0, size, 1.0)
        result[:, at] = columns[:, at] - mean[groups]
    return result


def _effect(
    outcome: Floats, met: Bools, label: Labels, model: _Model | None, others: Labels, chosen: Labels
) -> Effect:
    """`others`: columns of the model to take out; `chosen`: the signal of each column."""
    affected = int(met.sum())
    crude = crude_effect(outcome, met)
    inside = np.flatnonzero(label >= 0)
    _, group = np.unique(label[inside], return_inverse=True)
    hit, y = met[inside], outcome[inside]
    n1, n0 = (np.bincount(group, who).astype(np.float64) for who in (hit, ~hit))
    compared = int(n1[n0 > 0].sum())
    if compared < 2:
        return Effect(affected, compared, crude)
    # Each affected person counts once, each unaffected one as the affected of the group share out.
    one = np.where((n0 > 0)[group] & hit, 1.0 / compared, 0.0)
    other = np.where(hit, 0.0, n1[group] / np.where(n0 > 0, n0, 1.0)[group] / compared)
    contrast = one - other
    alone = float(contrast @ y)
    spread = np.zeros(len(met))
    spread[inside] = _deviation(y, group, hit, one, n1) - _deviation(y, group, ~hit, other, n0)
    effect = alone
    beside: tuple[tuple[int, float], ...] = ()
    if model is not None and len(others):
        # How much more often the affected also met each of the others.
        more = contrast @ model.met[np.ix_(inside, others)]
        effect -= float(more @ model.effects[others])
        beside = tuple((int(chosen[at]), float(model.effects[at])) for at in others)
        taken = model.met[np.ix_(inside, others)] @ model.effects[others]
        spread[inside] -= _deviation(taken, group, hit, one, n1) - _deviation(taken, group, ~hit, other, n0)
        spread -= model.influence[:, others] @ more
    rate = float(one @ y)
    return Effect(
        affected=affected,
        compared=compared,
        crude=crude,
        rate_affected=rate,
        rate_others=float(np.clip(rate - effect, 0.0, 1.0)),
        effect=effect,
        error=float(np.sqrt((spread**2).sum())),
        alone=alone,
        beside=beside,
    )


def _deviation(y: Floats, group: Labels, arm: Bools, weight: Floats, size: Floats) -> Floats:
    """Weighted difference of each person of an arm to the arm's mean in its group.

    With the correction n / (n - 1) of a variance, so that small groups do not look sure. Who is alone in
    a group differs from the arm as a whole.
    """
    mean = np.bincount(group, y * arm) / np.where(size > 0, size, 1.0)
    mean = np.where(size > 1, mean, y[arm].mean() if arm.any() else 0.0)
    corrected = np.sqrt(np.where(size > 1, size / np.maximum(size - 1, 1.0), 1.0))
    found: Floats = np.where(arm, weight * corrected[group] * (y - mean[group]), 0.0)
    return found
