"""The index over all weeks, rebuilt from the `report.json` beside each page."""

import json
from datetime import date
from itertools import groupby
from typing import Any

import polars as pl

from opsanalytics.lake.paths import Home
from opsanalytics.reports.data import ReportData, ReportError
from opsanalytics.reports.rendering import render
from opsanalytics.reports.states import section_states, worst
from opsanalytics.reports.tables import REPORT_INDEX

PAGE = "index.html"
ENTRY = "report.json"


def report_entry(data: ReportData) -> pl.DataFrame:
    """The row of REPORT_INDEX for a report: its headline numbers, null where withheld or unknown."""
    states = section_states(data)
    row: dict[str, Any] = dict.fromkeys(REPORT_INDEX.names)
    row |= {
        "report": data.report,
        "title": data.title or data.report,
        "week": data.first_day,
        "last_day": data.last_day,
        "product": data.product,
        "time_zone": data.time_zone,
        "path": f"{data.report}/{data.first_day.isoformat()}/{PAGE}",
        "generated_from": data.fingerprint,
        "as_of": data.as_of,
        "quality": worst(states),
        "withheld": [section for section, state in states.items() if state.withheld],
    }
    if not states["behaviour"].withheld:
        row |= _findings(data)
    if not states["funnels"].withheld:
        row |= _conversion(data)
    return REPORT_INDEX.conform(pl.DataFrame([row], schema=REPORT_INDEX.schema))


def write_entry(entry: pl.DataFrame) -> str:
    """An entry as the text of `report.json`."""
    return json.dumps(json.loads(entry.write_json())[0], indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def report_index(home: Home) -> pl.DataFrame:
    """REPORT_INDEX: all reports below `home.reports`, by week and name.

    Raises:
        ReportError: a `report.json` cannot be read; the message names it.
    """
    entries = [REPORT_INDEX.empty()]
    for path in sorted(home.reports.glob(f"*/*/{ENTRY}")):
        try:
            content = json.loads(path.read_bytes())
            if not isinstance(content, dict):
                raise ReportError("it does not hold an object")
            text = json.dumps([content]).encode()
            entries.append(REPORT_INDEX.conform(pl.read_json(text, schema=REPORT_INDEX.schema)))
        except (ValueError, pl.exceptions.PolarsError) as error:
            raise ReportError(
                f"{path}: cannot be read ({error}). Remove the folder {path.parent} and make that week's "
                "report again."
            ) from error
    return REPORT_INDEX.conform(pl.concat(entries))


def render_index(entries: pl.DataFrame) -> str:
    """The page over all weeks, newest first, from rows of REPORT_INDEX."""
    rows = entries.sort("week", "report", descending=[True, False]).to_dicts()
    years = [(year, list(group)) for year, group in groupby(rows, key=_year)]
    product = rows[0]["product"] if rows else "opsanalytics"
    return render(
        "index.html.j2",
        scripts=(),
        entries=rows,
        years=years,
        product=product,
        several=entries["report"].n_unique() > 1,
    )


def _year(row: dict[str, Any]) -> int:
    week = row["week"]
    return week.year if isinstance(week, date) else 0


def _findings(data: ReportData) -> dict[str, Any]:
    ranked = data.backlog.filter(
        (pl.col("lane") == "behaviour") & (pl.col("status") == "finding") & (pl.col("stage") == "open")
    )
    joined = ranked.sort("rank").join(
        data.pain_points.select("item_id", "lost_per_week", "lost_low", "lost_high"),
        left_on="evidence_id",
        right_on="item_id",
        how="left",
        maintain_order="left",
    )
    if joined.is_empty():
        return {"findings": 0}
    top = joined.row(0, named=True)
    return {
        "findings": joined.height,
        "top_finding": top["title"],
        "top_lost_per_week": top["lost_per_week"],
        "top_lost_low": top["lost_low"],
        "top_lost_high": top["lost_high"],
    }


def _conversion(data: ReportData) -> dict[str, Any]:
    names = data.funnel_names()
    if not names:
        return {}
    trend = data.funnel_trend.filter(
        (pl.col("funnel") == names[0])
        & pl.col("complete")
        & (pl.col("period_start") <= data.first_day)
        & pl.col("rate").is_not_null()
    )
    if trend.is_empty():
        return {"funnel": names[0]}
    latest = trend.sort("period_start").row(-1, named=True)
    return {
        "funnel": data.titles("funnel").get(names[0], names[0]),
        "funnel_week": latest["period_start"],
        "entered": latest["entered"],
        "rate": latest["rate"],
        "rate_low": latest["rate_low"],
        "rate_high": latest["rate_high"],
    }
