"""The notebook, executed as an analyst would: in a kernel of its own, on a published file."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from opsanalytics.behavior.describe import definitions_frame
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.funnel_breakdown import funnel_breakdown
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.tables import FUNNEL_BREAKDOWN, FUNNEL_STEPS, METRIC_DEFINITIONS
from opsanalytics.improvement.tables import BACKLOG, PAIN_POINTS
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.paths import Home
from opsanalytics.lake.publish import publish
from opsanalytics.quality.tables import QUALITY_RESULTS
from opsanalytics_tests.samples import MONDAY, event, frame, person, write_events, write_persons

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "first_look.ipynb"
AS_OF = datetime(2024, 2, 1, tzinfo=UTC)
BUY = Funnel(name="buy", steps=("sign_up", "onboarded", "purchase"), window="1d")


def write_product(home: Home) -> None:
    """60 persons: two in three get through onboarding, of these one in four buys, web sooner than ios."""
    people = [f"u{number:02d}" for number in range(60)]
    rows: dict[date, list[dict[str, Any]]] = {}
    for number, user in enumerate(people):
        day = MONDAY + timedelta(days=number % 20)
        at = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
        names = ["sign_up", "error"] if number % 3 == 0 else ["sign_up", "onboarded"]
        names += ["purchase"] if number % 12 == 1 else []
        rows.setdefault(day, []).extend(
            event(
                f"{user}-{name}",
                user_id=user,
                event=name,
                ts=at + timedelta(minutes=5 * position),
                platform="ios" if number % 2 else "web",
            )
            for position, name in enumerate(names)
        )
    for day, events in rows.items():
        write_events(home, events, day)
    write_persons(home, [person("user", user, f"p-{user}") for user in people])


def pain_point() -> dict[str, Any]:
    return {
        "item_id": "error-at-sign-up",
        "lane": "behaviour",
        "status": "finding",
        "title": "An error after signing up",
        "funnel": "buy",
        "step": 1,
        "signal": "error",
        "affected": 20,
        "n": 60,
        "lost_per_week": 1.5,
        "messages": 0,
        "quotes": [],
        "quote_ids": [],
        "example_persons": [],
        "query": "SELECT DISTINCT person FROM events WHERE event = 'error' ORDER BY person",
        "caveat": "",
        "as_of": AS_OF,
        "quality": "passed",
    }


def publish_product(home: Home, *, findings: bool) -> None:
    write_product(home)
    events = scan_events(home)
    by_platform = funnel_breakdown(events, BUY, segment="platform", as_of=AS_OF)
    quality = pl.lit("passed").alias("quality")
    publish(
        home,
        [
            (FUNNEL_STEPS, funnel(events, BUY, as_of=AS_OF).mart_rows(quality="passed")),
            (FUNNEL_BREAKDOWN, by_platform.with_columns(quality) if findings else FUNNEL_BREAKDOWN.empty()),
            (METRIC_DEFINITIONS, definitions_frame([BUY], [])),
            (PAIN_POINTS, frame(PAIN_POINTS, [pain_point()] if findings else [])),
            (BACKLOG, BACKLOG.empty()),
            (QUALITY_RESULTS, QUALITY_RESULTS.empty()),
        ],
    )


def execute(home: Path, probe: str = "") -> list[Any]:
    """Run all cells, then `probe`; its printed lines as JSON."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(probe))
    environment = {**os.environ, "OPSANALYTICS_HOME": str(home), "PYTHONPATH": str(NOTEBOOK.parents[1])}
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": home}}
    )
    client.execute(env=environment)
    printed = "".join(output.get("text", "") for output in notebook.cells[-1].outputs)
    return [json.loads(line) for line in printed.splitlines()]


PROBE = """
import json
print(json.dumps([before["step_name"], lost["step_name"]]))
print(json.dumps(comparison["window"].unique(maintain_order=True).to_list()))
numbers = ["entered", "persons", "rate"]
print(json.dumps(comparison.head(3).select(numbers).equals(steps.select(numbers))))
print(json.dumps(len(pains)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("findings", [True, False])
def test_it_finds_where_people_get_stuck(tmp_path: Path, findings: bool) -> None:
    publish_product(Home(tmp_path), findings=findings)
    assert execute(tmp_path, PROBE) == [
        ["onboarded", "purchase"],
        ["1 day, 0:00:00", "2 days, 0:00:00"],
        True,
        1 if findings else 0,
    ]


@pytest.mark.slow
def test_a_file_without_funnels_says_what_to_do(tmp_path: Path) -> None:
    empty = (FUNNEL_STEPS, FUNNEL_BREAKDOWN, METRIC_DEFINITIONS, PAIN_POINTS, QUALITY_RESULTS)
    publish(Home(tmp_path), [(table, table.empty()) for table in empty])
    with pytest.raises(CellExecutionError, match=r"Define one in opsanalytics\.toml"):
        execute(tmp_path)


def test_no_outputs_are_committed() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert {cell.execution_count for cell in cells} == {None}


@pytest.mark.slow
def test_it_runs_on_what_the_demo_published(demo: Path) -> None:
    steps, pains = execute(demo / "data", "print(len(comparison)); print(len(pains))")
    assert steps == 14  # seven steps, each with two windows
    assert pains > 0
