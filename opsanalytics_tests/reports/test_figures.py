import html
from typing import Any

import polars as pl
import pytest

from opsanalytics.reports import figures
from opsanalytics.reports.comparison import by_year
from opsanalytics_tests.reports import samples


@pytest.fixture(scope="module")
def data() -> Any:
    return samples.sample()


def whiskers(trace: Any) -> tuple[list[float], list[float]]:
    low = [value - below for value, below in zip(trace.x, trace.error_x.arrayminus, strict=True)]
    high = [value + above for value, above in zip(trace.x, trace.error_x.array, strict=True)]
    return low, high


def test_funnel_bars_are_the_rates_with_their_intervals(data: Any) -> None:
    steps = data.funnel_steps.filter(pl.col("funnel") == "sign_up_to_purchase")
    bars = figures.funnel_figure(steps).data[1]
    low, high = whiskers(bars)
    assert list(bars.x) == steps["rate"].to_list()
    assert low == pytest.approx(steps["rate_low"].to_list())
    assert high == pytest.approx(steps["rate_high"].to_list())


def test_funnel_labels_name_persons_and_rate(data: Any) -> None:
    steps = data.funnel_steps.filter(pl.col("funnel") == "sign_up_to_purchase")
    labels = [note.text for note in figures.funnel_figure(steps).layout.annotations]
    assert labels[:4] == [
        "1. Sign up",
        "4,812 · <b>100.0\u202f%</b>",
        "2. Onboarding done",
        "3,941 · <b>81.9\u202f%</b>",
    ]


def test_trend_line_has_complete_weeks_only_and_the_hollow_one_apart(data: Any) -> None:
    trend = data.funnel_trend.filter(pl.col("funnel") == "sign_up_to_purchase")
    _, line, hollow = figures.funnel_trend_figure(trend).data
    assert list(line.y) == [*trend["rate"].to_list()[:-1], None]
    assert list(hollow.x) == ["2026-10-05", "2026-10-12"]
    assert hollow.y[-1] == trend["rate"][-1]
    assert (hollow.marker.symbol, hollow.line.dash) == ("circle-open", "dot")


def test_trend_breaks_where_a_week_is_missing(data: Any) -> None:
    trend = data.funnel_trend.filter(pl.col("funnel") == "sign_up_to_purchase")
    gap = trend.filter(pl.col("period_start") != trend["period_start"][5])
    band, line = figures.funnel_trend_figure(gap).data[:2]
    assert line.y[5] is None
    assert list(band.y).count(None) == 2


def test_trend_band_is_the_interval(data: Any) -> None:
    trend = data.funnel_trend.filter(pl.col("funnel") == "invite")
    band = figures.funnel_trend_figure(trend).data[0]
    assert list(band.y) == [*trend["rate_high"].to_list(), *trend["rate_low"].to_list()[::-1], None]


def test_only_values_with_a_small_q_are_filled(data: Any) -> None:
    rows = data.funnel_breakdown.filter((pl.col("segment") == "platform") & (pl.col("step") == 5))
    dots = figures.breakdown_figure(rows, 0.165).data[0]
    filled = [symbol == "circle" for symbol in dots.marker.symbol]
    assert filled == (rows["q_value"] < 0.05).to_list()
    assert list(dots.x) == rows["rate"].to_list()


def test_heat_map_cells_lie_in_the_layer_of_their_kind(data: Any) -> None:
    cells = data.retention_cells.filter(pl.col("cohort").is_not_null())
    figure = figures.retention_heatmap(cells, small_n=30)
    cohorts, periods = cells["cohort"].unique().sort().to_list(), cells["period"].unique().sort().to_list()
    expected = {(row["cohort"], row["period"]): row for row in cells.to_dicts()}
    for layer, kind in zip(figure.data, ("complete", "small", "incomplete"), strict=True):
        shown = {
            (cohorts[i], periods[j]): rate
            for i, rates in enumerate(layer.z)
            for j, rate in enumerate(rates)
            if rate is not None
        }
        assert shown == {
            key: row["rate"]
            for key, row in expected.items()
            if kind == ("incomplete" if not row["complete"] else "small" if row["n"] < 30 else "complete")
        }


