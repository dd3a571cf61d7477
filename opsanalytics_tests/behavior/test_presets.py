"""The vectors of docs/semantics.md for every tool, and what the switches are made of."""

import itertools
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.behavior.folding import PresetError
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.reconcile import MEANINGS, TOGETHER, reconcile
from opsanalytics.behavior.semantics import OPSANALYTICS, PRESETS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel
from opsanalytics_tests.behavior.examples import LATER, START, at

LETTERS = {"S": "AB", "D": "BC"}
"""S matches steps 1 and 2, D matches steps 2 and 3."""
SCHEMA = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "tag": pl.String}


def letter(name: str) -> dict[str, Any]:
    return {"event": "E", "where": {"property": "tag", "op": "contains", "value": name}}


TWO = Funnel(name="two", steps=[letter("A"), letter("B")], window="60s")
THREE = Funnel(name="three", steps=[letter("A"), letter("B"), letter("C")], window="60s")
EXCLUDING = Funnel(name="x", steps=[letter("A"), letter("B")], window="60s", exclusions=[letter("X")])


def events(vectors: dict[str, str]) -> pl.DataFrame:
    words = [(person, word) for person, vector in vectors.items() for word in vector.split()]
    rows = [(p, "E", at(int(word[1:])), LETTERS.get(word[0], word[0])) for p, word in words]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def depth(vector: str, definition: Funnel, preset: str | Semantics) -> tuple[int, list[float]]:
    """Furthest step (0: counted nowhere) and the gaps between steps, seconds."""
    found = funnel(events({"p": vector}), definition, as_of=LATER, preset=preset).persons
    if not found.height:
        return 0, []
    row = found.row(0, named=True)
    times = [row[f"ts_{k}"] for k in range(1, row["step_reached"] + 1)]
    return row["step_reached"], [(b - a).total_seconds() for a, b in itertools.pairwise(times)]


POSTHOG = [
    ("A1 B61", TWO, (2, [60.0])),
    ("A1 B62", TWO, (1, [])),
    ("A1 A51 B101", TWO, (2, [50.0])),
    ("A1 A6 B11", TWO, (2, [5.0])),
    ("A1 B41 C81", THREE, (2, [40.0])),
    ("A1 B11 A21 C71", THREE, (2, [10.0])),
    ("A1 B1", TWO, (2, [0.0])),
    ("B1 A1", TWO, (2, [0.0])),
    ("B1 A2", TWO, (1, [])),
    ("S1", TWO, (1, [])),
    ("S1 S5", TWO, (2, [4.0])),
    ("A1 D5", THREE, (2, [4.0])),
    ("A1 X5 B10", EXCLUDING, (0, [])),
    ("A1 X5 A20 B30", EXCLUDING, (2, [10.0])),
    ("A1 X5 A20", EXCLUDING, (1, [])),
    ("A1 X5 B5", EXCLUDING, (2, [4.0])),
    ("B1 A5 B10", TWO, (2, [5.0])),
    ("A1 C5", THREE, (1, [])),
]


@pytest.mark.parametrize("preset", ["opsanalytics", "posthog"])
@pytest.mark.parametrize(("vector", "definition", "expected"), POSTHOG)
def test_posthog_and_the_default(
    preset: str, vector: str, definition: Funnel, expected: tuple[int, list[float]]
) -> None:
    assert depth(vector, definition, preset) == expected


CLICKHOUSE = [
    ("A1 B61", TWO, (2, 2, 2)),
    ("A1 B62", TWO, (1, 1, 1)),
    ("A1 A51 B101", TWO, (2, 2, 2)),
    ("A1 A6 B11", TWO, (2, 2, 2)),
    ("A1 B41 C81", THREE, (2, 2, 2)),
    ("A1 B11 A21 C71", THREE, (2, 2, 2)),
    ("A1 B1", TWO, (2, 1, 2)),
    ("B1 A1", TWO, (2, 1, 2)),
    ("B1 A2", TWO, (1, 1, 1)),
    ("S1", TWO, (2, 1, 1)),
    ("S1 S5", TWO, (2, 1, 2)),
    ("A1 D5", THREE, (3, 2, 2)),
    ("B1 A5 B10", TWO, (2, 2, 2)),
    ("A1 C5", THREE, (1, 1, 1)),
]


