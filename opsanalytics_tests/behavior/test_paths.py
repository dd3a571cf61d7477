"""Paths against a plain reading of their rules, and what must not matter."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opsanalytics.behavior.cohort_spec import Cohort
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.journey_spec import Paths
from opsanalytics.behavior.paths import PathsResult, paths
from opsanalytics.behavior.spec import Funnel
from opsanalytics_tests.behavior.examples import LATER, START, at, table

SCHEMA = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}
EVERYTHING = {"limit": 100, "min_persons": 1}
Row = tuple[str, str, datetime]
rows = st.lists(
    st.tuples(
        st.sampled_from("pqr"),
        st.sampled_from(["a", "b", "c", "s", "e"]),
        st.integers(0, 40).map(lambda step: at(step * 600)),
    ),
    max_size=30,
)
anchored = st.sampled_from([{}, {"start": "s"}, {"end": "e"}, {"start": "s", "end": "e"}])
rules = st.builds(
    lambda anchors, **others: Paths.model_validate({**anchors, **others, **EVERYTHING}),
    anchored,
    steps=st.integers(1, 4),
    collapse=st.booleans(),
    occurrence=st.sampled_from(["first", "every"]),
    gap=st.sampled_from(["10m", "30m", "2h"]),
    window=st.sampled_from([None, "20m", "1h"]),
    without=st.sampled_from([(), ("c",), ("s",)]),
)


def frame(events: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=SCHEMA, orient="row")


def plainly(events: list[Row], asked: Paths, as_of: datetime) -> tuple[list[list[str]], int]:
    """Paths as labels away from the anchor, with an end where they are short; and the open anchors."""
    start, end = (None if step is None else step.event for step in (asked.start, asked.end))
    found: list[list[str]] = []
    waiting = 0
    for person in sorted({row[0] for row in events}):
        own = [
            (row[2], 0 if row[1] == start else 2 if row[1] == end else 1, row[1])
            for row in events
            if row[0] == person
            and row[2] <= as_of
            and (row[1] not in asked.without or row[1] in (start, end))
        ]
        session = -1
        runs: list[tuple[datetime, str, int]] = []
        before: tuple[datetime, int, str] | None = None
        for row in sorted(own):
            new = before is None or row[0] - before[0] > asked.gap
            session += new
            if not asked.collapse or new or before is None or row[2] != before[2]:
                runs.append((row[0], row[2], session))
            before = row
        wanted = start or end
        anchors = [
            i
            for i, run in enumerate(runs)
            if (run[1] == wanted if wanted else i == 0 or runs[i - 1][2] != run[2])
        ]
        for i in anchors[:1] if asked.occurrence == "first" else anchors:
            horizon = asked.gap * (asked.steps + 1)
            horizon = horizon if asked.window is None else min(horizon, asked.window)
            if not asked.backwards and runs[i][0] + horizon > as_of:
                waiting += 1
                continue
            side = runs[i::-1] if asked.backwards else runs[i:]
            path: list[str] = []
            for run in side[: asked.steps + 1]:
                far = asked.window is not None and abs(run[0] - runs[i][0]) > asked.window
                if run[2] != runs[i][2] or far:
                    break
                path.append(run[1])
                if start and end and run[1] == end:
                    break
            if start and end:
                if path[-1] == end:
                    found.append(path)
                continue
            over = "(start)" if asked.backwards else "(end)"
            found.append(path if len(path) > asked.steps else [*path, over])
    return found, waiting


def edges(result: PathsResult) -> dict[tuple[int, str, str], int]:
    table = result.to_polars()
    return {
        (abs(row["step"]), row["from_event"], row["to_event"]): row["count"]
        for row in table.iter_rows(named=True)
    }


@settings(max_examples=120, deadline=None)
@given(rows, rules, st.integers(0, 30).map(lambda hour: at(hour * 1800)))
def test_paths_are_what_the_rules_say(events: list[Row], asked: Paths, as_of: datetime) -> None:
    found, waiting = plainly(events, asked, as_of)
    result = paths(frame(events), asked, as_of=as_of)
    assert (result.paths, result.open_anchors) == (len(found), waiting)
    steps = Counter((k, path[k - 1], path[k]) for path in found for k in range(1, len(path)))
    assert edges(result) == steps
    whole = Counter(tuple(path[::-1] if asked.backwards else path) for path in found)
    assert {tuple(row["sequence"]): row["count"] for row in result.sequences.to_dicts()} == whole


@settings(max_examples=25, deadline=None)
@given(rows, rules, st.randoms(use_true_random=False))
def test_the_order_of_rows_is_nothing(events: list[Row], asked: Paths, random: Any) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)
    first, second = (paths(frame(each), asked, as_of=LATER) for each in (events, shuffled))
    assert first.edges.equals(second.edges)
    assert first.sequences.equals(second.sequences)


@settings(max_examples=25, deadline=None)
@given(rows, st.integers(1, 3), st.integers(1, 3))
def test_what_is_put_together_adds_up(events: list[Row], limit: int, least: int) -> None:
    all_of_them = paths(frame(events), Paths(limit=100, min_persons=1), as_of=LATER)
    some = paths(frame(events), Paths(limit=limit, min_persons=least), as_of=LATER)
    for result in (all_of_them, some):
        by_step = result.to_polars().group_by("step").agg(pl.col("count").sum()).sort("step")
        result_counts = by_step["count"].to_list()
        assert result_counts == sorted(result_counts, reverse=True)
        assert result.sequences["count"].sum() == result.paths
    totals = [
        each.to_polars().group_by("step").agg(pl.col("count").sum()).sort("step")
        for each in (all_of_them, some)
    ]
    assert totals[0].equals(totals[1])


FUNNEL = Funnel(steps=["view", "buy"], window="1h")
SHOP = {
    "p": [("view", at(0)), ("help", at(60)), ("back", at(120))],
    "q": [("home", at(0)), ("view", at(10)), ("buy", at(70))],
    "r": [("search", at(0)), ("view", at(30))],
}


def sequences(asked: Paths, as_of: datetime = LATER) -> list[list[str]]:
    return sorted(paths(table(SHOP), asked, as_of=as_of).sequences["sequence"].to_list())


def test_after_dropping_out_of_a_funnel() -> None:
    asked = Paths(funnel=FUNNEL, min_persons=1)
    assert sequences(asked) == [["view", "(end)"], ["view", "help", "back", "(end)"]]


def test_before_dropping_out_of_a_funnel() -> None:
    asked = Paths(funnel=FUNNEL, direction="before", min_persons=1)
    assert sequences(asked) == [["(start)", "search", "view"], ["(start)", "view"]]


def test_after_a_step_of_those_who_went_on() -> None:
    asked = Paths(funnel=FUNNEL, outcome="continued", min_persons=1)
    assert sequences(asked) == [["view", "buy", "(end)"]]
    everybody = paths(table(SHOP), Paths(funnel=FUNNEL, outcome="all"), as_of=LATER)
    assert everybody.persons == 3


def test_paths_of_drop_offs_are_as_many_as_the_funnel_lost() -> None:
    lost = funnel(table(SHOP), FUNNEL, as_of=LATER).persons_at(1, dropped=True).height
    assert paths(table(SHOP), Paths(funnel=FUNNEL), as_of=LATER).paths == lost


def test_open_attempts_are_no_drop_offs() -> None:
    result = paths(table(SHOP), Paths(funnel=FUNNEL), as_of=at(200))
    assert (result.paths, result.open_anchors) == (0, 3)


def test_events_before_the_step_at_the_same_time_are_before_it() -> None:
    tied = table({"p": [("view", at(0)), ("zoom", at(0)), ("help", at(0))]})
    after = paths(tied, Paths(funnel=FUNNEL, min_persons=1), as_of=LATER)
    assert after.sequences["sequence"].to_list() == [["view", "help", "zoom", "(end)"]]
    before = paths(tied, Paths(funnel=FUNNEL, direction="before", min_persons=1), as_of=LATER)
    assert before.sequences["sequence"].to_list() == [["(start)", "help", "zoom", "view"]]


def test_from_an_event_to_another_tells_how_many_arrive() -> None:
    result = paths(table(SHOP), Paths(start="view", end="buy", min_persons=1), as_of=LATER)
    reached = result.reached()
    assert (reached["n"], reached["count"]) == (3, 1)
    assert reached["rate_low"] < reached["rate"] < reached["rate_high"]
    with pytest.raises(ValueError, match="does not lead"):
        paths(table(SHOP), Paths(), as_of=LATER).reached()


def test_urls_are_grouped() -> None:
    urls = [
        "https://shop.test/product/17?ref=mail",
        "/product/18#top",
        "https://shop.test/help/return+policy",
        "https://shop.test/help/sizes",
        "https://shop.test/",
    ]
    events = table({"p": [("page", at(i)) for i in range(len(urls))]}).with_columns(url=pl.Series(urls))
    asked = Paths(
        by="url",
        urls=True,
        groups=[{"pattern": "/help/*", "name": "Help"}, "/product/*"],
        min_persons=1,
        steps=5,
    )
    found = paths(events, asked, as_of=LATER).sequences["sequence"].to_list()
    assert found == [["/product/*", "Help", "/", "(end)"]]
    plain = asked.model_copy(update={"groups": ()})
    assert paths(events, plain, as_of=LATER).sequences["sequence"][0][0] == "/product/:id"


def test_few_persons_are_put_together() -> None:
    events = table({name: [("a", at(0)), (name if name < "c" else "x", at(1))] for name in "abcdefg"})
    result = paths(events, Paths(start="a", min_persons=3, steps=1, collapse=False), as_of=LATER)
    found = {row["to_event"]: (row["persons"], row["small"]) for row in result.to_polars().to_dicts()}
    assert found == {"x": (5, True), "(other)": (2, True)}
    assert result.sequences["sequence"].to_list() == [["a", "x"], ["(other)"]]


def test_a_label_that_is_reserved_is_quoted() -> None:
    events = table({"p": [("(end)", at(0))]})
    result = paths(events, Paths(min_persons=1), as_of=LATER)
    assert result.sequences["sequence"].to_list() == [['"(end)"', "(end)"]]


def test_paths_of_a_cohort() -> None:
    helped = Cohort(where={"did": "help"})
    result = paths(table(SHOP), Paths(start="view", among=helped, min_persons=1), as_of=LATER)
    assert result.persons == 1


def test_hostile_values() -> None:
    events = frame(
        [
            ("p", "a", datetime(1901, 1, 1, tzinfo=UTC)),
            ("p", "b", datetime(1901, 1, 1, 0, 1, tzinfo=UTC)),
            ("q", "a", datetime(2250, 1, 1, tzinfo=UTC)),
            (None, "a", START),  # type: ignore[list-item]
            ("x", "a", None),  # type: ignore[list-item]
            *[("r", f"e{i}", START + timedelta(seconds=i)) for i in range(2_000)],
        ]
    )
    asked = Paths(occurrence="every", collapse=False, min_persons=1, limit=100)
    result = paths(events, asked, as_of=datetime(2300, 1, 1, tzinfo=UTC))
    assert (result.paths, result.persons) == (3, 3)
    assert (result.left_out.without_person, result.left_out.without_time) == (1, 1)
    assert paths(frame([]), asked, as_of=LATER).to_polars().is_empty()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"steps": 0}, "steps"),
        ({"outcome": "all"}, "step, outcome and direction are about a funnel"),
        ({"funnel": FUNNEL, "start": "a"}, "funnel gives the anchors"),
        ({"funnel": FUNNEL, "step": 3}, "the funnel has 2 steps"),
        ({"funnel": FUNNEL, "step": 2}, "outcome: nobody drops out"),
        ({"funnel": {"steps": ["a"]}}, "window"),
        ({"urls": True}, "urls needs `by`"),
        ({"groups": [{"pattern": ""}]}, "pattern"),
        ({"min_person": 3}, "min_person"),
    ],
)
def test_a_wrong_definition_names_the_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Paths.model_validate(wrong)


def test_a_named_funnel_is_an_error_before_anything_is_read() -> None:
    with pytest.raises(ValueError, match="'activation' is only named here"):
        paths(table(SHOP), Paths(funnel="activation"), as_of=LATER)


def test_definitions_survive_json() -> None:
    asked = Paths(funnel=FUNNEL, groups=["/a/*"], window="1h")
    assert Paths.model_validate_json(asked.model_dump_json()) == asked
    assert Paths(funnel=FUNNEL, groups=["/b/*"], window="1h").definition_id != asked.definition_id
