"""What the page says about pain points and the backlog: the headline, the cards, the tables by lane."""

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from opsanalytics.improvement.briefing import briefing
from opsanalytics.improvement.decisions import spoken
from opsanalytics.improvement.ranking import FORMULAS
from opsanalytics.reports import figures, formats
from opsanalytics.reports.charts import Chart
from opsanalytics.reports.data import ReportData, Section
from opsanalytics.reports.states import SectionState
from opsanalytics.reports.text import anchor

HEADLINES = 5
ASKING = ("bug", "complaint", "request")
MOST_IN_CHART = 10
MOST_ROWS = 12
MOST_WATCHED = 8
MUCH_SHARED = 0.1
MOST_SHARED = 3
OVERRIDDEN = ("item_id", "lane", "title", "status", "last_seen")
"""What the backlog says of an item before its pain point does."""
COSTS = (("value", "lost_per_week"), ("value_low", "lost_low"), ("value_high", "lost_high"))
ENTRY = (
    *OVERRIDDEN, "rank", "reach", "impact", "value", "value_low", "value_high", "confidence",
    "confidence_reason", "effort_weeks", "effort_source", "score", "score_low", "score_high", "tied",
    "rank_low", "rank_high", "top_5", "state", "stage", "state_since", "state_by", "owner", "seen", "merged",
    "note",
)  # fmt: skip
"""What is told of an item's entry in the backlog."""

LANES: tuple[tuple[Section, str, int], ...] = (
    ("behaviour", "Measured in conversions", 6),
    ("voice", "Heard in feedback only", 3),
)
"""Name, title, and how many findings have an open card; quotes of the voice lane stand under feedback too."""


@dataclass(frozen=True)
class Lane:
    """One lane of the backlog. `state` says whether its rows may be shown; withheld lanes have none."""

    name: Section
    title: str
    state: SectionState
    ranked: list[dict[str, Any]]
    """Rows of the table, in order of rank."""
    chart: Chart | None
    open: list[dict[str, Any]]
    """Findings with an open card."""
    folded: list[dict[str, Any]]
    """The other findings."""
    watch: list[dict[str, Any]]
    total: dict[str, float] | None
    """What all findings cost a week: `lost`, `low`, `high` with persons counted once, and the mere `sum`."""
    apart: list[dict[str, Any]]
    """Shipped, or set aside by somebody: in order of rank, with those that data no longer shows."""


@dataclass(frozen=True)
class BacklogView:
    """Headline findings, pain-point cards and backlog lanes, all from the same joined rows."""

    headlines: list[dict[str, Any]]
    asked: list[dict[str, Any]]
    """The first bug reports, complaints and requests that are no findings: said, not measured."""
    findings: int
    watched: int
    formula: str
    """What the score is made of."""
    rows: int
    """Rows of a table before the rest is folded."""
    watch_rows: int
    lanes: list[Lane]


def backlog_view(data: ReportData, states: dict[Section, SectionState]) -> BacklogView:
    """Join pain points to their rank; leave out the lanes that are withheld."""
    items = [item for item in _items(data) if not states[item["lane"]].withheld]
    open_ = [item for item in items if item["stage"] == "open"]
    findings = [item for item in open_ if item["status"] == "finding"]
    return BacklogView(
        headlines=findings[:HEADLINES],
        asked=[item for item in open_ if item["status"] == "watch" and item["kind"] in ASKING][:HEADLINES],
        findings=len(findings),
        watched=len(open_) - len(findings),
        formula=_formula(data),
        rows=MOST_ROWS,
        watch_rows=MOST_WATCHED,
        lanes=[
            _lane(name, title, states[name], [item for item in items if item["lane"] == name], most)
            for name, title, most in LANES
        ],
    )


def _lane(
    name: Section, title: str, state: SectionState, items: list[dict[str, Any]], most_open: int
) -> Lane:
    open_ = [item for item in items if item["stage"] == "open"]
    ranked = [item for item in open_ if item["rank"] is not None]
    findings = [item for item in open_ if item["status"] == "finding"]
    return Lane(
        name=name,
        title=title,
        state=state,
        ranked=ranked,
        chart=_loss_chart(ranked),
        open=findings[:most_open],
        folded=findings[most_open:],
        watch=[item for item in open_ if item["status"] != "finding" and item["seen"]],
        total=_total(findings),
        apart=[item for item in items if item["stage"] != "open"],
    )


