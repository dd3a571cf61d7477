"""What was predicted against what came: per fix, overall, and what it says of the next prediction.

A prediction is taken at four fifths to begin with, as comparisons are no experiments (`PRIOR`). Each fix
with a verdict says what share of its prediction came true. Shares are joined by precision, with the spread
that fixes have among themselves (`BETWEEN`) and the prior as if it were a few fixes: the normal model with
known variances. Few entries so move it little, and wide ones less.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from opsanalytics.behavior.statistics import wilson
from opsanalytics.improvement.verification.tables import CALIBRATION, PREDICTION_LEDGER

PRIOR, PRIOR_ERROR = 0.8, 0.2
BETWEEN = 0.5
FEW = 5
"""With fewer entries calibration is said to be a guess."""
BOUNDS = (0.25, 1.25)
"""Of the factor: a confidence never grows beyond taking predictions at their word."""
Z = 1.959964
MEASURED = ("worked", "did_not_work", "harmed", "regressed")


@dataclass(frozen=True)
class Calibration:
    """What the ledger says of predictions."""

    entries: int
    realised: float
    error: float
    told: str

    @property
    def factor(self) -> float:
        """What the confidence of behavioural items is multiplied by; 1 without entries."""
        return float(np.clip(self.realised / PRIOR, *BOUNDS))

    @property
    def few(self) -> bool:
        return self.entries < FEW


NONE = Calibration(
    0, PRIOR, PRIOR_ERROR, "no fix has been verified yet, so predictions are taken as they are"
)


def ledger_rows(verified: pl.DataFrame, plans: pl.DataFrame) -> pl.DataFrame:
    """PREDICTION_LEDGER of fixes that have a prediction and a verdict.

    Args:
        verified: as VERIFICATIONS.
        plans: item_id, lost_per_week, lost_low, lost_high, units_per_week, pass_value of the plans.
    """
    rows = verified.filter(
        pl.col("outcome").is_in(list(MEASURED)) & (pl.col("expected") > 0) & pl.col("change").is_not_null()
    ).join(plans, on="item_id", how="left")
    # Revenue is counted in money on both sides, everything else in final conversions.
    money = pl.col("metric") == "revenue"
    per_pass = pl.when(pl.col("metric") == "pass").then("pass_value").otherwise(1.0)
    weekly = pl.col("units_per_week") * per_pass
    # Half the interval at the level of one look, in standard errors of a normal distribution.
    reach = pl.col("confidence").map_elements(_reach, return_dtype=pl.Float64)
    measured_error = (pl.col("change_high") - pl.col("change_low")) / 2 / reach
    predicted_error = (pl.col("expected_high") - pl.col("expected_low")) / 2 / Z
    ratio = pl.col("change") / pl.col("expected")
    return PREDICTION_LEDGER.conform(
        rows.select(
            "item_id",
            "title",
            "outcome",
            "shipped_on",
            predicted_change="expected",
            predicted_change_low="expected_low",
            predicted_change_high="expected_high",
            measured_change="change",
            measured_change_low="change_low",
            measured_change_high="change_high",
            metric="metric",
            predicted_value=pl.when(money).then(pl.col("expected") * weekly).otherwise("lost_per_week"),
            predicted_low=pl.when(money).then(pl.col("expected_low") * weekly).otherwise("lost_low"),
            predicted_high=pl.when(money).then(pl.col("expected_high") * weekly).otherwise("lost_high"),
            measured_value=pl.col("change") * weekly,
            measured_low=pl.col("change_low") * weekly,
            measured_high=pl.col("change_high") * weekly,
            ratio=ratio,
            # Both parts are uncertain; the prediction's counts by the share that came true (delta method).
            ratio_error=(
                (measured_error**2 + (ratio.clip(-2, 2) * predicted_error) ** 2).sqrt() / pl.col("expected")
            ),
            agrees=(pl.col("change_low") <= pl.col("expected_high"))
            & (pl.col("change_high") >= pl.col("expected_low")),
            as_of="as_of",
            quality="quality",
        )
    )


def _reach(confidence: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(0.5 + confidence / 2))


def calibrate(ledger: pl.DataFrame) -> Calibration:
    """What PREDICTION_LEDGER says of the next prediction."""
    if ledger.is_empty():
        return NONE
    ratio = ledger["ratio"].clip(-1.0, 3.0).to_numpy()
    weight = 1.0 / (ledger["ratio_error"].to_numpy() ** 2 + BETWEEN**2)
    prior = 1.0 / PRIOR_ERROR**2
    precision = prior + float(weight.sum())
    realised = (prior * PRIOR + float((weight * ratio).sum())) / precision
    entries = ledger.height
    fixes = "1 verified fix" if entries == 1 else f"{entries} verified fixes"
    seen = f"{fixes}: about {realised * 100:.0f} % of what is predicted comes true"
    told = f"{seen}; too few to say much, so it moves confidence little" if entries < FEW else seen
    return Calibration(entries, realised, precision**-0.5, told)


def calibration_row(ledger: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The row of CALIBRATION."""
    found = calibrate(ledger)
    agree = int(ledger["agrees"].sum())
    low, high = (float(end[0]) for end in wilson([agree], [ledger.height])) if ledger.height else (None, None)
    return CALIBRATION.conform(
        pl.DataFrame(
            [
                {
                    "entries": ledger.height,
                    "worked": int((ledger["outcome"] == "worked").sum()),
                    "agree": agree,
                    "agree_low": low,
                    "agree_high": high,
                    "realised": found.realised,
                    "realised_low": found.realised - Z * found.error,
                    "realised_high": found.realised + Z * found.error,
                    "factor": found.factor,
                    "told": found.told,
                    "as_of": as_of,
                }
            ],
            schema=CALIBRATION.schema,
        )
    )


def calibration_of(row: pl.DataFrame) -> Calibration:
    """Read CALIBRATION back; without a row, NONE."""
    if row.is_empty():
        return NONE
    told = row.row(0, named=True)
    error = (told["realised_high"] - told["realised_low"]) / 2 / Z
    return Calibration(told["entries"], told["realised"], error, told["told"])
