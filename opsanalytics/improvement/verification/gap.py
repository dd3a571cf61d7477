"""The daily gap between the affected and those they are compared with, and how it changed.

*Difference in differences* (`fit_autoregressive`): the gap by day, with a term for each day of the week, and
errors that resemble those of the day before (AR(1)), by generalised least squares (statsmodels `GLS`). The
autocorrelation of the residuals is moved up by 4 / days, as short series show too little of it; degrees of
freedom count independent days. The standard error is at least that of the counts alone. A shared movement
leaves no trace in the gap if it moves both arms by as many points, or by as much in log-odds; nobody knows
which, so the interval spans both scales (Roth and Sant'Anna 2023).

*Structural model*: where nobody is unaffected, the log-odds of the step less those of the other steps of the
funnel on the same day, weighted by their precision: what moves the whole product moves them too. The same
AR(1) errors and days of the week; the interval spans the model with a trend where the baseline drifts, and is
widened until pretended shippings of the baseline look like nothing. Where the funnel has no other step
(`fit_level`), the step's log-odds are a random walk with a fixed slope (statsmodels `UnobservedComponents`),
so that slow changes of its own are not taken for the fix. It then needs much larger effects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Days: TypeAlias = NDArray[np.int64]

MOST_AUTOCORRELATION = 0.9
LEAST_FREEDOM = 4.0
WEEK = 7
MONTH = 30.0


@dataclass(frozen=True)
class Daily:
    """Units of one arm by day: how many, the sum of what they were worth, and of its squares."""

    n: Floats
    total: Floats
    squares: Floats

    @classmethod
    def of(cls, units: pl.DataFrame, days: Days) -> "Daily":
        """Sums of units (day, y) on `days` (days since 0001-01-01), 0 where there are none."""
        at = np.searchsorted(days, ordinals(units["day"]))
        y = units["y"].to_numpy().astype(np.float64)
        return cls(
            *(
                np.bincount(at, weights=weights, minlength=len(days)).astype(np.float64)
                for weights in (np.ones(len(y)), y, y * y)
            )
        )

    def on(self, chosen: Bools) -> "Daily":
        return Daily(self.n[chosen], self.total[chosen], self.squares[chosen])

    @property
    def mean(self) -> float:
        return float(self.total.sum() / max(1.0, self.n.sum()))

    @property
    def variance(self) -> float:
        """Of one unit, over all days."""
        return float(max(1e-9, self.squares.sum() / max(1.0, self.n.sum()) - self.mean**2))

    @property
    def log_odds(self) -> Floats:
        return np.asarray(np.log((self.total + 0.5) / (self.n - self.total + 0.5)))

    @property
    def log_odds_variance(self) -> Floats:
        share = min(max(self.mean, 0.01), 0.99)
        return np.asarray(1.0 / np.maximum(self.n, 0.5) / (share * (1.0 - share)))


@dataclass(frozen=True)
class Gap:
    """The gap by day, with the standard error that the counts give it; days ascend."""

    day: Days
    y: Floats
    error: Floats

    def on(self, chosen: Bools) -> "Gap":
        return Gap(self.day[chosen], self.y[chosen], self.error[chosen])


@dataclass(frozen=True)
class Fit:
    """Coefficients of the columns of a design."""

    columns: tuple[str, ...]
    coefficients: Floats
    covariance: Floats
    freedom: float
    autocorrelation: float
    noise: float
    """Standard deviation of a day's gap, against what the counts give it; of a random walk, as it is."""
    walk: float = 0.0
    """Standard deviation of the random walk's daily step."""

    def change(self, column: str, less: str | None = None) -> tuple[float, float]:
        """A coefficient, or the difference of two, with its standard error."""
        weights = np.zeros(len(self.columns))
        weights[self.columns.index(column)] = 1.0
        if less is not None:
            weights[self.columns.index(less)] = -1.0
        return float(weights @ self.coefficients), float(np.sqrt(weights @ self.covariance @ weights))


@dataclass(frozen=True)
class Estimate:
    """A change with its standard error; its t distribution has `freedom` degrees of freedom."""

    change: float
    error: float
    freedom: float

    def interval(self, alpha: float) -> tuple[float, float]:
        """Ends of the interval that leaves out `alpha`, both sides together."""
        reach = quantile(alpha, self.freedom) * self.error
        return self.change - reach, self.change + reach

    @property
    def p_value(self) -> float:
        from scipy.stats import t

        return float(2 * t.sf(abs(self.change) / self.error, self.freedom))

    def widened(self, by: float) -> "Estimate":
        return Estimate(self.change, self.error * by, self.freedom)


def quantile(alpha: float, freedom: float) -> float:
    """Standard errors on each side of an interval that leaves out `alpha`."""
    from scipy.stats import t

    return float(t.ppf(1 - alpha / 2, freedom))


def ordinals(days: pl.Series) -> Days:
    """Days as numbers, counted from 0001-01-01."""
    return (days.cast(pl.Int32).to_numpy().astype(np.int64)) + 719_163