@pytest.mark.parametrize(("vector", "definition", "expected"), CLICKHOUSE)
def test_clickhouse(vector: str, definition: Funnel, expected: tuple[int, int, int]) -> None:
    presets = ("clickhouse", "clickhouse:strict_increase", "clickhouse:strict_once")
    assert tuple(depth(vector, definition, preset)[0] for preset in presets) == expected


@pytest.mark.parametrize(
    ("modes", "vector", "expected"),
    [
        ("strict_order", "A1 B2 X3 C4", 2),
        ("strict_order", "A1 B2 C4", 3),
        ("strict_order", "X0 A1 B2 C4", 3),
        ("strict_order", "A1 C2 B3 C4", 1),
        ("strict_order,allow_reentry", "A1 C2 B3 C4", 3),
        ("strict_deduplication", "A1 B2 B3 C4", 2),
        ("strict_deduplication", "A1 A2 B3 C4", 3),
        ("strict_increase", "A1 B2 B3 C3", 2),
        ("strict_once", "A1 D2 D3", 3),
        ("strict_once", "A1 D2", 2),
        ("strict_once,strict_increase", "A1 D2 D2", 2),
    ],
)
def test_modes_of_clickhouse(modes: str, vector: str, expected: int) -> None:
    assert depth(vector, THREE, f"clickhouse:{modes}")[0] == expected


@pytest.mark.parametrize(
    ("preset", "vector", "definition", "expected"),
    [
        ("mixpanel", "A1 A51 B101", TWO, (1, [])),
        ("mixpanel_optimized", "A1 A51 B101", TWO, (2, [50.0])),
        ("amplitude", "A1 A51 B101", TWO, (2, [50.0])),
        ("mixpanel", "A1 A6 B11", TWO, (2, [10.0])),
        ("mixpanel_optimized", "A1 A6 B11", TWO, (2, [5.0])),
        ("mixpanel", "A1 B41 C81", THREE, (2, [40.0])),
        ("amplitude", "A1 B41 C81", THREE, (2, [40.0])),
        ("mixpanel", "A1 B1", TWO, (2, [0.0])),
        ("mixpanel", "B1 A1", TWO, (2, [0.0])),
        ("amplitude", "B1 A1", TWO, (2, [0.0])),
        ("mixpanel", "B1 A2", TWO, (2, [0.0])),
        ("amplitude", "B1 A2", TWO, (2, [0.0])),
        ("mixpanel", "B1 A4", TWO, (1, [])),
        ("amplitude", "B1 A3", TWO, (1, [])),
        ("mixpanel", "A1 X5 B10", EXCLUDING, (1, [])),
        ("amplitude", "A1 X5 B10", EXCLUDING, (1, [])),
        ("mixpanel", "A1 X5 A20 B30", EXCLUDING, (1, [])),
        ("amplitude", "A1 X5 A20 B30", EXCLUDING, (2, [10.0])),
        ("mixpanel", "A1 X9 B10", EXCLUDING, (2, [9.0])),
    ],
)
def test_mixpanel_and_amplitude(
    preset: str, vector: str, definition: Funnel, expected: tuple[int, list[float]]
) -> None:
    assert depth(vector, definition, preset) == expected


def test_mixpanel_totals_enter_again_after_an_exclusion() -> None:
    totals = EXCLUDING.model_copy(update={"counting": "attempts"})
    found = funnel(events({"p": "A1 X5 A20 B30"}), totals, as_of=LATER, preset="mixpanel")
    assert found.to_polars()["persons"].to_list() == [2, 1]


def test_the_first_entry_is_the_only_one_even_without_conversion() -> None:
    assert depth("A1 B70 A100 B101", TWO, "mixpanel") == (1, [])


