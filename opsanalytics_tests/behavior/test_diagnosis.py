"""Drop-off diagnosis finds planted causes and nothing else; what is observed longer is no cause."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from opsanalytics.behavior.cohort_spec import Cohort
from opsanalytics.behavior.diagnosis import DiagnosisResult, diagnose
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.tables_diagnosis import DROP_OFF_DIAGNOSIS, DROP_OFF_NEXT, DROP_OFF_STEPS
from opsanalytics_tests.behavior.drop_off_world import AS_OF, FUNNEL, NULLS, drop_off_world

PLANTED = {"platform", "card_declined", "tip"}


@cache
def world(seed: int = 1, *, silent: bool = False) -> pl.DataFrame:
    return drop_off_world(seed, silent=silent)


@cache
def diagnosed(seed: int = 1, *, silent: bool = False) -> DiagnosisResult:
    return diagnose(world(seed, silent=silent), Diagnosis(funnel=FUNNEL), as_of=AS_OF)


def row(result: DiagnosisResult, name: str, value: str = "", kind: str | None = None) -> dict[str, Any]:
    found = result.compared.filter(pl.col("name") == name, pl.col("value") == value)
    return (found if kind is None else found.filter(pl.col("kind") == kind)).row(0, named=True)


def test_the_planted_cause_is_found_whether_those_who_leave_stay_active_or_not() -> None:
    for silent in (False, True):
        found = row(diagnosed(silent=silent), "card_declined")
        assert found["verdict"] == "drops_more"
        assert found["effect_high"] < -0.1
        assert found["matched_high"] < 0
        assert found["q_value"] < 0.001


def test_what_is_only_observed_longer_is_no_cause() -> None:
    # Who drops out stays all day, who pays is gone in minutes: over all the time until then everything has
    # happened to those who dropped out. Observed equally long there is no difference.
    result = diagnosed()
    for name in ("browse", *NULLS):
        found = row(result, name, kind="event")
        assert found["naive_odds_ratio"] < 0.8, "correlation reports call it a reason for dropping out"
        assert found["verdict"] != "drops_more"
        assert found["verdict"] != "stays_more"


def test_nor_is_it_a_help_to_be_there_longer() -> None:
    # Here those who drop out leave after minutes, so everything has happened to those who pay.
    result = diagnosed(silent=True)
    for name in ("browse", *NULLS):
        found = row(result, name, kind="event")
        assert found["naive_odds_ratio"] > 1.5, "correlation reports call it a reason for going on"
        assert found["verdict"] in ("unclear", "no_finding")


def test_a_difference_of_platforms_is_not_blamed_on_what_they_show() -> None:
    found = row(diagnosed(), "push_prompt")
    assert found["crude_effect"] < -0.03
    assert found["effect"] > found["crude_effect"] + 0.05
    assert found["confounding"] in ("explained", "reversed")
    assert found["verdict"] != "drops_more"


def test_what_helps_is_found_though_it_is_shown_where_fewer_pay() -> None:
    found = row(diagnosed(), "tip")
    assert found["verdict"] == "stays_more"
    assert found["crude_effect"] < 0.05 < found["effect_low"]


@pytest.mark.parametrize("silent", [False, True])
def test_false_discoveries_are_kept_under_control(silent: bool) -> None:
    # 5 % of findings, on average; platform is the one true one.
    shares = []
    for seed in range(30):
        events = drop_off_world(1_000 + seed, 2_000, effects=False, silent=silent)
        found = diagnose(events, Diagnosis(funnel=FUNNEL), as_of=AS_OF).findings
        shares.append(found.filter(pl.col("name") != "platform").height / max(1, found.height))
    assert np.mean(shares) < 0.1


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inside = []
    for seed in range(60):
        compared = diagnose(
            drop_off_world(2_000 + seed, 1_000, effects=False),
            Diagnosis(funnel=FUNNEL),
            as_of=AS_OF,
        ).compared
        null = compared.filter(pl.col("name").is_in(["color", "null_3", "null_5"]))
        inside += ((null["effect_low"] <= 0) & (null["effect_high"] >= 0)).to_list()
    assert np.mean(inside) > 0.92


def test_everybody_is_counted_once_and_the_counts_add_up() -> None:
    result = diagnosed()
    mature = result.funnel.mature
    assert result.reached == mature.height
    assert result.passed == mature.filter(pl.col("step_reached") == 2).height
    known = result.compared.filter(pl.col("landmark_seconds").is_null())
    assert (known["n"] == result.reached).all()
    assert ((known["passed_with"] + known["passed_without"]) == result.passed).all()
    met = result.compared.filter(pl.col("kind") == "event")
    assert (met["n"] == result.at_risk - result.silent).all()
    assert (met["n_with"] <= met["n"]).all()


def test_the_landmark_is_when_half_of_those_who_went_on_had() -> None:
    result = diagnosed()
    assert result.landmark_seconds is not None
    assert result.at_risk == result.reached - result.passed + result.passed // 2


def test_nothing_after_the_landmark_counts_and_what_came_later_changes_nothing() -> None:
    definition = Diagnosis(funnel=FUNNEL, landmark="5m", without=["browse"])
    before = diagnose(world(), definition, as_of=AS_OF)
    opened = world().filter(pl.col("event") == "open_checkout").select("person", opened="ts")
    early = (
        world()
        .join(opened, on="person")
        .filter((pl.col("event") == "pay") | (pl.col("ts") <= pl.col("opened") + timedelta(minutes=5)))
        .drop("opened")
    )
    after = diagnose(early, definition, as_of=AS_OF)
    counted = ["kind", "name", "value", "n", "n_with", "passed_with", "effect", "q_value"]
    assert before.compared.select(counted).equals(after.compared.select(counted))


def test_the_order_of_rows_changes_nothing() -> None:
    shuffled = world().sample(fraction=1.0, shuffle=True, seed=5)
    again = diagnose(shuffled, Diagnosis(funnel=FUNNEL), as_of=AS_OF)
    assert again.compared.equals(diagnosed().compared)
    assert again.instead.equals(diagnosed().instead)


def test_small_groups_are_not_shown() -> None:
    result = diagnose(world(), Diagnosis(funnel=FUNNEL, min_n=600), as_of=AS_OF)
    assert (result.compared["n_with"] >= 600).all()
    assert (result.compared["n"] - result.compared["n_with"] >= 600).all()
    assert result.compared.height < diagnosed().compared.height


def test_ids_are_no_properties_and_the_rest_are_found() -> None:
    names = set(diagnosed().compared.filter(pl.col("kind") == "property")["name"])
    assert names == {"color", "platform"}
    only = diagnose(world(), Diagnosis(funnel=FUNNEL, without=["color"]), as_of=AS_OF)
    assert set(only.compared.filter(pl.col("kind") == "property")["name"]) == {"platform"}


def test_a_number_of_many_values_is_cut_into_quarters() -> None:
    rng = np.random.default_rng(0)
    events = world().with_columns(amount=pl.Series(rng.exponential(100, world().height).round(2)))
    compared = diagnose(events, Diagnosis(funnel=FUNNEL), as_of=AS_OF).compared
    quarters = compared.filter(pl.col("name") == "amount")
    assert quarters.height == 4
    assert quarters["n_with"].to_numpy() == pytest.approx(1_000, abs=1)


def test_segments_and_cohorts_are_compared_and_segments_are_not_repeated_as_properties() -> None:
    cohort = Cohort.model_validate({"name": "veterans", "where": {"did": "old"}})
    segments = [Segment("platform", name="system"), Segment(cohort=cohort)]
    compared = diagnose(world(), Diagnosis(funnel=FUNNEL), as_of=AS_OF, segments=segments).compared
    segment = compared.filter(pl.col("kind") == "segment")
    assert set(segment["value"]) == {"android", "in veterans"}
    assert segment.filter(pl.col("value") == "android")["verdict"].to_list() == ["drops_more"]
    assert "platform" not in compared.filter(pl.col("kind") == "property")["name"]


def test_friction_is_compared_by_place_and_not_told_twice() -> None:
    met = world().filter(pl.col("event") == "card_declined")
    signals = met.select("person", "ts", signal=pl.lit("Error"), place=pl.lit("CARD on /pay"))
    compared = diagnose(world(), Diagnosis(funnel=FUNNEL), as_of=AS_OF, signals=signals).compared
    signal = compared.filter(pl.col("kind") == "signal").row(0, named=True)
    assert (signal["name"], signal["value"]) == ("Error", "CARD on /pay")
    assert signal["verdict"] == "drops_more"
    assert "card_declined" not in compared["name"], "the same persons: one comparison"


def test_people_who_dropped_out_did_something_instead() -> None:
    instead = diagnosed(silent=True).instead
    assert instead["count"].sum() == instead["n"][0]
    assert instead["other_count"].sum() == instead["other_n"][0]
    nothing = instead.filter(pl.col("event") == "(nothing)").row(0, named=True)
    assert nothing["rate"] > 0.6
    assert nothing["difference_low"] > 0.3
    assert "pay" not in instead["event"]


def test_open_attempts_are_not_looked_at() -> None:
    half = AS_OF - timedelta(days=30)
    result = diagnose(world(), Diagnosis(funnel=FUNNEL), as_of=half)
    opened = world().filter(pl.col("event") == "open_checkout", pl.col("ts") <= half - timedelta(days=1))
    assert result.reached == opened.height


def test_the_step_that_most_drop_out_after_is_chosen() -> None:
    funnel = Funnel(name="long", steps=["old", "open_checkout", "pay"], window="1d")
    result = diagnose(world(), Diagnosis(funnel=funnel), as_of=AS_OF)
    assert result.step == 2
    assert diagnose(world(), Diagnosis(funnel=funnel, step=1), as_of=AS_OF).step == 1


def test_who_leaves_out_an_optional_step_has_gone_on() -> None:
    funnel = Funnel.model_validate(
        {
            "name": "optional",
            "steps": ["open_checkout", {"event": "tip", "optional": True}, "pay"],
            "window": "1d",
        }
    )
    result = diagnose(world(), Diagnosis(funnel=funnel, step=1), as_of=AS_OF)
    assert result.passed >= diagnosed().passed


@pytest.mark.parametrize(
    "events",
    [
        lambda: world().clear(),
        lambda: world().filter(pl.col("event") != "pay"),
        lambda: world().filter(pl.col("event") != "open_checkout"),
        lambda: world().filter(pl.col("event").is_in(["pay", "open_checkout"])).drop("properties"),
        lambda: world().head(1),
    ],
    ids=["nothing", "nobody went on", "nobody entered", "no other events", "one event"],
)
def test_where_there_is_little_to_compare_little_is_said(events: Callable[[], pl.DataFrame]) -> None:
    result = diagnose(events(), Diagnosis(funnel=FUNNEL), as_of=AS_OF)
    assert result.findings.filter(pl.col("name") != "platform").is_empty()
    assert result.summary().height == 1
    repr(result)


def test_the_marts_take_the_rows() -> None:
    result = diagnosed()
    assert result.mart_rows(quality="passed").schema == DROP_OFF_DIAGNOSIS.schema
    for table, frame in ((DROP_OFF_STEPS, result.summary()), (DROP_OFF_NEXT, result.instead)):
        assert table.conform(frame.with_columns(quality=pl.lit("passed"))).height == frame.height
    told = result.to_dict()
    assert told["findings"][0]["verdict"] == "drops_more"
    assert "drops_more: event card_declined" in repr(result)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"funnel": FUNNEL, "step": 2}, "nobody drops out after step 2"),
        ({"funnel": FUNNEL, "landmark": "2d"}, "beyond the window"),
        ({"funnel": FUNNEL.model_copy(update={"counting": "attempts"})}, "counts attempts"),
        ({"funnel": FUNNEL.model_copy(update={"order": "any"})}, "have no order"),
        ({"funnel": FUNNEL.model_copy(update={"entity": "account"})}, "counts account"),
        ({"funnel": Funnel(name="one", steps=["a"], window="1d")}, "has one step"),
        ({"funnel": FUNNEL, "min_n": 1}, "greater than or equal to 5"),
    ],
)
def test_a_wrong_definition_says_what_is_wrong(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Diagnosis(**fields)


def test_a_funnel_that_is_only_named_and_signals_without_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="only named here"):
        diagnose(world(), Diagnosis(funnel="checkout"), as_of=AS_OF)
    with pytest.raises(ValueError, match="signals have the columns"):
        diagnose(world(), Diagnosis(funnel=FUNNEL), as_of=AS_OF, signals=world())
    with pytest.raises(ValueError, match="no time zone"):
        diagnose(world(), Diagnosis(funnel=FUNNEL), as_of=datetime(2026, 1, 1))  # noqa: DTZ001
    assert AS_OF.tzinfo is UTC


def test_events_of_nobody_without_name_or_time_and_odd_properties_do_no_harm() -> None:
    odd = (
        world()
        .head(5)
        .with_columns(
            person=pl.Series(["p1", None, "p2", "p3", "p4"]),
            event=pl.Series([None, "tip", "tip", "open_checkout", "tip"]),
            ts=pl.Series([AS_OF, AS_OF, None, AS_OF, AS_OF]).cast(pl.Datetime("us", "UTC")),
            properties=pl.Series(["not json", None, "[1]", "{}", '{"a\\\\b": 1, "": 2}']),
        )
    )
    result = diagnose(pl.concat([world(), odd]), Diagnosis(funnel=FUNNEL), as_of=AS_OF)
    assert result.findings["name"].sort().equals(diagnosed().findings["name"].sort())


def test_a_sample_of_json_that_is_none_has_no_properties() -> None:
    events = world().with_columns(properties=pl.lit("not json"))
    compared = diagnose(events, Diagnosis(funnel=FUNNEL), as_of=AS_OF).compared
    assert set(compared.filter(pl.col("kind") == "property")["name"]) == {"platform"}


def test_clocks_are_no_properties() -> None:
    events = world().with_columns(sent_ms=pl.col("ts").dt.epoch("ms"))
    compared = diagnose(events, Diagnosis(funnel=FUNNEL), as_of=AS_OF).compared
    assert "sent_ms" not in compared["name"]


def test_which_attempt_counts_does_not_depend_on_its_outcome() -> None:
    # Events at random: nothing goes with anything. With each person's best attempt, doing the first step
    # again would "cost" 37 points.
    rng = np.random.default_rng(7)
    count = 120_000
    seconds = rng.integers(0, 60 * 86_400, count)
    events = pl.DataFrame(
        {
            "person": pl.Series(rng.integers(0, 3_000, count)).cast(pl.String),
            "event": np.array(["view", "add", "pay", "help", "scroll", "login"])[rng.integers(0, 6, count)],
            "ts": pl.Series(seconds * 1_000_000).cast(pl.Duration("us")) + datetime(2026, 1, 1, tzinfo=UTC),
        }
    )
    funnel = Funnel(name="buy", steps=["view", "add", "pay"], window="1d")
    result = diagnose(events, Diagnosis(funnel=funnel, step=1), as_of=datetime(2026, 3, 2, tzinfo=UTC))
    again = row(result, "view", kind="event")
    assert again["n_with"] > 50
    assert abs(again["effect"]) < 0.1
    assert result.findings.is_empty()


def test_who_failed_first_and_went_on_later_has_dropped_out() -> None:
    opened = world().filter(pl.col("event") == "open_checkout")
    before = opened.with_columns(pl.col("ts") - timedelta(days=1, seconds=1))
    result = diagnose(pl.concat([world(), before]), Diagnosis(funnel=FUNNEL), as_of=AS_OF)
    assert result.reached == opened.height
    assert result.passed == 0
