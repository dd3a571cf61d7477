import dataclasses

import polars as pl
import pytest

from opsanalytics.reports.data import SECTIONS, ReportData, ReportError
from opsanalytics.reports.states import check_summary, section_states, worst
from opsanalytics_tests.reports import samples


def withheld_sections(data: ReportData) -> set[str]:
    return {section for section, state in section_states(data).items() if state.withheld}


def test_a_sound_week_is_shown_whole() -> None:
    states = section_states(samples.sample())
    assert {state.state for state in states.values()} == {"passed"}


def test_a_failed_check_of_events_withholds_what_is_made_of_events() -> None:
    data = samples.withheld()
    assert withheld_sections(data) == {"funnels", "retention", "behaviour", "friction"}
    assert "Every event_id occurs once" in section_states(data)["funnels"].reasons[0]


def test_a_failed_check_of_severity_warning_only_warns() -> None:
    states = section_states(samples.withheld())
    assert (states["themes"].state, states["voice"].state) == ("warning", "warning")


def test_a_failed_check_of_an_unknown_table_withholds_everything() -> None:
    data = samples.withheld()
    results = data.quality_results.with_columns(table=pl.lit("something_new"))
    assert withheld_sections(dataclasses.replace(data, quality_results=results)) == set(SECTIONS)


@pytest.mark.parametrize(
    ("quality", "state"), [("failed", "failed"), ("warning", "warning"), ("not_checked",) * 2]
)
def test_the_quality_of_a_mart_marks_its_section(quality: str, state: str) -> None:
    data = samples.sample()
    marked = dataclasses.replace(
        data, retention_cells=data.retention_cells.with_columns(quality=pl.lit(quality))
    )
    states = section_states(marked)
    assert states["retention"].state == state
    assert states["retention"].reasons
    assert states["funnels"].state == "passed"
    assert worst(states) == state


def test_the_caller_can_withhold_a_section() -> None:
    data = dataclasses.replace(samples.sample(), withheld={"friction": "The client was wrong until Tuesday."})
    assert withheld_sections(data) == {"friction"}
    assert section_states(data)["friction"].reasons == ("The client was wrong until Tuesday.",)


def test_without_any_check_nothing_counts_as_passed() -> None:
    assert worst(section_states(samples.empty())) == "not_checked"


def test_checks_are_added_up_over_their_partitions() -> None:
    checks = check_summary(samples.long_history().quality_results).to_dicts()
    assert [(row["check"], row["partitions"], row["failed"]) for row in checks] == [
        ("no_future_time", 4380, 5),
        ("row_count_usual", 4380, 5),
    ]


def test_an_unknown_section_cannot_be_withheld() -> None:
    with pytest.raises(ReportError, match="unknown sections to withhold: \\['funnel'\\]"):
        dataclasses.replace(samples.sample(), withheld={"funnel": "typo"})


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ReportError, match="unknown time zone 'Mars/Base'"):
        dataclasses.replace(samples.sample(), time_zone="Mars/Base")


def test_a_check_of_a_day_after_the_report_changes_nothing() -> None:
    data = samples.withheld()
    later = data.quality_results.with_columns(
        partition=pl.col("partition").str.replace("2026-10-14", "2026-10-19")
    )
    assert withheld_sections(dataclasses.replace(data, quality_results=later)) == set()
