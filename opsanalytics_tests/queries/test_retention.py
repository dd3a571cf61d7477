"""`opsanalytics.retention`: values, breakdowns, what an answer can tell."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Retention, Segment
from opsanalytics.queries.inputs import DefinitionError

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAILY = Retention(start="S", returning="R", period="day", periods=2)
LATER = MONDAY + timedelta(days=20)


def table(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows of person, event, day and plan, amount."""
    return pl.DataFrame(
        [(p, e, MONDAY + timedelta(days=d), *([*rest, None, None][:2])) for p, e, d, *rest in rows],
        schema={
            "person": pl.String,
            "event": pl.String,
            "ts": pl.Datetime("us", "UTC"),
            "plan": pl.String,
            "amount": pl.Float64,
        },
        orient="row",
    )


PAID = table(
    [
        ("p", "S", 0, "pro"),
        ("p", "R", 1, "pro", 10.0),
        ("p", "R", 1.5, "free", 5.0),
        ("p", "R", 2, "pro"),
        ("q", "S", 0, "free"),
        ("q", "R", 1, "pro", 2.5),
        ("q", "S", 3, "pro"),
    ]
)


def test_values_of_return_events_by_period() -> None:
    worth = DAILY.model_copy(update={"value": "amount"})
    cells = opsanalytics.retention(PAID, worth, as_of=LATER).values()
    pooled = cells.filter(pl.col("cohort").is_null())
    assert pooled.select("period", "n", "events", "total", "per_event", "per_person").rows() == [
        (0, 2, 0, 0.0, None, 0.0),
        (1, 2, 3, 17.5, pytest.approx(17.5 / 3), 8.75),
        (2, 2, 0, 0.0, None, 0.0),
    ]
    with pytest.raises(ValueError, match="has no `value`"):
        opsanalytics.retention(PAID, DAILY, as_of=LATER).values()


def test_values_of_hours_add_up_to_those_of_days() -> None:
    worth = Retention(start="S", returning="R", period="hour", periods=40, value="amount")
    cells = opsanalytics.retention(PAID, worth, as_of=LATER).values().filter(pl.col("cohort").is_null())
    assert cells["total"].sum() == 17.5


def returned(definition: Retention, segment: Segment, **keywords: Any) -> dict[str, list[tuple[int, int]]]:
    result = opsanalytics.retention(PAID, definition, breakdown=segment, as_of=LATER, **keywords)
    return {value: one.pooled().select("n", "returned").rows() for value, one in result.groups().items()}


def test_a_person_belongs_to_the_value_of_the_start_event() -> None:
    assert returned(DAILY, Segment("plan")) == {
        "free": [(1, 0), (1, 1), (1, 0)],
        "pro": [(1, 0), (1, 1), (1, 1)],
    }


def test_recurring_cohorts_belong_to_the_value_of_their_own_start() -> None:
    recurring = DAILY.model_copy(update={"cohort": "recurring"})
    assert returned(recurring, Segment("plan")) == {
        "pro": [(2, 0), (2, 1), (2, 1)],
        "free": [(1, 0), (1, 1), (1, 0)],
    }


def test_in_posthog_start_and_return_share_the_value() -> None:
    assert returned(DAILY, Segment("plan"), preset="posthog") == {
        "pro": [(2, 2), (2, 1), (2, 1)],
        "free": [(1, 1), (1, 0), (1, 0)],
    }


def test_the_rest_is_one_group() -> None:
    assert list(returned(DAILY, Segment("plan", limit=1))) == ["free", "(other)"]


def test_an_entity_returns() -> None:
    result = opsanalytics.retention(PAID, DAILY.model_copy(update={"entity": "plan"}), as_of=LATER)
    assert result.pooled().select("n", "returned").rows() == [(2, 0), (2, 2), (2, 1)]


