"""`opsanalytics backlog`: decisions of people from the command line, on marts written by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics.improvement.tables import PAIN_POINTS
from opsanalytics.lake.marts import write_mart
from opsanalytics.lake.paths import Home
from opsanalytics_tests.improvement.items import ITEMS, pain_point, points

A, B, C = ITEMS[:3]
Call = Callable[..., Result]
CONFIG = """
[project]
name = "Tiny"
start = 2026-01-05
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "opsanalytics.toml").write_text(CONFIG)
    home = Home(tmp_path / "data")
    rows = [
        pain_point(A, 10.0, title="Error PREVIEW_CRASH on /invoices/preview after “Create invoice” (iOS)")
    ]
    rows += [pain_point(B, 9.9), pain_point(C, 1.0, status="watch")]
    write_mart(home, PAIN_POINTS, points(*rows))
    return home


@pytest.fixture
def call(home: Home, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("COLUMNS", "80")

    def called(*arguments: str, code: int = 0) -> Result:
        config = ("--config", str(home.root.parent / "opsanalytics.toml"))
        done = CliRunner().invoke(cli, ["backlog", *arguments, *config])
        assert done.exit_code == code, done.output
        return done

    return called


def listed(call: Call, *arguments: str) -> dict[str, dict[str, Any]]:
    lines = call("list", "--all", "--json", *arguments).output.splitlines()
    return {row["item_id"]: row for row in map(json.loads, lines)}


def test_the_list_fits_eighty_columns_and_shows_where_items_stand(call: Call) -> None:
    call("assign", A, "Ann")
    call("plan", A, "--by", "Bo")
    shown = call("list").output
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.replace("│", " ").split())
    assert "PP-aaaaaaaa, planned since" in words
    assert "Ann" in words
    assert "1 more are watched but not beyond doubt" in words
    assert C not in shown


def test_items_that_cannot_be_told_apart_share_a_rank(call: Call) -> None:
    assert {row["tied"] for name, row in listed(call).items() if name != C} == {1}
    assert "1=" in call("list").output


def test_every_decision_has_a_command(call: Call) -> None:
    steps = [
        (("accept", A), "accepted"),
        (("plan", A), "planned"),
        (("start", A), "in_progress"),
        (("ship", A, "--on", "2026-02-01"), "verifying"),
        (("did-not-work", A), "did_not_work"),
        (("ship", A, "--on", "2026-02-10"), "verifying"),
        (("worked", A), "worked"),
        (("reopen", A), "accepted"),
        (("snooze", A, "--until", "2026-04-01"), "snoozed"),
        (("wont-fix", A, "--reason", "too rare"), "wont_fix"),
    ]
    for arguments, state in steps:
        call(*arguments)
        assert listed(call)[A]["state"] == state
    lines = call("history", A, "--json").output.splitlines()
    assert [json.loads(line)["action"] for line in lines if json.loads(line)["seq"]] == [
        arguments[0].replace("-", "_") for arguments, _ in steps
    ]


def test_a_decision_is_taken_once(call: Call) -> None:
    assert "is accepted" in call("accept", A).output
    assert "already is accepted" in call("accept", A).output
    assert len(call("history", A, "--json").output.splitlines()) == 1


def test_an_item_goes_by_the_beginning_of_its_id(call: Call) -> None:
    call("accept", "pp-aaa")
    call("accept", "bbb")
    assert {name for name, row in listed(call).items() if row["state"] == "accepted"} == {A, B}
    assert "there is no item PP-12" in call("accept", "PP-12", code=1).output


def test_mistakes_are_told_and_decide_nothing(call: Call) -> None:
    for arguments, message in (
        (("worked", A), "possible: accept, plan, start, ship, wont-fix, snooze"),
        (("merge", A, A), "cannot be merged into itself"),
        (("split", A, B), f"{B} is not merged into {A}"),
        (("split", A, "--into", "one"), "two titles or more"),
        (("snooze", A, "--until", "2026-03-01"), "name a later day"),
    ):
        said = call(*arguments, code=1).output
        assert message in " ".join(said.split())
    assert call("history", "--json").output == ""


def test_merge_and_split_have_a_history(call: Call) -> None:
    call("merge", A, B)
    assert listed(call)[A]["merged"] == [B]
    assert f"{B} is merged into {A}" in call("show", B).output
    call("split", A, B)
    call("split", B, "--into", "On phones", "--into", "On the web")
    assert {row["title"] for row in listed(call).values()} >= {"On phones", "On the web"}
    lines = [json.loads(line) for line in call("history", A, "--json").output.splitlines()]
    assert [(line["action"], line["detail"]) for line in lines] == [
        ("merge", f"of {B}"),
        ("release", f"of {B}"),
    ]


def test_effort_and_title_are_a_persons(call: Call) -> None:
    before = listed(call)[A]["score"]
    call("effort", A, "4")
    call("rename", A, "Preview crashes")
    row = listed(call)[A]
    assert row["score"] == pytest.approx(before / 4)
    assert row["title"] == "Preview crashes"
    call("rename", A, "--own")
    assert str(listed(call)[A]["title"]).startswith("Error PREVIEW_CRASH")


def test_show_has_the_evidence_and_what_can_be_done(call: Call) -> None:
    shown = call("show", A).output
    assert max(map(len, shown.splitlines())) <= 80
    assert "10.0 (6.7 to 13.3) conversions a week" in shown
    assert "Possible now: accept, plan, start, ship" in shown


def test_decisions_survive_the_loss_of_all_marts(call: Call, home: Home) -> None:
    call("accept", A)
    write_mart(home, PAIN_POINTS, points(pain_point(A, 3.0, title="Another title")))
    row = listed(call)[A]
    assert (row["state"], row["title"]) == ("accepted", "Another title")


def test_without_a_run_it_says_what_to_do(call: Call, home: Home) -> None:
    write_mart(home, PAIN_POINTS, PAIN_POINTS.conform(pl.DataFrame(schema=PAIN_POINTS.schema)))
    assert "run `opsanalytics run` first" in call("list", code=1).output


def test_a_list_without_findings_says_so(call: Call, home: Home) -> None:
    write_mart(home, PAIN_POINTS, points(pain_point(C, 1.0, status="watch")))
    words = " ".join(call("list").output.split())
    assert "Nothing is a finding, and nobody has taken on anything." in words
    assert "1 are watched but not beyond doubt" in words
    assert "No item." in call("list", "--owner", "Ann").output
