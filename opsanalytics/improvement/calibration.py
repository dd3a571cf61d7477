"""How far estimated effects are to be believed: systematic error, shrinkage, and how strong a hidden cause
would have to be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_CONTROLS = 8
"""Comparisons of harmless events that are enough to say by themselves how far comparisons are off."""
LEAST = 0.0025
"""However well harmless events come out, no comparison of people who chose is surer than a quarter point."""
UNSEEN = 0.5
"""Standard error of what was not measured, as a share of what measured differences between people explain."""
Z = 1.959964


@dataclass(frozen=True)
class Systematic:
    """Standard error that no amount of data takes away."""

    error: float
    words: str
    """Where it comes from, for people."""
    measured: bool = False

    def of(self, crude: float | None, adjusted: float | None) -> float:
        """That of one comparison: the more is seen to set people apart, the more may set them apart unseen.

        What is left unseen is taken to be half as much as was seen, as one standard error (in the spirit
        of Altonji, Elder and Taber 2005 and Oster 2019, who take as much as the utmost).
        """
        moved = 0.0 if crude is None or adjusted is None else abs(crude - adjusted)
        return float(np.hypot(self.error, UNSEEN * moved))


def systematic_error(effects: Sequence[float], errors: Sequence[float], default: float) -> Systematic:
    """How far comparisons are off beyond chance, from events that cannot do harm (negative controls).

    Their true effect is nil, so what their estimates show beyond sampling error is confounding that is left:
    root of the squared mean and the variance between them, by random-effects meta-analysis (Schuemie and
    others 2014, Statistics in Medicine 33, with statsmodels `combine_effects`, Paule and Mandel's variance).

    Args:
        effects, errors: of each comparison of a harmless event, with standard errors by chance alone.
        default: what is assumed without any; a lower bound as long as there are fewer than eight.
    """
    from statsmodels.stats.meta_analysis import combine_effects

    count = len(effects)
    if count < 2:
        return Systematic(default, f"{spoken_points(default)} assumed, as no harmless events are named")
    found = combine_effects(np.asarray(effects), np.asarray(errors) ** 2, method_re="iterated")
    between = max(0.0, float(found.tau2))
    # The mean is known with error, too: only what it shows beyond that is systematic.
    mean = max(0.0, float(found.mean_effect_re) ** 2 - float(found.sd_eff_w_re) ** 2)
    measured = float(np.sqrt(between + mean))
    enough = count >= FEWEST_CONTROLS
    error = max(measured, LEAST if enough else default)
    told = f"{spoken_points(float(f'{measured:.2g}'))} between {count} comparisons of harmless events"
    return Systematic(
        error, told if enough else f"{told}, at least {default * 100:g} with so few", measured=enough
    )


def spoken_points(share: float) -> str:
    """Such as "1 point", "2.5 points"."""
    return f"{share * 100:g} point{'' if share == 0.01 else 's'}"


@dataclass(frozen=True)
class Prior:
    """What effects are like: none for a share of all signals, else normal."""

    none: float
    mean: float
    spread: float


@dataclass(frozen=True)
class Posterior:
    """An effect given its estimate and what effects are like."""

    none: float
    """Chance that there is none (local false discovery rate)."""
    mean: float
    spread: float
    """If there is one: normal."""
    error: float
    """Standard error of the estimate; intervals are as wide as it says, for the prior is an estimate, too."""

    def below(self, bound: float) -> float:
        """Chance that the effect is below `bound` (which is negative or 0)."""
        from scipy.stats import norm

        return float((1 - self.none) * norm.cdf((bound - self.mean) / self.spread))

    @property
    def expected(self) -> float:
        return (1 - self.none) * self.mean

    def quantile(self, share: float) -> float:
        """Value below which the effect lies with chance `share`."""
        from scipy.stats import norm

        some = 1 - self.none
        negative = some * float(norm.cdf(-self.mean / self.error))
        if share <= negative:
            return float(self.mean + self.error * norm.ppf(share / some))
        if share <= negative + self.none:
            return 0.0
        return float(self.mean + self.error * norm.ppf((share - self.none) / some))


def prior_of(effects: NDArray[np.float64], errors: NDArray[np.float64]) -> Prior:
    """What effects are like, from all estimates together (empirical Bayes).

    Two groups, none or normal (Efron 2010, Large-Scale Inference, chapter 2; Stephens 2017, Biostatistics
    18), by the likeliest parameters; weak priors keep them sensible where there are few signals.
    """
    from scipy.optimize import minimize
    from scipy.special import expit
    from scipy.stats import beta, norm

    def unlikely(point: NDArray[np.float64]) -> float:
        none, mean, spread = expit(point[0]), point[1], np.exp(point[2])
        density = none * norm.pdf(effects, 0, errors) + (1 - none) * norm.pdf(
            effects, mean, np.hypot(errors, spread)
        )
        prior = (
            beta.logpdf(none, 2, 2) + norm.logpdf(mean, -0.05, 0.15) + norm.logpdf(point[2], np.log(0.1), 0.7)
        )
        return -float(np.log(np.maximum(density, 1e-300)).sum() + prior)

    tries = [
        minimize(
            unlikely, np.array([share, mean, np.log(0.1)]), method="Nelder-Mead", options={"maxiter": 2000}
        )
        for share in (-1.0, 1.5)
        for mean in (-0.15, -0.03)
    ]
    best = min(tries, key=lambda one: float(one.fun)).x
    return Prior(float(expit(best[0])), float(best[1]), float(np.exp(best[2])))


def shrunk(effect: float, error: float, prior: Prior) -> Posterior:
    """The effect behind an estimate: pulled towards what effects are like, the more the less sure it is.

    That takes back the winner's curse, by which estimates that stand out are on average too large.
    """
    from scipy.stats import norm

    nothing = prior.none * norm.pdf(effect, 0, error)
    something = (1 - prior.none) * norm.pdf(effect, prior.mean, np.hypot(error, prior.spread))
    weight = prior.spread**2 / (prior.spread**2 + error**2)
    total = nothing + something
    return Posterior(
        none=float(nothing / total) if total > 0 else 0.0,
        mean=float(weight * effect + (1 - weight) * prior.mean),
        spread=float(np.sqrt(weight) * error),
        error=error,
    )


def e_value(affected: float, others: float) -> float:
    """How strong a hidden cause would have to be to explain the whole difference of two rates.

    The risk ratio that something nobody measured must have both with meeting the signal and with passing.
    VanderWeele and Ding (2017), Annals of Internal Medicine 167: RR + sqrt(RR (RR - 1)). Of the ratio of
    passing and that of not passing the weaker counts. 1: no hidden cause is needed.

    Args:
        affected, others: shares that passed.
    """
    if affected >= others:
        return 1.0
    ratios = [
        others / affected if affected > 0 else np.inf,
        (1 - affected) / (1 - others) if others < 1 else np.inf,
    ]
    ratio = min(ratios)
    return float(ratio + np.sqrt(ratio * (ratio - 1))) if np.isfinite(ratio) else float("inf")