def test_incomplete_cells_are_marked(data: Any) -> None:
    cells = data.retention_cells.filter(pl.col("cohort").is_not_null())
    incomplete = figures.retention_heatmap(cells, small_n=30).data[2]
    texts = [text for row in incomplete.text for text in row if text]
    assert texts
    assert all(text.endswith("*") for text in texts)


def test_curve_is_the_pooled_rate(data: Any) -> None:
    pooled = data.retention_cells.filter(pl.col("cohort").is_null())
    line = figures.retention_curve(pooled).data[1]
    assert list(line.x) == pooled["period"].to_list()
    assert list(line.y) == pooled["rate"].to_list()


def test_theme_bars_are_the_shares(data: Any) -> None:
    bars = figures.theme_figure(data.feedback_themes).data[0]
    low, high = whiskers(bars)
    assert list(bars.x) == data.feedback_themes["share"].to_list()
    assert low == pytest.approx(data.feedback_themes["share_low"].to_list())
    assert high == pytest.approx(data.feedback_themes["share_high"].to_list())


def test_losses_are_the_estimates_and_findings_are_filled(data: Any) -> None:
    items = data.pain_points.filter(pl.col("lane") == "behaviour")
    dots = figures.loss_figure(items).data[0]
    assert list(dots.x) == items["lost_per_week"].to_list()
    filled = [symbol == "circle" for symbol in dots.marker.symbol]
    assert filled == (items["status"] == "finding").to_list()


def test_years_add_up_complete_cells() -> None:
    cells = samples.long_history().retention_cells.filter(pl.col("cohort").is_not_null())
    years = by_year(cells)
    row = years.filter((pl.col("cohort").dt.year() == 2020) & (pl.col("period") == 3)).row(0, named=True)
    same = cells.filter((pl.col("cohort").dt.year() == 2020) & (pl.col("period") == 3) & pl.col("complete"))
    assert (row["n"], row["returned"]) == (same["n"].sum(), same["returned"].sum())
    assert row["rate_low"] < row["rate"] < row["rate_high"]


def test_hostile_labels_reach_plotly_as_text() -> None:
    data = samples.hostile()
    steps = data.funnel_steps.filter(pl.col("funnel") == "invite")
    figure = figures.funnel_figure(steps)
    label, hover = figure.layout.annotations[0].text, figure.data[1].customdata[0][0]
    assert not {"<", ">", "$"} & set(label + hover)
    assert html.unescape(hover) == samples.HOSTILE.replace("\u202e", "").replace("\u0000", "")


@pytest.mark.parametrize("build", [figures.funnel_figure, figures.retention_curve, figures.loss_figure])
def test_a_figure_of_no_rows_is_still_a_figure(build: Any, data: Any) -> None:
    frames = {
        figures.funnel_figure: data.funnel_steps,
        figures.retention_curve: data.retention_cells,
        figures.loss_figure: data.pain_points.with_columns(status=pl.lit("finding")),
    }
    assert build(frames[build].clear()).to_plotly_json()["data"]


def test_a_week_without_neighbours_shows_its_interval_as_whiskers(data: Any) -> None:
    trend = data.funnel_trend.filter(pl.col("funnel") == "sign_up_to_purchase")
    kept = trend.filter(pl.col("period_start").is_in(trend["period_start"][[0, 2, 3]].to_list()))
    line = figures.funnel_trend_figure(kept).data[1]
    lone = kept.row(0, named=True)
    assert list(line.error_y.array) == [lone["rate_high"] - lone["rate"], None, None, None]
    assert list(line.error_y.arrayminus) == [lone["rate"] - lone["rate_low"], None, None, None]


def test_a_cell_that_has_just_begun_shows_no_zero(data: Any) -> None:
    cells = data.retention_cells.filter(pl.col("cohort").is_not_null())
    begun = cells.with_columns(returned=pl.when("complete").then("returned").otherwise(0))
    texts = {text for row in figures.retention_heatmap(begun, small_n=30).data[2].text for text in row}
    assert texts == {"", "*"}
