"""What the page says about fixes: what was promised, what came of it, and how predictions have held."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from opsanalytics.behavior.statistics import newcombe_difference, wilson
from opsanalytics.improvement.verification.words import interval, size, spoken_outcome, summary
from opsanalytics.reports import figures
from opsanalytics.reports.charts import Chart
from opsanalytics.reports.data import ReportData, Section
from opsanalytics.reports.formats import MINUS
from opsanalytics.reports.states import SectionState
from opsanalytics.reports.text import anchor

ORDER = (
    "harmed", "regressed", "did_not_work", "worked", "inconclusive", "withheld", "verifying", "planned",
    "not_measured",
)  # fmt: skip
TAGS = {"worked": "passed", "harmed": "failed", "regressed": "warning", "did_not_work": "warning"}
METHODS = {
    "difference": "Difference in differences",
    "structural": "Structural model, as nobody is unaffected",
    "heard": "Before against after, among all messages",
    "none": "Not measured",
}
METRICS = {
    "pass": "Share that goes on to a later step",
    "conversion": "Share that reaches the last step",
    "revenue": "Worth of an attempt",
    "heard": "Share of messages that are about something else",
}
STRETCH = 7


@dataclass(frozen=True)
class FixesView:
    """`shipped` and `planned` are rows of VERIFICATIONS with words and charts."""

    state: SectionState
    shipped: list[dict[str, Any]]
    planned: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    calibration: dict[str, Any] | None
    chart: Chart | None


def fixes_view(data: ReportData, states: dict[Section, SectionState]) -> FixesView:
    """Fixes by how much they ask for attention; nothing measured is shown while behaviour is withheld."""
    state = states["behaviour"]
    rows = sorted(
        data.verifications.to_dicts(),
        key=lambda row: (ORDER.index(row["outcome"]), row["title"], row["item_id"]),
    )
    shown = [] if state.withheld else [_told(row, data) for row in rows]
    ledger = data.prediction_ledger if not state.withheld else data.prediction_ledger.clear()
    overall = data.prediction_calibration.to_dicts()
    return FixesView(
        state=state,
        shipped=[row for row in shown if row["shipped_on"] is not None],
        planned=[row for row in shown if row["shipped_on"] is None],
        ledger=[row | {"anchor": _anchor(row), "spoken": spoken_outcome(row)} for row in ledger.to_dicts()],
        calibration=overall[0] if overall and not ledger.is_empty() else None,
        chart=_calibration_chart(ledger),
    )


def _anchor(row: dict[str, Any]) -> str:
    return anchor("fix", row["item_id"])


def _told(row: dict[str, Any], data: ReportData) -> dict[str, Any]:
    money = row["metric"] == "revenue"
    return row | {
        "anchor": _anchor(row),
        "item_anchor": anchor("", row["item_id"]),
        "spoken": spoken_outcome(row),
        "tag": TAGS.get(row["outcome"], ""),
        "summary": summary(row),
        "change_words": size(row, "change").replace("-", MINUS),
        "change_interval": interval(row, "change_low", "change_high").replace("-", MINUS),
        "expected_words": size(row, "expected").replace("-", MINUS),
        "expected_interval": interval(row, "expected_low", "expected_high").replace("-", MINUS),
        "least_words": size(row, "least_change", signed=False),
        "drift_words": size(row, "drift_per_week").replace("-", MINUS),
        "drift_interval": interval(row, "drift_low", "drift_high").replace("-", MINUS),
        "method_words": METHODS[row["method"]],
        "metric_words": METRICS[row["metric"]],
        "funnel_title": data.titles("funnel").get(row["funnel"] or "", row["funnel"]),
        "on_page": row["item_id"] in data.pain_points["item_id"].to_list(),
        "gap": _gap_chart(row, data, money=money) if row["shipped_on"] else None,
        "effect": _change_chart(row, money=money),
    }


def _change_chart(row: dict[str, Any], *, money: bool) -> Chart | None:
    if row["change"] is None:
        return None
    alt = (
        f"Dots with intervals on one axis. {summary(row)}. {len(row['placebo_changes'])} pretended shippings."
    )
    return Chart(f"fix-{row['item_id']}-change", figures.change_figure(row, money=money), alt)


def _gap_chart(row: dict[str, Any], data: ReportData, *, money: bool) -> Chart | None:
    days = data.verification_days.filter(
        (pl.col("item_id") == row["item_id"]) & pl.col("arm").is_in(["affected", "unaffected"])
    )
    weeks = _stretches(days, row["shipped_on"], money=money)
    if weeks.height < 3:
        return None
    what = "Gap between the affected and the unaffected" if row["method"] == "difference" else "The affected"
    if row["method"] == "heard":
        what = METRICS["heard"]
    return Chart(
        f"fix-{row['item_id']}-gap",
        figures.gap_figure(
            weeks,
            row["shipped_on"].isoformat(),
            money=money,
            compared=days.filter(pl.col("arm") == "unaffected").height > 0,
        ),
        f"Line chart: {what} by stretches of seven days, shipped on {row['shipped_on']}.",
    )


def _stretches(days: pl.DataFrame, shipped: Any, *, money: bool) -> pl.DataFrame:
    """day (middle), y, low, high, units, of whole stretches of seven days around shipping."""
    after = (pl.col("day") - pl.lit(shipped)).dt.total_days()
    # Days 1 to 7 are stretch 0, days -7 to -1 are stretch -1; the day of shipping is in none.
    number = pl.when(after > 0).then((after - 1) // STRETCH).otherwise(-((-after - 1) // STRETCH) - 1)
    sums = (
        days.filter(pl.col("day") != shipped)
        .with_columns(stretch=number)
        .group_by("stretch", "arm")
        .agg(pl.col("day").min().alias("first"), pl.col("day").n_unique().alias("days"),
             pl.col("units").sum(), pl.col("total").sum())
        .filter((pl.col("days") == STRETCH) & (pl.col("units") > 0))
    )  # fmt: skip
    one = sums.filter(pl.col("arm") == "affected").sort("stretch")
    other = sums.filter(pl.col("arm") == "unaffected").select("stretch", n0="units", k0="total")
    compared = other.height > 0
    if compared:
        one = one.join(other, on="stretch").sort("stretch")
    y = pl.col("total") / pl.col("units") - (pl.col("k0") / pl.col("n0") if compared else 0.0)
    low: Any = [None] * one.height
    high: Any = low
    if one.height and not money:
        k, n = one["total"].cast(pl.Int64), one["units"]
        if compared:
            low, high = newcombe_difference(k, n, one["k0"].cast(pl.Int64), one["n0"])
        else:
            low, high = wilson(k, n)
    return one.select(
        "stretch", "units", day=pl.col("first") + pl.duration(days=STRETCH // 2), y=y
    ).with_columns(low=pl.Series(low, dtype=pl.Float64), high=pl.Series(high, dtype=pl.Float64))


def _calibration_chart(ledger: pl.DataFrame) -> Chart | None:
    ledger = ledger.filter(pl.col("metric") != "revenue")  # money is not on an axis of points
    if ledger.is_empty():
        return None
    agree = int(ledger["agrees"].sum())
    return Chart(
        "prediction-calibration",
        figures.calibration_figure(ledger),
        f"Measured against predicted change of {ledger.height} fixes; {agree} agree within their intervals.",
    )
