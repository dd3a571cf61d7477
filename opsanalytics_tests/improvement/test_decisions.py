"""What people decide: which decision follows which, and that no run changes any."""

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from opsanalytics.improvement.backlog import Backlog
from opsanalytics.improvement.decision_log import read_log
from opsanalytics.improvement.decisions import MOVES, DecisionError, head_of
from opsanalytics.lake.paths import Home
from opsanalytics_tests.improvement.items import AS_OF, ITEMS, met, pain_point, points, ranked, row, run, take

A, B, C = ITEMS[:3]
SHIPPED_ON = date(2026, 1, 12)
SHIPPED = datetime(2026, 1, 13, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def everything() -> pl.DataFrame:
    return points(*(pain_point(item, 10.0 + at) for at, item in enumerate(ITEMS)))


def daily(first: datetime, days: int) -> list[datetime]:
    return [first + timedelta(days=day, hours=7) for day in range(days)]


def test_nobody_has_decided_anything_so_all_are_new() -> None:
    made = ranked(everything())
    assert set(made.items["state"]) == {"new"}
    assert made.history.is_empty()
    assert made.sightings == []


def test_a_life_from_new_to_worked(home: Home) -> None:
    for action in ("accept", "plan", "start"):
        take(home, A, action)
    take(home, A, "assign", owner="Ann")
    take(home, A, "effort", weeks=4.0)
    take(home, A, "ship", on=SHIPPED_ON.isoformat())
    made = run(home, everything(), AS_OF)
    assert row(made, A)["state"] == "verifying"
    assert row(made, A)["owner"] == "Ann"
    assert (row(made, A)["effort_weeks"], row(made, A)["effort_source"]) == (4.0, "ann")
    take(home, A, "worked", **{"from": "verifying"})
    assert row(run(home, everything(), AS_OF), A)["state"] == "worked"


def test_a_decision_that_does_not_follow_says_what_does(home: Home) -> None:
    with pytest.raises(DecisionError, match=f"{A} is new: worked does not follow; possible: accept, plan"):
        take(home, A, "worked")
    assert read_log(home).decisions == ()


def test_open_items_come_first_then_shipped_ones_then_those_set_aside(home: Home) -> None:
    take(home, A, "wont_fix")
    take(home, B, "ship", on=SHIPPED_ON.isoformat())
    made = run(home, everything(), AS_OF)
    assert made.items["stage"].to_list() == ["open"] * 4 + ["shipped", "apart"]
    assert made.items["rank"].to_list() == [1, 2, 3, 4, 5, 6]
    assert made.items["top_5"].null_count() == 2


def test_a_snooze_ends_on_its_day_by_the_time_of_the_data(home: Home) -> None:
    take(home, A, "accept")
    take(home, A, "snooze", until="2026-03-09")
    assert row(run(home, everything(), AS_OF), A)["state"] == "snoozed"
    assert row(run(home, everything(), AS_OF + timedelta(days=6)), A)["state"] == "snoozed"
    later = row(run(home, everything(), AS_OF + timedelta(days=7)), A)
    assert (later["state"], later["note"]) == ("accepted", "snoozed until 2026-03-09")


def test_an_item_the_data_no_longer_shows_stays_with_its_state(home: Home) -> None:
    run(home, everything(), AS_OF)
    take(home, A, "plan", evidence={"lane": "behaviour", "title": "Old", "last_seen": None})
    run(home, everything(), AS_OF)
    gone = row(run(home, everything().filter(pl.col("item_id") != A), AS_OF + timedelta(weeks=1)), A)
    assert (gone["state"], gone["status"], gone["seen"]) == ("planned", "gone", False)
    assert gone["note"] == "no longer seen since 2026-03-01"
    assert gone["title"] == f"Error at {A}"


def test_what_was_shipped_and_fell_silent_comes_back_as_regressed(home: Home) -> None:
    take(home, A, "ship", on=SHIPPED_ON.isoformat())
    before = daily(SHIPPED - timedelta(days=30), 30)
    back = daily(SHIPPED + timedelta(days=20), 4)
    quiet = run(home, everything(), AS_OF, met(**{A.replace("-", "_"): before}))
    assert row(quiet, A)["state"] == "verifying"
    made = row(run(home, everything(), AS_OF, met(**{A.replace("-", "_"): before + back})), A)
    assert (made["state"], made["state_since"], made["state_by"]) == ("regressed", back[0], "opsanalytics")
    assert "silent from 2026-01-13 to 2026-02-02, then met 4 times" in made["note"]


def test_what_was_never_silent_has_not_come_back(home: Home) -> None:
    take(home, A, "ship", on=SHIPPED_ON.isoformat())
    always = daily(SHIPPED - timedelta(days=30), 70)
    made = row(run(home, everything(), AS_OF, met(**{A.replace("-", "_"): always})), A)
    assert made["state"] == "verifying"
    assert "met 40 times since" in made["note"]


def test_a_silence_that_is_usual_for_a_rare_item_is_none(home: Home) -> None:
    take(home, A, "ship", on=SHIPPED_ON.isoformat())
    rare = [SHIPPED + timedelta(days=day) for day in (-50, -40, -25, -10, 12, 20, 28, 36)]
    assert row(run(home, everything(), AS_OF, met(**{A.replace("-", "_"): rare})), A)["state"] == "verifying"


def test_regressed_stays_until_somebody_decides(home: Home) -> None:
    take(home, A, "ship", on=SHIPPED_ON.isoformat())
    back = met(**{A.replace("-", "_"): daily(SHIPPED + timedelta(days=20), 4)})
    run(home, everything(), AS_OF, back)
    take(home, A, "assign", owner="Ann")
    later = AS_OF + timedelta(weeks=1)
    without = everything().filter(pl.col("item_id") != A)
    assert row(run(home, without, later), A)["state"] == "regressed"
    take(home, A, "start", **{"from": "regressed"})
    assert row(run(home, everything(), later, back), A)["state"] == "in_progress"


def test_gone_and_seen_again_after_shipping_is_regressed(home: Home) -> None:
    take(home, A, "ship", on=SHIPPED_ON.isoformat())
    run(home, everything().filter(pl.col("item_id") != A), AS_OF)
    again = points(pain_point(A, last_seen=AS_OF + timedelta(days=5)))
    assert row(run(home, again, AS_OF + timedelta(weeks=1)), A)["state"] == "regressed"


def test_merged_items_are_one_with_the_numbers_of_the_costliest(home: Home) -> None:
    take(home, A, "assign", owner="Ann")
    take(home, B, "merge", into=A)
    made = run(home, everything(), AS_OF)
    assert B not in made.items["item_id"].to_list()
    one = row(made, A)
    assert (one["merged"], one["evidence_id"], one["owner"], one["value"]) == ([B], B, "Ann", 11.0)
    assert one["title"] == f"Error at {A}"


def test_merged_items_are_decided_about_as_one(home: Home) -> None:
    take(home, B, "merge", into=A)
    with pytest.raises(DecisionError, match=f"{B} is merged into {A}"):
        take(home, B, "accept")
    with pytest.raises(DecisionError, match=f"{B} is merged into {A}"):
        take(home, C, "merge", into=B)
    with pytest.raises(DecisionError, match="into itself"):
        take(home, A, "merge", into=A)


def test_an_item_taken_out_of_a_merge_is_what_it_was(home: Home) -> None:
    take(home, B, "accept")
    take(home, B, "merge", into=A)
    take(home, A, "wont_fix")
    take(home, B, "release", into=A)
    made = run(home, everything(), AS_OF)
    assert (row(made, B)["state"], row(made, A)["state"]) == ("accepted", "wont_fix")


def test_parts_of_a_split_item_share_its_numbers_and_not_its_future(home: Home) -> None:
    take(home, A, "assign", owner="Ann")
    take(home, A, "split", titles=["On phones", "On the web"])
    made = run(home, everything(), AS_OF)
    parts = made.items.filter(pl.col("title").is_in(["On phones", "On the web"]))
    assert parts["value"].to_list() == [5.0, 5.0]
    assert parts["owner"].to_list() == ["Ann", "Ann"]
    take(home, parts["item_id"][0], "wont_fix")
    states = run(home, everything(), AS_OF).items.filter(pl.col("item_id").is_in(parts["item_id"].implode()))
    assert sorted(states["state"]) == ["new", "wont_fix"]


def test_what_was_set_aside_is_mentioned_again_when_it_costs_twice_as_much(home: Home) -> None:
    take(home, A, "wont_fix", reason="too rare", evidence={"lost_high": 13.4})
    assert row(run(home, everything(), AS_OF), A)["note"] == "too rare"
    costly = points(pain_point(A, 60.0))
    note = row(run(home, costly, AS_OF + timedelta(weeks=1)), A)["note"]
    assert note == "too rare; costs more than twice what it did when that was decided: look again"


def test_history_is_every_decision_and_what_data_changed(home: Home) -> None:
    take(home, A, "accept")
    take(home, A, "assign", owner="Bo")
    take(home, A, "ship", on=SHIPPED_ON.isoformat())
    run(home, everything(), AS_OF)
    made = run(home, everything(), AS_OF + timedelta(weeks=1))
    lines = made.history.select("line", "action", "state", "by", "detail").rows()
    assert lines == [
        (1, "accept", "accepted", "ann", ""),
        (2, "assign", "accepted", "ann", "to Bo"),
        (3, "ship", "shipped", "ann", "on 2026-01-12"),
        (4, "seen", "verifying", "opsanalytics", "shipped on 2026-01-12; not met since"),
    ]


def test_a_run_that_is_repeated_finds_what_it_found(home: Home) -> None:
    take(home, A, "ship", on=SHIPPED_ON.isoformat())
    first = run(home, everything(), AS_OF)
    run(home, everything().filter(pl.col("item_id") != A), AS_OF + timedelta(weeks=1))
    again = run(home, everything(), AS_OF)
    assert again.items.equals(first.items)
    assert again.history.equals(first.history)


class DecisionsAndRuns(RuleBasedStateMachine):
    """Any decisions and any runs in any order: no run changes a decision, nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.home = Home(Path(self.folder.name))
        self.as_of = AS_OF
        self.present = set(ITEMS)
        self.made: Backlog = ranked(everything())
        self.log: list[Any] = []

    def teardown(self) -> None:
        self.folder.cleanup()

    def rerun(self) -> None:
        frame = everything().filter(pl.col("item_id").is_in(sorted(self.present)))
        self.made = run(self.home, frame, self.as_of)

    def decided(self, item: str, action: str, **details: Any) -> None:
        shown = self.made.items.filter(pl.col("item_id") == item)
        if shown.height:
            details["from"] = shown["state"][0]
        try:
            self.log += take(self.home, item, action, **details)
        except DecisionError:
            assert list(read_log(self.home).decisions) == self.log
        self.rerun()

    @rule(item=st.sampled_from(ITEMS), action=st.sampled_from(sorted(set(MOVES) - {"ship", "snooze"})))
    def move(self, item: str, action: str) -> None:
        self.decided(item, action)

    @rule(item=st.sampled_from(ITEMS))
    def ship(self, item: str) -> None:
        self.decided(item, "ship", on=self.as_of.date().isoformat())

    @rule(item=st.sampled_from(ITEMS), weeks=st.integers(1, 3))
    def snooze(self, item: str, weeks: int) -> None:
        self.decided(item, "snooze", until=(self.as_of + timedelta(weeks=weeks)).date().isoformat())

    @rule(item=st.sampled_from(ITEMS), owner=st.sampled_from(["Ann", "Bo", None]))
    def assign(self, item: str, owner: str | None) -> None:
        self.decided(item, "assign", owner=owner)

    @rule(item=st.sampled_from(ITEMS), into=st.sampled_from(ITEMS))
    def merge(self, item: str, into: str) -> None:
        self.decided(item, "merge", into=into)

    @rule(item=st.sampled_from(ITEMS))
    def release(self, item: str) -> None:
        life = read_log(self.home).lives.get(item)
        self.decided(item, "release", into=life.merged_into if life else None)

    @rule(item=st.sampled_from(ITEMS))
    def split(self, item: str) -> None:
        self.decided(item, "split", titles=["one", "two"])

    @rule(present=st.sets(st.sampled_from(ITEMS)))
    def week_passes(self, present: set[str]) -> None:
        self.as_of += timedelta(weeks=1)
        self.present = present
        self.rerun()

    @rule()
    def same_run_again(self) -> None:
        before = self.made
        self.rerun()
        assert self.made.items.equals(before.items)
        assert self.made.history.equals(before.history)

    @invariant()
    def the_log_only_grows(self) -> None:
        assert list(read_log(self.home).decisions) == self.log

    @invariant()
    def every_item_is_somewhere_once(self) -> None:
        listed = self.made.items["item_id"].to_list()
        assert len(listed) == len(set(listed))
        lives = read_log(self.home).lives
        for item in self.present:
            head = head_of(lives, item)
            assert head in listed or set(lives[head].parts)
            assert item == head or item not in listed

    @invariant()
    def decisions_stand(self) -> None:
        shown = {entry["item_id"]: entry for entry in self.made.items.iter_rows(named=True)}
        by_data = {"shipped": {"verifying", "regressed"}, "worked": {"regressed"}}
        for item, life in read_log(self.home).lives.items():
            if life.merged_into or life.parts:
                continue
            if item not in shown:
                assert (life.state, life.owner) == ("new", None)
                continue
            allowed = {life.state} | by_data.get(life.state, set())
            if life.state == "snoozed":
                allowed.add(life.before_snooze)
            assert shown[item]["state"] in allowed
            assert shown[item]["owner"] == life.owner


DecisionsAndRuns.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
TestDecisionsAndRuns = DecisionsAndRuns.TestCase
