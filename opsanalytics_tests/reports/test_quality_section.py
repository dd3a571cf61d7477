"""The section on what arrived: short, and each cause once."""

import dataclasses
from datetime import date
from typing import Any

from opsanalytics.quality.tables import EVENT_DRIFT, EVENT_FRESHNESS, VOLUME_ANOMALIES
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.page import render_week
from opsanalytics.reports.quality_section import quality_view
from opsanalytics_tests.reports import samples
from opsanalytics_tests.reports.samples import AS_OF, HOSTILE, table

DAY = date(2026, 10, 16)


def silence(**fields: Any) -> dict[str, Any]:
    seen = {
        "first_seen": date(2026, 8, 1),
        "last_seen": date(2026, 10, 13),
        "silent_days": 4,
        "longest_gap": 0,
    }
    return {"source": "web", "event": "search", "verdict": "silent"} | seen | fields


def drop(**fields: Any) -> dict[str, Any]:
    figures = {"observed": 60, "expected": 200.0, "expected_low": 160, "expected_high": 244, "weeks": 8}
    return {"source": "web", "event": "checkout", "day": DAY, "verdict": "drop"} | figures | fields


def change(**fields: Any) -> dict[str, Any]:
    told = {"expected": "number", "observed": "string", "n": 7, "share": 0.5, "first_seen": DAY}
    return (
        {"source": "web", "event": "buy", "property": "amount", "kind": "retyped", "warns": True}
        | told
        | fields
    )


def page(
    silences: list[dict[str, Any]], drops: list[dict[str, Any]], changes: list[dict[str, Any]]
) -> ReportData:
    return dataclasses.replace(
        samples.sample(),
        freshness=table(EVENT_FRESHNESS, silences, as_of=AS_OF),
        volumes=table(VOLUME_ANOMALIES, drops, as_of=AS_OF),
        event_drift=table(EVENT_DRIFT, changes, as_of=AS_OF),
    )


def test_findings_come_newest_first_and_days_of_one_event_together() -> None:
    view = quality_view(
        page([silence()], [drop(), drop(day=date(2026, 10, 15))], [change(first_seen=date(2026, 10, 1))])
    )
    assert [(row["subject"], row["what"]) for row in view.warnings] == [
        ("checkout (web)", "fewer than usual"),
        ("search (web)", "silent"),
        ("amount of buy (web)", "property changed its type"),
    ]
    assert view.warnings[0]["detail"].endswith("1 more such day before")


def test_a_silent_event_is_not_told_as_vanished_too() -> None:
    gone = change(event="search", property=None, kind="vanished_event", share=None)
    assert [row["what"] for row in quality_view(page([silence()], [], [gone])).warnings] == ["silent"]


def test_what_warns_nobody_is_a_note() -> None:
    view = quality_view(page([], [], [change(kind="new_property", warns=False)]))
    assert view.warnings == []
    assert [row["what"] for row in view.notes] == ["new property"]


def test_names_of_events_are_escaped() -> None:
    text = render_week(page([silence(event=HOSTILE)], [drop(event=HOSTILE)], [change(property=HOSTILE)]))
    assert "<script>window.hacked" not in text


def test_a_page_without_events_says_so() -> None:
    assert "No events have arrived yet, so there is nothing to compare." in render_week(samples.empty())
