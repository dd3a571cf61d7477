"""How long it takes to see a change, and how large a change can be seen: from the days before shipping.

The model is that of the verdict (`gap`): the standard error of the change for so many days before and after
is that of generalised least squares with the errors the baseline has, and the chance to see a change is that
of the non-central t distribution (scipy) at the level of the last look. The looks before it add a little.
"""

from dataclasses import dataclass

import numpy as np

from opsanalytics.improvement.verification.gap import (
    LEAST_FREEDOM,
    Floats,
    correlations,
    design,
    quantile,
    trend,
)
from opsanalytics.improvement.verification.measure import Panel, daily_error, fitted_baseline


@dataclass(frozen=True)
class Outlook:
    """What a baseline promises: the noise of its gap."""

    days: int
    error: float
    """Standard error of a day's gap by the counts alone."""
    autocorrelation: float
    noise: float
    walk: float
    walks: bool
    """Whether the level wanders: nothing is there to compare with."""
    scale: float
    """Points for one unit of the gap."""
    level: float
    """Alpha of one look."""

    def standard_error(self, after: int) -> tuple[float, float]:
        """Standard error of the change after so many days, and its degrees of freedom."""
        day = np.arange(self.days + 1 + after, dtype=np.int64)
        day = day[day != self.days]
        terms: dict[str, Floats] = {"after": (day > self.days).astype(np.float64)}
        if self.walks:
            terms["slope"] = trend(day)
        names, columns = design(day, terms)
        errors = np.full(len(day), self.error)
        if self.walks:
            spread = np.diag(np.full(len(day), self.noise**2))
            spread += self.walk**2 * np.minimum(day[:, None], day[None, :])
            freedom = max(LEAST_FREEDOM, float(len(day) - len(names) - 2))
        else:
            spread = self.noise**2 * correlations(day, errors, self.autocorrelation)
            independent = len(day) * (1 - self.autocorrelation) / (1 + self.autocorrelation)
            freedom = max(LEAST_FREEDOM, independent - len(names))
        spread += np.eye(len(day)) * 1e-12
        covariance = np.linalg.inv(columns.T @ np.linalg.solve(spread, columns))
        place = names.index("after")
        counts = self.error * np.sqrt(1 / self.days + 1 / after)
        return float(max(np.sqrt(covariance[place, place]), counts)) * self.scale, freedom

    def power(self, change: float, after: int) -> float:
        """Chance to see a change of this size, in either direction, after so many days."""
        from scipy.stats import nct

        error, freedom = self.standard_error(after)
        return float(nct.sf(quantile(self.level, freedom), freedom, abs(change) / error))

    def least_change(self, after: int, power: float) -> float:
        """The smallest change that is seen with this chance after so many days."""
        from scipy.stats import norm

        error, freedom = self.standard_error(after)
        return (quantile(self.level, freedom) + float(norm.ppf(power))) * error

    def days_for(self, change: float, power: float, most: int) -> int | None:
        """Days after shipping until a change of this size is seen so surely; None: more than `most`."""
        if self.power(change, most) < power:
            return None
        low, high = 7, most
        while low < high:
            middle = (low + high) // 2
            if self.power(change, middle) >= power:
                high = middle
            else:
                low = middle + 1
        return high


def outlook(panel: Panel, *, level: float, inflation: float = 1.0) -> Outlook:
    """The outlook of a baseline.

    Args:
        panel: the days before shipping.
        level: alpha of one look.
        inflation: by how much the structural model's errors are widened.
    """
    fit = fitted_baseline(panel)
    structural = panel.method == "structural"
    rate = min(max(panel.affected.mean, 0.01), 0.99)
    return Outlook(
        days=len(panel.day),
        error=daily_error(panel),
        autocorrelation=fit.autocorrelation,
        noise=fit.noise,
        walk=fit.walk,
        walks=panel.walks,
        scale=rate * (1 - rate) * inflation if structural else 1.0,
        level=level,
    )
