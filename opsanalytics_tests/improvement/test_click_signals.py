"""Clicks again and again, and clicks without an answer."""

import pytest

from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.friction import friction_met
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics_tests.improvement.test_friction import AS_OF, events, look, of

SAVE = '{"page":"/settings","element":"Save"}'


def clicks(person: str, *seconds: float, properties: str = SAVE) -> list[tuple[str, float, str, str]]:
    return [(person, at, "click", properties) for at in seconds]


def test_four_quick_clicks_on_one_element_are_one_rage() -> None:
    found = look(
        events(
            *clicks("a", 0, 0.2, 0.4, 0.6, 0.8),  # one run
            *clicks("b", 0, 0.5, 0.9, 1.5),  # too slow
            *clicks("c", 0, 0.2, 0.4),  # too few
            *clicks("d", 0, 0.3, properties='{"page":"/settings","element":"Undo"}'),
            *clicks("d", 0.1, 0.4),  # two elements
        ),
        rage_click={"event": "click"},
    )
    (row,) = of(found, "rage_click")
    assert (row["place"], row["occurrences"], row["persons"], row["n"]) == ("Save on /settings", 1, 1, 4)
    assert "4 click" in row["reason"]
    assert found.exposures.filter(signal="rage_click")["ts"][0].microsecond == 600_000


def test_clicks_far_apart_are_no_rage() -> None:
    def at(x: int) -> str:
        return f'{{"page":"/map","element":"map","x":{x},"y":5}}'

    far = [("a", 0.2 * each, "click", at(200 * each)) for each in range(4)]
    near = [("b", 0.2 * each, "click", at(2 * each)) for each in range(4)]
    found = look(events(*far, *near), rage_click={"event": "click"})
    assert found.exposures.filter(signal="rage_click")["person"].to_list() == ["b"]


def test_elements_clicked_quickly_by_design_can_be_left_out() -> None:
    found = look(events(*clicks("a", 0, 0.1, 0.2, 0.3)), rage_click={"event": "click", "ignore": ["Save"]})
    assert not of(found, "rage_click")[0]["available"]


@pytest.mark.parametrize("name", ["$rageclick", "$mp_rage_click", "[Amplitude] Rage Click"])
def test_what_trackers_report_counts_without_configuration(name: str) -> None:
    found = look(events(("a", 0, name, '{"page":"/x"}'), ("b", 0, "sign_up")))
    (row,) = of(found, "rage_click")
    assert (row["place"], row["persons"]) == ("/x", 1)


def test_a_diagnosis_knows_of_clicks_too() -> None:
    answered = [
        row
        for each in range(40)
        for row in (*clicks(f"p{each}", 0), (f"p{each}", 1.0, "saved", '{"page":"/settings"}'))
    ]
    table = events(*answered, *clicks("angry", 0, 0.2, 0.4, 0.6), *clicks("dead", 0))
    rules = {"rage_click": {"event": "click"}, "dead_click": {"event": "click"}}
    settings = FrictionSettings.model_validate(rules)
    funnel = Funnel(name="save", steps=["click", "paid"], window="1d")
    met = friction_met(table, settings, funnel, as_of=AS_OF)
    seen = {(person, signal) for person, _, signal, _ in met.iter_rows()}
    assert {("angry", "Rage clicks"), ("dead", "Clicks without an answer")} <= seen
    assert not any(person.startswith("p") for person, _ in seen)


def test_a_click_is_dead_only_where_clicks_are_mostly_answered() -> None:
    answered = [
        row
        for each in range(10)
        for row in (*clicks(f"p{each}", 0), (f"p{each}", 1.0, "saved", '{"page":"/settings"}'))
    ]
    silent = clicks("dead", 0)
    text = [row for each in range(10) for row in clicks(f"t{each}", 0, properties='{"page":"/settings"}')]
    late = [*clicks("late", 0), ("late", 9.0, "saved", '{"page":"/settings"}')]
    found = look(events(*answered, *silent, *text, *late), dead_click={"event": "click", "min_clicks": 5})
    (row,) = of(found, "dead_click")
    assert (row["place"], row["persons"], row["n"]) == ("Save on /settings", 2, 12)
    assert set(found.exposures.filter(signal="dead_click")["person"]) == {"dead", "late"}


def test_without_clicks_they_are_not_available_and_say_what_to_set() -> None:
    found = look(events(("a", 0, "sign_up")))
    for signal in ("rage_click", "dead_click"):
        (row,) = of(found, signal)
        assert not row["available"]
        assert f"friction.{signal}.event" in row["reason"]
    (row,) = of(look(events(("a", 0, "sign_up")), rage_click={"event": "tap"}), "rage_click")
    assert "no event 'tap' occurs" in row["reason"]