def _items(data: ReportData) -> list[dict[str, Any]]:
    """Pain points with their backlog entry, by lane and rank; unranked ones last.

    An item may show the evidence of another one (merged into it), several the same (parts of a split one),
    and one that data no longer shows has none.
    """
    lanes = [name for name, _, _ in LANES]
    backlog = data.backlog
    replaced = backlog["merged"].explode().drop_nulls().to_list()
    own = data.pain_points.filter(
        ~pl.col("item_id").is_in(replaced)
        | pl.col("item_id").is_in(backlog["evidence_id"].drop_nulls().implode())
    )
    entry = backlog.select("evidence_id", *ENTRY).rename({name: f"{name}_" for name in OVERRIDDEN})
    joined = (
        own.join(entry, left_on="item_id", right_on="evidence_id", how="full", coalesce=True)
        .with_columns(pl.coalesce(f"{name}_", name).alias(name) for name in OVERRIDDEN)
        .drop(f"{name}_" for name in OVERRIDDEN)
        .with_columns(
            *(
                pl.when(pl.col("lane") == "behaviour")
                .then(pl.coalesce(value, cost))
                .otherwise(cost)
                .alias(cost)
                for value, cost in COSTS
            ),
            pl.col("state").fill_null("new"),
            pl.col("stage").fill_null("open"),
            pl.col("seen").fill_null(value=True),
            pl.col("theme_ids", "quotes", "quote_ids", "example_persons", "also_seen_as").fill_null([]),
            pl.col("messages").fill_null(0),
        )
        .filter(pl.col("lane").is_in(lanes))
        .sort(
            pl.col("lane").replace_strict(lanes, list(range(len(lanes))), return_dtype=pl.Int32),
            "rank",
            "item_id",
            nulls_last=True,
        )
    )
    steps = {
        (row["funnel"], row["step"]): row["step_name"]
        for row in data.funnel_steps.select("funnel", "step", "step_name").to_dicts()
    }
    funnels = data.titles("funnel")
    shared = _shared(data)
    signals = dict(data.friction.select("signal", "title").iter_rows())
    themes = dict(
        zip(data.feedback_themes["theme_id"].to_list(), data.feedback_themes["label"].to_list(), strict=True)
    )
    return [
        item
        | {
            "anchor": anchor("", item["item_id"]),
            "where": _where(item, funnels, steps),
            "signal_title": signals.get(item["signal"], (item["signal"] or "").replace("_", " ")),
            "passed": _passed(item, steps),
            "themes": [
                {"label": themes[theme], "anchor": anchor("theme", theme)}
                for theme in item["theme_ids"]
                if theme in themes
            ],
            "new": _is_new(item, data),
            "brief": briefing(item, item if item["seen"] else None),
            "shared": shared.get(item["item_id"], []),
            "stands": spoken(item["state"]),
            # The caveat has a line of its own on the card.
            "confidence_reason": (item["confidence_reason"] or "").removesuffix(f"; {item['caveat']}"),
        }
        for item in joined.to_dicts()
    ]


def _total(findings: list[dict[str, Any]]) -> dict[str, float] | None:
    """Losses of several findings, whoever is affected by several counted once; the interval is as wide as the
    findings' own, which are taken to err apart from each other."""
    known = [item for item in findings if item["lost_once"] is not None and item["lost_per_week"]]
    if len(known) < 2:
        return None
    lost = sum(item["lost_once"] for item in known)
    kept = [item["lost_once"] / item["lost_per_week"] for item in known]
    low, high = (
        math.hypot(
            *(share * (item[end] - item["lost_per_week"]) for share, item in zip(kept, known, strict=True))
        )
        for end in ("lost_low", "lost_high")
    )
    return {
        "findings": len(known),
        "lost": lost,
        "low": max(0.0, lost - low),
        "high": lost + high,
        "sum": sum(item["lost_per_week"] for item in known),
    }


def _shared(data: ReportData) -> dict[str, list[dict[str, Any]]]:
    """By item, the other items that most of its affected persons are affected by, too."""
    titles = dict(data.pain_points.select("item_id", "title").iter_rows())
    near = data.pain_point_overlaps.filter(pl.col("share") >= MUCH_SHARED).sort(
        ["item_id", "share", "other_id"], descending=[False, True, False]
    )
    shared: dict[str, list[dict[str, Any]]] = {}
    for row in near.iter_rows(named=True):
        if row["other_id"] in titles:
            told = {
                "title": titles[row["other_id"]],
                "anchor": anchor("", row["other_id"]),
                "share": row["share"],
            }
            shared.setdefault(row["item_id"], []).append(told)
    return {item: rows[:MOST_SHARED] for item, rows in shared.items()}


def _formula(data: ReportData) -> str:
    methods = data.backlog["ranking"].unique().to_list()
    return FORMULAS[methods[0] if methods else "rice"]


def _where(item: dict[str, Any], funnels: dict[str, str], steps: dict[tuple[str, int], str]) -> str:
    """`Sign-up to purchase, after step 3 (Payment)`."""
    if not item["funnel"]:
        return ""
    title: str = funnels.get(item["funnel"], item["funnel"])
    step = steps.get((item["funnel"], item["step"]))
    if item["step"] is None:
        return title
    return f"{title}, after step {item['step']}" + (f" ({step})" if step else "")


def _passed(item: dict[str, Any], steps: dict[tuple[str, int], str]) -> str:
    """What passing the step means: reaching the next one, by name where it is known."""
    following = steps.get((item["funnel"], (item["step"] or 0) + 1))
    return f"reached {following}" if following else "went on to the next step"


def _is_new(item: dict[str, Any], data: ReportData) -> bool:
    if item["first_seen"] is None:
        return False
    day = pl.Series([item["first_seen"]]).dt.convert_time_zone(data.time_zone).dt.date()[0]
    return bool(data.first_day <= day <= data.last_day)


def _loss_chart(items: list[dict[str, Any]]) -> Chart | None:
    shown = [item for item in items if item["lost_per_week"] is not None][:MOST_IN_CHART]
    if not shown:
        return None
    columns = ("title", "status", "lost_per_week", "lost_low", "lost_high")
    frame = pl.DataFrame(
        [{name: item[name] for name in columns} for item in shown],
        schema={"title": pl.String, "status": pl.String}
        | dict.fromkeys(("lost_per_week", "lost_low", "lost_high"), pl.Float64),
    )
    spoken = "; ".join(f"{item['title']}: {formats.number(item['lost_per_week'])}" for item in shown)
    return Chart(
        f"backlog-{shown[0]['lane']}-losses",
        figures.loss_figure(frame),
        f"Dot chart of final conversions lost per week. {spoken}.",
    )
