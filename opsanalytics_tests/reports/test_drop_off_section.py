"""The section about dropping out, under its funnel."""

import dataclasses
import re
from functools import cache

import polars as pl

from opsanalytics.behavior.diagnosis import DiagnosisResult, diagnose
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.figures import diagnosis_figure
from opsanalytics.reports.page import render_week
from opsanalytics_tests.behavior.drop_off_world import AS_OF, FUNNEL, drop_off_world
from opsanalytics_tests.reports.samples import HOSTILE, sample

DIAGNOSIS = Diagnosis(name="invite", funnel=FUNNEL.model_copy(update={"name": "invite"}))


@cache
def diagnosed(*, hostile: bool = False) -> DiagnosisResult:
    events = drop_off_world(1)
    if hostile:
        told = {"card_declined": HOSTILE.replace("\x00", "")}
        events = events.with_columns(pl.col("event").replace(told))
    return diagnose(events, DIAGNOSIS, as_of=AS_OF)


def page_data(result: DiagnosisResult) -> ReportData:
    checked = pl.lit("passed").alias("quality")
    return dataclasses.replace(
        sample(),
        drop_off_steps=result.summary().with_columns(checked),
        drop_off_diagnosis=result.to_polars().with_columns(checked),
        drop_off_next=result.instead.with_columns(checked),
    )


def section(result: DiagnosisResult) -> str:
    page = render_week(page_data(result))
    found = re.search(r"<h4>What goes with dropping out.*?</article>", page, flags=re.S)
    assert found is not None
    return found.group()


def test_findings_misleading_differences_and_what_they_did_instead_are_told() -> None:
    text = section(diagnosed())
    table = text[: text.index("What they did instead")]
    assert "<bdi>card_declined</bdi>" in table
    assert "<bdi>platform: android</bdi>" in table
    assert "crude difference" in table
    assert "push_prompt" in table
    assert "null_3" not in table
    assert "(nothing)" in text


def test_where_nothing_passes_it_is_said() -> None:
    events = drop_off_world(5, 800, effects=False).filter(pl.col("platform") == "ios")
    result = diagnose(events, DIAGNOSIS, as_of=AS_OF)
    assert result.findings.is_empty()
    assert f"None of {result.compared.height} comparisons passes the test." in section(result)


def test_where_nobody_went_on_there_is_nobody_to_compare_with() -> None:
    events = drop_off_world(5, 200).filter(pl.col("event") != "pay")
    assert "nobody to compare with" in section(diagnose(events, DIAGNOSIS, as_of=AS_OF))


def test_hostile_names_are_text() -> None:
    text = section(diagnosed(hostile=True))
    assert "<script>window" not in text
    assert "<img" not in text


def test_the_chart_has_findings_filled_and_unclear_ones_hollow() -> None:
    compared = diagnosed().to_polars()
    dots = diagnosis_figure(compared).data[0]
    told = compared.filter(pl.col("verdict") != "no_finding")
    assert len(dots.x) == min(16, told.height)
    assert dots.marker.symbol[0] == "circle"
    assert dots.x[0] < 0
    assert diagnosis_figure(compared.clear()).data[0].x in ((), None)
