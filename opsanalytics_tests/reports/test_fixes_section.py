"""What the page says of fixes: the verdict with its interval, the plan, and how predictions held."""

import dataclasses

import pytest

from opsanalytics.reports.fixes_section import fixes_view
from opsanalytics.reports.page import render_week
from opsanalytics.reports.states import section_states
from opsanalytics_tests.reports import samples
from opsanalytics_tests.reports.test_page import Page


@pytest.fixture(scope="module")
def text() -> str:
    return Page(render_week(samples.sample())).text


def test_what_harmed_comes_first_and_the_verdict_stands_with_its_interval(text: str) -> None:
    said = text[text.index("Did the fixes work?") :]
    assert said.index("harmed") < said.index("worked")
    assert "+4.6 points (+2.0 to +7.2, 98.3 % interval)" in said
    assert "look 2 of 3, after 28 days" in said
    assert "Looked at again when data is complete up to 9 Nov 2026" in said


def test_the_plan_says_what_was_promised(text: str) -> None:
    for words in ("platform android against ios, web", "+3.0 to +7.0", "0123456789ab", "from 3.6 points on"):
        assert words in text


def test_few_predictions_are_said_to_be_few(text: str) -> None:
    assert "2 verified fixes" in text
    assert "too few to say much" in text


def test_stretches_of_seven_days_leave_out_the_day_of_shipping() -> None:
    data = samples.sample()
    (worked,) = [fix for fix in fixes_view(data, section_states(data)).shipped if fix["outcome"] == "worked"]
    figure = worked["gap"].figure
    line = figure.data[1]
    assert len(line.x) == 12
    assert [round(value, 1) for value in line.y] == [0.0] * 8 + [5.0] * 4  # percentage points
    assert worked["effect"].figure.data[1].x == (0.4, -0.6, 0.1)


def test_nothing_measured_is_shown_where_checks_failed() -> None:
    data = dataclasses.replace(samples.sample(), withheld={"behaviour": "The events are wrong."})
    said = Page(render_week(data)).text
    assert "+4.6 points" not in said
    assert "2 verified fixes" not in said


def test_without_fixes_the_page_says_how_to_begin() -> None:
    assert "When somebody accepts an item" in Page(render_week(samples.empty())).text
