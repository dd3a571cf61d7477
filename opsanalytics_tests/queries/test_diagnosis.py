"""`opsanalytics.diagnose` on a table of events."""

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Diagnosis
from opsanalytics.queries.inputs import DefinitionError
from opsanalytics_tests.behavior.drop_off_world import FUNNEL, drop_off_world

EVENTS = drop_off_world(4, 1_500)


def test_an_answer_has_numbers_a_figure_and_words() -> None:
    result = opsanalytics.diagnose(
        EVENTS,
        FUNNEL,
        step=1,
        segments=["platform"],
        friction={"error_events": ["card_declined"], "error_place": ["code"]},
    )
    found = result.findings()
    assert "Error" in found.filter(pl.col("kind") == "signal")["name"]
    assert result.summary()["findings"].to_list() == [found.height]
    assert result.to_dict()["step"] == result.step == 1
    shown = result.to_polars().filter(pl.col("verdict") != "no_finding").height
    assert len(result.figure().data[0].x) == shown
    html = result._repr_html_()
    assert "met: Error: card_declined" in html
    assert "What they did instead" in html


def test_a_definition_may_be_a_diagnosis_a_mapping_or_another_step() -> None:
    long = {"steps": ["old", "open_checkout", "pay"], "window": "1d"}
    assert opsanalytics.diagnose(EVENTS, long, step=1).step == 1
    own = Diagnosis(funnel=FUNNEL, landmark="2m")
    assert opsanalytics.diagnose(EVENTS, own).landmark_seconds == 120
    assert opsanalytics.diagnose(EVENTS, own, landmark="3m").landmark_seconds == 180


def test_persons_may_be_numbers_and_their_properties_a_table() -> None:
    numbered = EVENTS.with_columns(pl.col("person").str.strip_prefix("p").cast(pl.Int64))
    persons = (
        numbered.select("person")
        .unique()
        .with_columns(plan=pl.when(pl.col("person") % 2 == 0).then(pl.lit("pro")).otherwise(pl.lit("free")))
    )
    result = opsanalytics.diagnose(
        numbered,
        Diagnosis(funnel=FUNNEL, person_properties=["plan"]),
        persons=persons,
        friction={"error_events": ["card_declined"]},
    )
    kinds = set(result.to_polars()["kind"])
    assert {"person", "signal"} <= kinds


def test_a_text_of_hostile_values_is_escaped() -> None:
    events = EVENTS.with_columns(pl.col("platform").replace("android", "<script>alert(1)</script>"))
    html = opsanalytics.diagnose(events, FUNNEL)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_wrong_question_names_the_field() -> None:
    with pytest.raises(DefinitionError, match="nobody drops out after step 5"):
        opsanalytics.diagnose(EVENTS, FUNNEL, step=5)
    with pytest.raises(DefinitionError, match="window"):
        opsanalytics.diagnose(EVENTS, {"steps": ["a", "b"]})