def test_posthog_loses_conversions_after_the_range_and_open_windows_count_as_dropped() -> None:
    day = timedelta(days=1)
    late = Funnel(name="late", steps=["A", "B"], window="7d")
    frame = pl.DataFrame(
        [("p", "A", START), ("p", "B", START + day), ("q", "A", START + 9 * day)],
        schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")},
        orient="row",
    )
    as_of = START + 10 * day
    asked = {"as_of": as_of, "first": START.date(), "last": START.date()}
    counts = {
        name: funnel(frame, late, preset=name, **asked).to_polars()["persons"].to_list()  # type: ignore[arg-type]
        for name in PRESETS
    }
    assert counts == {
        "opsanalytics": [1, 1],
        "posthog": [1, 0],
        "mixpanel": [1, 1],
        "mixpanel_optimized": [1, 1],
        "amplitude": [1, 1],
        "clickhouse": [1, 0],
    }
    everything = {
        name: funnel(frame, late, preset=name, as_of=as_of).to_polars()["persons"].to_list()
        for name in ("opsanalytics", "posthog")
    }
    assert everything == {"opsanalytics": [1, 1], "posthog": [2, 1]}


def test_posthog_averages_leave_out_zero_gaps() -> None:
    found = [
        funnel(events({"p": "A1 B1", "q": "A1 B11"}), TWO, as_of=LATER, preset=name).to_polars()
        for name in ("opsanalytics", "posthog")
    ]
    assert [one["mean_seconds"][1] for one in found] == [5.0, 10.0]


def test_strict_in_posthog_overlooks_repeats_and_ties() -> None:
    strict = THREE.model_copy(update={"order": "strict"})
    assert depth("A1 B2 B3 C4", strict, "opsanalytics")[0] == 2
    assert depth("A1 B2 B3 C4", strict, "posthog")[0] == 3
    assert depth("A1 B2 O2 C4", strict, "opsanalytics")[0] == 2
    assert depth("A1 B2 O2 C4", strict, "posthog")[0] == 3


def test_posthog_overlooks_an_exclusion_at_the_instant_of_another_event() -> None:
    reentry = "A1 A5 X5 B9"
    assert depth(reentry, EXCLUDING, "opsanalytics") == (2, [4.0])
    assert depth("A1 X5 A5", EXCLUDING, "opsanalytics") == (1, [])
    tied = THREE.model_copy(update={"exclusions": EXCLUDING.exclusions})
    assert depth("A1 X5 C5 B9", tied, "opsanalytics") == (0, [])
    assert depth("A1 X5 C5 B9", tied, "posthog") == (2, [8.0])
    assert depth("A1 X5 B9", tied, "posthog") == (0, [])


def test_strict_in_posthog_overlooks_instants_with_several_kinds_of_events() -> None:
    strict = TWO.model_copy(update={"order": "strict"})
    assert depth("A1 O2 C2 B3", strict, "opsanalytics")[0] == 1
    assert depth("A1 O2 C2 B3", strict, "posthog")[0] == 1
    wider = THREE.model_copy(update={"order": "strict"})
    assert depth("A1 O2 C2 B3", wider, "posthog")[0] == 2
    assert depth("A1 O2 O2 B3", wider, "posthog")[0] == 1


def test_times_of_unordered_funnels() -> None:
    unordered = TWO.model_copy(update={"order": "any"})
    assert depth("A1 A3 B5", unordered, "opsanalytics") == (2, [2.0])
    assert depth("A1 A3 B5", unordered, "posthog") == (2, [4.0])


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"order": "any"}, "order = 'any'"),
        ({"counting": "attempts"}, "counting attempts"),
        ({"exclusions": [letter("X")]}, "exclusions"),
        ({"steps": [letter("A"), letter("B") | {"after": "1s"}]}, "limits between steps"),
    ],
)
def test_clickhouse_cannot_express_everything(change: dict[str, Any], missing: str) -> None:
    definition = Funnel(**(TWO.model_dump() | change))
    unreadable = events({}).lazy().map_batches(lambda _: pytest.fail("data was read"), schema=SCHEMA)
    with pytest.raises(PresetError, match=missing):
        funnel(unreadable, definition, as_of=LATER, preset="clickhouse")


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("posthg", "'posthg' is not one of opsanalytics, posthog"),
        ("clickhouse:lenient", r"unknown modes \['lenient'\]"),
        ("posthog:strict_order", "modes belong to"),
        ("clickhouse:allow_reentry", "allow_reentry needs strict_order"),
    ],
)
def test_wrong_presets(preset: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preset_named(preset)


def test_numbers_of_another_preset_have_another_id() -> None:
    ids = {funnel(events({}), TWO, as_of=LATER, preset=name).definition_id for name in PRESETS}
    assert len(ids) == len(PRESETS)
    assert funnel(events({}), TWO, as_of=LATER).definition_id == TWO.definition_id


APART = st.dictionaries(
    st.sampled_from("pqr"),
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 40)), max_size=7, unique_by=lambda e: e[1]),
    max_size=3,
)


