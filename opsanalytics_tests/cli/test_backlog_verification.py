"""`opsanalytics backlog verifications` and its like, on marts and plans written by hand."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics.improvement.tables import PAIN_POINTS
from opsanalytics.improvement.verification.plan import unplanned
from opsanalytics.improvement.verification.plan_log import freeze
from opsanalytics.improvement.verification.tables import CALIBRATION, PREDICTION_LEDGER, VERIFICATIONS
from opsanalytics.lake.marts import write_mart
from opsanalytics.lake.paths import Home
from opsanalytics_tests.improvement.items import pain_point, points
from opsanalytics_tests.reports.samples import fixes
from opsanalytics_tests.simulators.fixes import World, plan_for

Call = Callable[..., Result]
AT = datetime(2026, 9, 1, tzinfo=UTC)
WORKED, SILENT = "PP-0000000a", "PP-0000000d"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "opsanalytics.toml").write_text('[project]\nname = "Tiny"\nstart = 2026-01-05\n')
    home = Home(tmp_path / "data")
    write_mart(home, PAIN_POINTS, points(pain_point(WORKED), pain_point(SILENT)))
    return home


@pytest.fixture
def call(home: Home, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("COLUMNS", "100")

    def called(*arguments: str, code: int = 0) -> Result:
        config = ("--config", str(home.root.parent / "opsanalytics.toml"))
        done = CliRunner().invoke(cli, ["backlog", *arguments, *config])
        assert done.exit_code == code, done.output
        return done

    return called


@pytest.fixture
def judged(home: Home) -> None:
    made = fixes()
    write_mart(home, VERIFICATIONS, made["verifications"])
    write_mart(home, PREDICTION_LEDGER, made["prediction_ledger"])
    write_mart(home, CALIBRATION, made["prediction_calibration"])
    plan = plan_for(World()).model_copy(update={"item_id": WORKED, "funnel": "onboarding", "step": 1})
    freeze(home, [plan], at=AT, by="Ann", because="accepted")
    freeze(home, [plan.model_copy(update={"looks": (14, 30)})], at=AT, by="Bo", because="decision is due")
    freeze(home, [unplanned(SILENT, "heard in feedback only", AT)], at=AT, by="Ann", because="accepted")


def test_before_anything_was_taken_on_it_says_how_to_begin(call: Call) -> None:
    assert "no fix to verify yet" in call("verifications").output
    assert "No fix with a prediction" in call("ledger").output
    assert f"opsanalytics backlog accept {WORKED}" in " ".join(call("verification", WORKED).output.split())


@pytest.mark.usefixtures("judged")
def test_the_list_says_what_came_of_every_fix(call: Call) -> None:
    shown = call("verifications").output
    for words in (WORKED, "worked", "harmed", "+4.6 points", "+2.0 to +7.2", "2026-11-09"):
        assert words in shown
    rows = [json.loads(line) for line in call("verifications", "--json").output.splitlines()]
    assert [row["outcome"] for row in rows] == ["worked", "harmed", "planned", "not_measured"]


@pytest.mark.usefixtures("judged")
def test_one_fix_has_its_plan_its_versions_and_the_verdict(call: Call) -> None:
    shown = " ".join(call("verification", "0000000a").output.split())
    for words in (
        "version 2, frozen 2026-09-01 00:00 UTC by Bo (decision is due)",
        "version 1, 2026-09-01, Ann: accepted",
        "Looked at 14, 30 days after shipping, each time with a 97.5 % interval",
        "worked: +4.6 points (+2.0 to +7.2), after 28 days, predicted +5.0 points (+3.0 to +7.0)",
        "3 pretended shippings show -0.6 to +0.4",
    ):
        assert words in shown
    told = json.loads(call("verification", WORKED, "--json").output)
    assert [each["version"] for each in told["plans"]] == [1, 2]
    assert told["plans"][1]["plan"]["looks"] == [14, 30]
    assert told["verdict"]["outcome"] == "worked"
    assert "not measured: heard in feedback only" in " ".join(call("verification", SILENT).output.split())


@pytest.mark.usefixtures("judged")
def test_the_ledger_sets_predicted_against_measured(call: Call) -> None:
    shown = " ".join(call("ledger").output.split())
    assert "2 verified fixes" in shown
    assert "too few to say much" in shown
    assert "Confidence times" in shown


@pytest.mark.usefixtures("judged")
def test_a_plan_is_not_changed_by_the_way(call: Call) -> None:
    assert "say why with --reason" in call("plan-verification", WORKED, code=2).output
    assert (
        "--by goes with"
        in call("plan-verification", WORKED, "--reason", "x", "--affected", "a", code=2).output
    )
    assert (
        "write days such as"
        in call("plan-verification", WORKED, "--reason", "x", "--looks", "soon", code=2).output
    )
    said = call("plan-verification", WORKED, "--reason", "x", "--looks", "14,28", code=1).output
    assert "there is no data" in said