def test_other_attributions_are_for_funnels() -> None:
    with pytest.raises(ValueError, match="retention has no attribution 'step'"):
        opsanalytics.retention(PAID, DAILY, breakdown=Segment("plan", attribution="step", step=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"period": "year"}, "retention: period: "),
        ({"value": "x", "returns": "on_or_after"}, "does not go with returns"),
        ({"start": {"event": "S", "within": "1d"}}, "are for funnels"),
    ],
)
def test_a_wrong_definition_names_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        opsanalytics.retention(PAID, {"start": "S", "returning": "R"} | change)


def test_an_answer_can_be_shown_everywhere() -> None:
    worth = DAILY.model_copy(update={"value": "amount", "title": "<i>Kept</i>"})
    result = opsanalytics.retention(PAID, worth, breakdown="plan", as_of=LATER)
    assert "day 1: 2 of 2, 100.0%" in repr(result)
    assert "&lt;i&gt;Kept" in result._repr_html_()
    plain = json.loads(json.dumps(result.to_dict()))
    assert {"cells", "breakdown", "values"} <= set(plain)
    assert result.figure().data
    assert result.figure("curve").data
    assert result.breakdown().columns[:2] == ["value", "period"]
    with pytest.raises(ValueError, match="kind: 'pie'"):
        result.figure("pie")  # type: ignore[arg-type]


def planned_persons(plans: dict[str, tuple[int, int]]) -> pl.DataFrame:
    """So many persons of each plan sign up, and so many of them visit a week later."""
    start = datetime(2026, 3, 2, 12, tzinfo=UTC)
    rows = []
    for plan, (n, back) in plans.items():
        for k in range(n):
            rows.append((f"{plan}{k}", "sign_up", start, plan))
            if k < back:
                rows.append((f"{plan}{k}", "visit", start + timedelta(days=7), plan))
    return pl.DataFrame(rows, schema=["person", "event", "ts", "plan"], orient="row")


PLANS = {"free": (100, 20), "pro": (60, 30), "team": (40, 12)}
WEEKLY = Retention(start="sign_up", returning="visit", period="week", periods=1)
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def test_groups_are_compared_with_all_others() -> None:
    from scipy.stats import false_discovery_control, fisher_exact
    from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep

    table = opsanalytics.retention(planned_persons(PLANS), WEEKLY, breakdown="plan", as_of=MAY).breakdown()
    week = table.filter(pl.col("period") == 1).sort("value")
    assert week["difference"].round(6).to_list() == pytest.approx([-0.22, 0.271429, -0.0125], abs=1e-6)
    tests = []
    for value, (n, back) in sorted(PLANS.items()):
        others = (62 - back, 200 - n)
        row = week.row(by_predicate=pl.col("value") == value, named=True)
        interval = confint_proportions_2indep(back, n, *others, method="newcomb", compare="diff")
        assert (row["difference_low"], row["difference_high"]) == pytest.approx(interval)
        score = test_proportions_2indep(back, n, *others, method="score", compare="diff", correction=False)
        tests.append(score.pvalue)
    nobody = fisher_exact([[0, 100], [0, 100]]).pvalue
    adjusted = false_discovery_control([*tests, *[nobody] * 3])
    assert week["q_value"].to_list() == pytest.approx(adjusted[:3])


def test_groups_that_share_persons_are_not_compared() -> None:
    events = planned_persons(PLANS)
    recurring = WEEKLY.model_copy(update={"cohort": "recurring"})
    for asked, more in ((recurring, {}), (WEEKLY, {"preset": "posthog"})):
        table = opsanalytics.retention(events, asked, breakdown="plan", as_of=MAY, **more).breakdown()
        assert table["q_value"].is_null().all()
        assert table["difference"].is_null().all()
    by_person = Segment("plan", of="person")
    found = opsanalytics.retention(events, WEEKLY, breakdown=by_person, as_of=MAY, preset="posthog")
    table = found.breakdown()
    assert table.filter(pl.col("period") == 0)["q_value"].is_null().all()
    assert table.filter(pl.col("period") == 1)["q_value"].is_not_null().all()
    assert "against the others" in found._repr_html_()
