"""Whether people stopped writing of something: for what is heard in feedback only.

The metric is the share of all messages that are not of the item's themes, so that a fix that works raises
it, as it does every other metric. A change is the difference of two shares with Newcombe's interval
(statsmodels), which holds where nobody writes of it any more; counts are first divided by how much more the
shares of the weeks before vary than chance explains (Pearson's chi-squared over its degrees of freedom, at
least 1: quasi-binomial).

It knows no unaffected people. What else makes people write more or less of one thing cannot be told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from opsanalytics.improvement.verification.gap import Daily, Estimate, Floats
from opsanalytics.improvement.verification.measure import Baseline, Change, Panel, Stretch

WEEK = 7
LEAST_MESSAGES = 20
"""Messages of the themes that a baseline needs."""
FELL_BY = 0.5
"""A plan looks so long that a fall by this share would be seen."""
DRIFT_P = 0.3
"""If a slope before shipping is less likely by chance than this, the interval allows for it: with nobody to
compare with, a trend would else pass for a fix."""
MANY = 1e6
"""Degrees of freedom of an estimate from counts."""


def heard_panel(
    messages: pl.DataFrame, themes: Sequence[str], *, zone: ZoneInfo, first: date | None, last: date
) -> Panel:
    """Daily counts of messages, and of those that are of something else.

    Args:
        messages: ts (UTC), theme_id (null: of none).
        themes: the item's.
        zone: of days.
        first, last: the days that count; without `first`, from the first message on.
    """
    told = messages.select(
        day=pl.col("ts").dt.convert_time_zone(zone.key).dt.date(),
        y=(~pl.col("theme_id").is_in(list(themes)).fill_null(value=False)).cast(pl.Float64),
    ).filter(pl.col("day") <= last)
    if first is not None:
        told = told.filter(pl.col("day") >= first)
    begins = first or told["day"].min()
    if told.is_empty() or not isinstance(begins, date):
        empty = np.empty(0, np.int64)
        return Panel(empty, Daily.of(told, empty), (), "heard", "heard")
    days = np.arange(begins.toordinal(), last.toordinal() + 1, dtype=np.int64)
    return Panel(days, Daily.of(told, days), (), "heard", "heard")


def heard_baseline(panel: Panel, shipped: int) -> Baseline:
    """The weeks before shipping: whether people were writing less or more of it anyway."""
    import statsmodels.api as sm

    before = panel.before(shipped)
    n, other, week = _weeks(before, shipped)
    slope, error = 0.0, 1.0
    if len(week) > 2 and 0 < other.sum() < n.sum():
        design = sm.add_constant(week - week.mean())
        model = sm.GLM(np.column_stack([other, n - other]), design, family=sm.families.Binomial())
        found = model.fit()
        spread = max(1.0, float(found.pearson_chi2 / max(1, found.df_resid)))
        share = other.sum() / n.sum()
        slope = float(found.params[1] * share * (1 - share))
        error = float(found.bse[1] * np.sqrt(spread) * share * (1 - share))
    estimate = Estimate(slope, max(error, 1e-12), max(4.0, len(week) - 2.0))
    low, high = estimate.interval(0.05)
    return Baseline(len(before.day), slope, low, high, estimate.p_value if len(week) > 2 else 1.0, ())


def heard_change(panel: Panel, shipped: int, known: Baseline, *, alpha: float) -> Change:
    """The change after shipping, over all days of the panel; the day of shipping counts nowhere.

    Where people were already writing less of it, the interval also holds what is left of the change once that
    had gone on: nobody knows whether it would have.
    """
    before, after = panel.before(shipped), panel.on(panel.day > shipped)
    change, low, high = _apart(after.affected, before.affected, _spread(before, shipped), alpha)
    if known.p_value < DRIFT_P:
        # From the middle of the baseline to the middle of what came after, give or take a standard error.
        weeks = (len(before.day) + len(after.day)) / 2 / WEEK
        error = (known.slope_high - known.slope_low) / 4
        low = min(low, low - weeks * (known.slope + error))
        high = max(high, high - weeks * (known.slope - error))
    return Change(change, low, high, (high - low) / 2 / _reach(alpha))


def heard_stretches(panel: Panel, shipped: int, verified: int, width: int) -> list[Stretch]:
    """Each `width` days after the day `verified`, as far as they are whole."""
    before = panel.before(shipped)
    spread = _spread(before, shipped)
    first = panel.on((panel.day > shipped) & (panel.day <= verified)).affected
    result = []
    for number in range((int(panel.day[-1]) - verified) // width):
        start = verified + number * width
        now = panel.on((panel.day > start) & (panel.day <= start + width)).affected
        result.append(Stretch(_estimate(now, before.affected, spread), _estimate(first, now, spread)))
    return result


@dataclass(frozen=True)
class HeardOutlook:
    """What a baseline promises: how many messages there are, and how they vary."""

    share: float
    """Of messages that are of the item."""
    before: float
    a_day: float
    spread: float
    level: float

    def standard_error(self, after: int) -> float:
        """Of the change after so many days, if half of it is left."""
        was, left = self.share, self.share * (1 - FELL_BY)
        return float(
            np.sqrt(
                self.spread
                * (was * (1 - was) / self.before + max(left * (1 - left), 1e-9) / (self.a_day * after))
            )
        )

    def power(self, change: float, after: int) -> float:
        """Chance to see a change of this size after so many days."""
        from scipy.stats import norm

        return float(norm.cdf(abs(change) / self.standard_error(after) - _reach(self.level)))

    def least_change(self, after: int, power: float) -> float:
        """The smallest change that is seen with this chance."""
        from scipy.stats import norm

        return (_reach(self.level) + float(norm.ppf(power))) * self.standard_error(after)

    def days_for(self, change: float, power: float, most: int) -> int | None:
        """Days after shipping until a change of this size is seen so surely; None: more than `most`."""
        return next((days for days in range(WEEK, most + 1) if self.power(change, days) >= power), None)


def heard_outlook(panel: Panel, *, level: float, shipped: int) -> HeardOutlook:
    """The outlook of a baseline that has messages of the item and of something else."""
    before = panel.before(shipped)
    n = float(before.affected.n.sum())
    return HeardOutlook(
        1 - before.affected.mean, n, n / max(1, len(before.day)), _spread(before, shipped), level
    )


def _weeks(panel: Panel, shipped: int) -> tuple[Floats, Floats, Floats]:
    """Messages, messages of something else, and number of each whole week before shipping."""
    week = (shipped - 1 - panel.day) // WEEK
    whole = week < len(panel.day) // WEEK
    n = np.bincount(week[whole], panel.affected.n[whole]).astype(np.float64)
    other = np.bincount(week[whole], panel.affected.total[whole]).astype(np.float64)
    some = n > 0
    return n[some], other[some], -np.arange(float(len(n)))[some]


def _spread(before: Panel, shipped: int) -> float:
    n, other, week = _weeks(before, shipped)
    share = other.sum() / max(1.0, n.sum())
    if len(week) < 3 or not 0 < share < 1:
        return 1.0
    pearson = float((((other - n * share) ** 2) / (n * share * (1 - share))).sum())
    return max(1.0, pearson / (len(week) - 1))


def _apart(one: Daily, other: Daily, spread: float, alpha: float) -> tuple[float, float, float]:
    from statsmodels.stats.proportion import confint_proportions_2indep

    counts = [part / spread for arm in (one, other) for part in (arm.total.sum(), max(1.0, arm.n.sum()))]
    low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff", alpha=alpha)
    return one.mean - other.mean, float(low), float(high)


def _estimate(one: Daily, other: Daily, spread: float) -> Estimate:
    change, low, high = _apart(one, other, spread, 0.05)
    return Estimate(change, max((high - low) / 2 / _reach(0.05), 1e-12), MANY)


def _reach(alpha: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(1 - alpha / 2))


def enough(panel: Panel, shipped: int) -> str | None:
    """Why there are too few messages to plan with, if there are."""
    before = panel.before(shipped)
    mine = int(before.affected.n.sum() - before.affected.total.sum()) if len(before.day) else 0
    if mine < LEAST_MESSAGES:
        return (
            f"heard in feedback only, and {mine} messages before shipping are too few to see whether it "
            f"falls silent (at least {LEAST_MESSAGES})"
        )
    return None
