"""What an issue says of a backlog item: its evidence, as numbers with their intervals and n."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from opsanalytics.cleaning.printable import one_line
from opsanalytics.cleaning.redaction import redact
from opsanalytics.improvement.briefing import briefing, trust
from opsanalytics.improvement.decisions import spoken
from opsanalytics.improvement.trackers.document import Block, Code, Facts, Paragraph, Quotes

LONGEST_TITLE = 200
"""Jira takes 255 characters, GitHub 256; the rest is for people who rename."""


@dataclass(frozen=True)
class Draft:
    """An issue as it is to be."""

    item_id: str
    key: str
    """Marks the issue, so that it is found again whatever became of the answer to its creation."""
    title: str
    blocks: tuple[Block, ...]

    @property
    def digest(self) -> str:
        """Changes when what the issue says changes."""
        told = json.dumps([[type(block).__name__, asdict(block)] for block in self.blocks])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def issue_key(product: str, tracker: str, project: str, item_id: str) -> str:
    """The key of an item's issue in one tracker: the same in every run and on every machine."""
    told = json.dumps(["v1", product, tracker, project, item_id])
    return hashlib.sha256(told.encode()).hexdigest()[:20]


def draft(
    row: Mapping[str, Any],
    point: Mapping[str, Any] | None,
    *,
    product: str,
    key: str,
    quotes: bool,
    verdicts: Sequence[str] = (),
) -> Draft:
    """The issue about an item.

    In: `row` as BACKLOG, `point` as PAIN_POINTS (None: the data no longer shows it), `verdicts`: sentences
    about fixes that were shipped. Persons are told as numbers only: their ids stay here.
    """
    item = row["item_id"]
    blocks: list[Block] = [Paragraph(f"{product}: {item}, as of {row['as_of']:%Y-%m-%d}.")]
    blocks += [Paragraph(sentence) for sentence in verdicts]
    told = briefing(row, point)
    blocks += [Paragraph(sentence) for sentence in (told.short, told.lately) if sentence]
    blocks.append(Facts(tuple(_standing(row))))
    if point is None:
        blocks.append(Paragraph("The data of the last run no longer shows it."))
    else:
        facts = [*_behaviour(point), *_voice(point), *_when(point)]
        if facts:
            blocks.append(Facts(tuple(facts)))
        if quotes and point["quotes"]:
            blocks.append(Quotes(tuple(redact(text) for text in point["quotes"])))
        if point["query"] and point["lane"] == "behaviour":
            blocks += [Paragraph("Who is affected, in opsanalytics.duckdb:"), Code(point["query"])]
    return Draft(item, key, one_line(redact(row["title"]), LONGEST_TITLE), tuple(blocks))


def _standing(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [("State", _sentence(spoken(row["state"]), row["note"]))]
    if row["status"] in ("watch", "dormant"):
        facts.append(("Evidence", "not beyond doubt" if row["status"] == "watch" else "nobody met it lately"))
    if row["stage"] == "open" and row["rank"] is not None:
        chance = row["top_5"]
        sure = "" if chance is None else f", chance to belong in the top five {_percent(chance)}"
        facts.append(("Rank", f"{row['tied'] or row['rank']}{sure}"))
    facts.append(
        (
            "Confidence",
            f"{trust(row['confidence'])}, {row['confidence']:.2f} of 1 ({row['confidence_reason']})",
        )
    )
    return facts


def _behaviour(point: Mapping[str, Any]) -> list[tuple[str, str]]:
    if point["lane"] != "behaviour":
        return []
    facts = []
    if point["share"] is not None:
        share = _interval(point["share"], point["share_low"], point["share_high"], _percent)
        week = "" if point["reach_per_week"] is None else f"; {_number(point['reach_per_week'])} a week"
        facts.append(("Affected", f"{point['affected']:,} of {point['n']:,} persons, {share}{week}"))
    if point["effect"] is not None:
        effect = _interval(point["effect"], point["effect_low"], point["effect_high"], _points)
        facts.append(
            (
                "Effect on passing the step",
                f"{effect}; {_percent(point['rate_affected'])} of those affected passed, "
                f"{_percent(point['rate_others'])} of comparable others. Unadjusted: "
                f"{_points(point['crude_effect'])}",
            )
        )
    if point["lost_per_week"] is not None:
        lost = _interval(point["lost_per_week"], point["lost_low"], point["lost_high"], _number)
        facts.append(("Cost", f"{lost} conversions a week; an association until a shipped fix proves it"))
    if point["caveat"]:
        facts.append(("Caveat", point["caveat"]))
    return facts


def _voice(point: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [("Feedback", f"{point['messages']:,} messages")] if point["messages"] else []


def _when(point: Mapping[str, Any]) -> list[tuple[str, str]]:
    if point["first_seen"] is None:
        return []
    version = f", version {point['first_version']}" if point["first_version"] else ""
    return [("Seen", f"{point['first_seen']:%Y-%m-%d}{version}, last {point['last_seen']:%Y-%m-%d}")]


def _sentence(state: str, note: str | None) -> str:
    return f"{state}: {note}" if note else state


def _interval(value: float, low: float | None, high: float | None, written: Any) -> str:
    if low is None or high is None:
        return str(written(value))
    return f"{written(value)} (95 % interval {written(low)} to {written(high)})"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 100:.1f} %"


def _points(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 100:+.1f} points"


def _number(value: float) -> str:
    return f"{value:,.1f}"