@settings(max_examples=100, deadline=None)
@given(people=APART)
def test_presets_agree_without_ties_reentry_or_exclusions(people: dict[str, list[tuple[str, int]]]) -> None:
    # Times ten seconds apart, so that no grace applies; the first A of a person is the only one.
    vectors = {}
    for person, made in people.items():
        entries = sorted(second for name, second in made if name == "A")
        kept = [(name, second) for name, second in made if name != "A" or second == entries[0]]
        vectors[person] = " ".join(f"{name}{second * 10}" for name, second in kept)
    frame = events(vectors)
    counts = [
        funnel(frame, THREE, as_of=LATER, preset=name).to_polars()["persons"].to_list() for name in PRESETS
    ]
    assert all(one == counts[0] for one in counts)


VECTORS = {
    "a": "A1 B61",
    "b": "B1 A2",
    "c": "A1 A51 B101",
    "d": "S1",
    "e": "A1 B5",
    "f": f"A{int((LATER - START).total_seconds()) - 5}",
}


def test_reconcile_names_the_rule_behind_each_difference() -> None:
    found = reconcile(events(VECTORS), TWO, as_of=LATER)
    persons = {
        preset: rows["persons"].to_list()
        for (preset,), rows in found.counts.group_by("preset", maintain_order=True)
    }
    assert persons == {
        "opsanalytics": [5, 3],
        "posthog": [6, 3],
        "mixpanel": [6, 3],
        "mixpanel_optimized": [6, 4],
        "amplitude": [6, 4],
        "clickhouse": [6, 4],
    }
    changed = found.rules.filter(pl.col("change") != 0)
    assert changed.filter(pl.col("preset") == "mixpanel").select("rule", "step", "change").rows() == [
        ("maturity", 1, 1),
        ("entries", 2, -1),
        ("grace", 2, 1),
    ]
    assert changed.filter(pl.col("preset") == "clickhouse").select("rule", "step", "change").rows() == [
        ("maturity", 1, 1),
        ("one_event", 2, 1),
    ]
    assert "grace = 0:00:02" in repr(found)


def test_changes_add_up_and_what_cannot_be_expressed_is_a_note() -> None:
    found = reconcile(events(VECTORS), EXCLUDING, as_of=LATER)
    sums = found.rules.group_by("preset", "step").agg(pl.col("change").sum())
    ours = found.counts.filter(pl.col("preset") == "opsanalytics").select("step", ours="persons")
    joined = found.counts.join(ours, on="step").join(sums, on=["preset", "step"])
    assert joined.height == 8
    assert joined.filter(pl.col("persons") - pl.col("ours") != pl.col("change")).is_empty()
    note = found.counts.filter(pl.col("preset") == "clickhouse")["note"].to_list()
    assert note == ["preset 'clickhouse': windowFunnel has no exclusions"]


def test_every_switch_has_a_meaning() -> None:
    switches = set(OPSANALYTICS.differences(replace(OPSANALYTICS)))
    assert not switches
    named = {name for rule in MEANINGS for name in TOGETHER.get(rule, (rule,))}
    assert named == {name for name in OPSANALYTICS.__dataclass_fields__ if name != "name"}


def test_reconcile_checks_its_arguments_first() -> None:
    with pytest.raises(ValueError, match="lies before first"):
        reconcile(events({}), TWO, as_of=LATER, first=date(2026, 2, 1), last=date(2026, 1, 1))