def points_gap(day: Days, one: Daily, other: Daily) -> Gap:
    """Difference of the arms' means, on days on which both have units."""
    both = (one.n > 0) & (other.n > 0)
    first, second = one.on(both), other.on(both)
    y = first.total / first.n - second.total / second.n
    return Gap(day[both], y, np.sqrt(one.variance / first.n + other.variance / second.n))


def log_odds_gap(day: Days, one: Daily, others: Sequence[Daily]) -> Gap:
    """Log-odds of an arm of rates, less the mean of those of `others`, each weighted by its precision."""
    both = one.n > 0
    for each in others:
        both = both & (each.n > 0)
    first, rest = one.on(both), [each.on(both) for each in others]
    precision = np.array([1.0 / each.log_odds_variance.mean() for each in rest])
    weights = precision / precision.sum() if len(rest) else precision
    y, variance = first.log_odds, first.log_odds_variance
    for weight, each in zip(weights, rest, strict=True):
        y = y - weight * each.log_odds
        variance = variance + weight**2 * each.log_odds_variance
    return Gap(day[both], y, np.sqrt(variance))


def design(day: Days, terms: dict[str, Floats]) -> tuple[tuple[str, ...], Floats]:
    """A level, the terms, and the days of the week that occur, against their mean."""
    weekday = day % WEEK
    present = np.unique(weekday)
    names, columns = ["level", *terms], [np.ones(len(day)), *terms.values()]
    for number in present[1:]:
        names.append(f"weekday {number}")
        columns.append((weekday == number) - 1.0 / len(present))
    return tuple(names), np.column_stack(columns).astype(np.float64)


def trend(day: Days) -> Floats:
    """Months from the middle of the days."""
    return np.asarray((day - day.mean()) / MONTH)


def correlations(day: Days, error: Floats, autocorrelation: float) -> Floats:
    """Covariance of days whose errors fade with their distance, in units of the residual variance."""
    return np.asarray(
        np.outer(error, error) * autocorrelation ** np.abs(day[:, None] - day[None, :]), dtype=np.float64
    )


def fit_autoregressive(gap: Gap, terms: dict[str, Floats]) -> Fit:
    """Generalised least squares with AR(1) errors, in proportion to what the counts leave uncertain."""
    import statsmodels.api as sm

    names, columns = design(gap.day, terms)
    whitened = sm.OLS(gap.y / gap.error, columns / gap.error[:, None]).fit().resid
    lag = np.diff(gap.day) == 1
    raw = float((whitened[1:] * whitened[:-1])[lag].sum() / max(1e-12, (whitened**2).sum()))
    days = len(gap.day)
    phi = float(np.clip(raw + 4.0 / days, 0.0, MOST_AUTOCORRELATION))
    fitted = sm.GLS(gap.y, columns, sigma=correlations(gap.day, gap.error, phi)).fit()
    freedom = max(LEAST_FREEDOM, days * (1 - phi) / (1 + phi) - len(names))
    return Fit(
        names,
        np.asarray(fitted.params),
        np.asarray(fitted.cov_params()),
        freedom,
        phi,
        float(np.sqrt(fitted.scale)),
    )


def fit_level(gap: Gap, terms: dict[str, Floats]) -> Fit:
    """A random walk with a fixed slope and noise; coefficients are part of the state, so that their errors
    know of each other (statsmodels `UnobservedComponents`, `mle_regression=False`)."""
    import warnings

    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    names, columns = design(gap.day, terms | {"slope": trend(gap.day)})
    y = pl.DataFrame({"day": gap.day, "y": gap.y})
    every = pl.DataFrame({"day": np.arange(gap.day[0], gap.day[-1] + 1)})
    filled = every.join(y, on="day", how="left")["y"].to_numpy()
    explained = np.zeros((len(filled), len(names) - 1))
    explained[gap.day - gap.day[0]] = columns[:, 1:]
    # Numbers near one: the optimiser's steps do not depend on how large the gap is.
    unit = max(1e-6, float(np.std(gap.y)))
    model = sm.tsa.UnobservedComponents(
        (filled - np.nanmean(filled)) / unit, "local level", exog=explained, mle_regression=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # flat where one variance is nil: still the best
        result = model.fit(disp=False, maxiter=50)
    coefficients = np.concatenate([[0.0], result.smoothed_state[1:, -1]]) * unit
    covariance = np.zeros((len(names), len(names)))
    covariance[1:, 1:] = result.smoothed_state_cov[1:, 1:, -1] * unit**2
    freedom = max(LEAST_FREEDOM, float(len(gap.day) - len(names) - 2))
    told = dict(zip(result.model.param_names, result.params, strict=True))
    noise, walk = (
        float(np.sqrt(max(0.0, told[name]))) * unit for name in ("sigma2.irregular", "sigma2.level")
    )
    return Fit(names, coefficients, covariance, freedom, 0.0, noise, walk)


def count_error(arms: Sequence[Daily], after: Bools) -> float:
    """Standard error of a difference in differences from the counts alone."""
    variance = 0.0
    for arm in arms:
        for side in (after, ~after):
            part = arm.on(side)
            variance += part.variance / max(1.0, float(part.n.sum()))
    return float(np.sqrt(variance))
