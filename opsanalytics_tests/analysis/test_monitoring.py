"""What is planted in the generated product is noticed, and nothing else."""

import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.analysis.monitoring import DRIFT, PLAN, VOLUME, monitoring, plan_breaches, record_monitoring
from opsanalytics.behavior.spec import Funnel
from opsanalytics.config import Settings
from opsanalytics.demo.product import generate
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.schemas import EVENTS
from opsanalytics.quality.infer import infer_plan
from opsanalytics.quality.profiles import profile_days
from opsanalytics.quality.results import latest, state

AS_OF = datetime(2026, 11, 16, tzinfo=UTC)
LAST = date(2026, 11, 15)
NOW = datetime(2026, 11, 17, tzinfo=UTC)


@pytest.fixture(scope="module")
def web() -> pl.DataFrame:
    """Web events of the generated product as canonical events, named as the vendor does."""
    made = generate().web_events.with_columns(source=pl.lit("web"), source_event=pl.col("event"))
    missing = [
        pl.lit("" if column.required else None, column.dtype).alias(column.name)
        for column in EVENTS.columns
        if column.name not in made.columns
    ]
    return made.with_columns(missing).select(EVENTS.names)


@pytest.fixture
def lake(tmp_path: Path, web: pl.DataFrame) -> Callable[..., Settings]:
    """Write the events that a filter leaves; returns the settings."""

    def write(keep: pl.Expr | None = None, **quality: object) -> Settings:
        project = {"name": "Pennyleaf", "home": str(tmp_path / "data"), "start": date(2026, 8, 24)}
        settings = Settings.model_validate({"project": project, "quality": quality})
        kept = web if keep is None else web.filter(keep)
        parts = kept.with_columns(day=pl.col("ts").dt.date()).partition_by("day", as_dict=True)
        for (day,), part in parts.items():
            write_parquet(settings.home.events_file("web", date.fromisoformat(str(day))), part.drop("day"))
        return settings

    return write


def alarms(settings: Settings) -> tuple[list[tuple[str, date]], list[str], set[tuple[str, str]]]:
    found = monitoring(settings, AS_OF)
    volumes = found.volumes.filter(pl.col("verdict").is_in(["drop", "spike"])).select("event", "day").rows()
    silent = found.freshness.filter(pl.col("verdict") == "silent")["event"].to_list()
    return volumes, silent, set(found.drift.filter("warns").select("event", "kind").rows())


INCIDENT_OVER = ("Resend Verification", "vanished_event")
"""The product's own planted incident: a late mail that was mended, and nobody asks for another since."""


def test_the_product_as_it_is_raises_no_alarm_but_its_own_incident(lake: Callable[..., Settings]) -> None:
    assert alarms(lake()) == ([], [], {INCIDENT_OVER})


def test_a_planted_drop_and_a_planted_silence_are_noticed_and_nothing_else(
    lake: Callable[..., Settings],
) -> None:
    day, stop = LAST - timedelta(days=3), LAST - timedelta(days=5)
    fallen = (pl.col("event") == "Page View") & (pl.col("ts").dt.date() == day)
    lost = fallen & (pl.col("ts").dt.microsecond() % 10 < 7)
    gone = (pl.col("event") == "Toggle Theme") & (pl.col("ts").dt.date() > stop)
    volumes, silent, drift = alarms(lake(~lost & ~gone))
    assert ("Page View", day) in volumes
    # All events of the source together may fall with the most frequent one.
    assert {event for event, on in volumes if (event, on) != (None, day)} <= {"Page View", "Toggle Theme"}
    assert silent == ["Toggle Theme"]
    assert drift == {INCIDENT_OVER}


def test_warnings_mark_the_numbers_and_expire_when_they_are_over(lake: Callable[..., Settings]) -> None:
    day = LAST - timedelta(days=3)
    settings = lake(~((pl.col("event") == "Page View") & (pl.col("ts").dt.date() == day)))
    record_monitoring(settings, monitoring(settings, AS_OF), checked_at=NOW)
    failed = latest(settings.home).filter(~pl.col("passed"))
    assert (VOLUME, day.isoformat()) in failed.select("check", "partition").rows()
    assert state(settings.home, ["events"]) == "warning"
    settings = lake(pl.col("event") != "Resend Verification")
    record_monitoring(settings, monitoring(settings, AS_OF), checked_at=NOW)
    assert latest(settings.home).filter(~pl.col("passed")).is_empty()
    assert state(settings.home, ["events"]) == "passed"


@pytest.mark.parametrize(("step", "mark"), [("Search", "passed"), ("Resend Verification", "warning")])
def test_what_happens_to_events_that_nothing_counts_marks_no_number(
    lake: Callable[..., Settings], step: str, mark: str
) -> None:
    funnel = {"name": "one", "steps": ["Sign Up", step], "window": "7d"}
    settings = lake().model_copy(update={"funnels": (Funnel.model_validate(funnel),)})
    outcomes = record_monitoring(settings, monitoring(settings, AS_OF), checked_at=NOW)
    assert [outcome.check for outcome in outcomes if not outcome.passed] == [DRIFT]
    assert state(settings.home, ["events"]) == mark


def test_the_inferred_plan_is_followed_and_a_stricter_one_is_not(lake: Callable[..., Settings]) -> None:
    # Three weeks are enough to read the names and types.
    lately = pl.col("ts").dt.date() > LAST - timedelta(days=21)
    plan = tomllib.loads(infer_plan(profile_days(lake(lately).home)))
    assert plan_breaches(lake(lately, tracking_plan=plan)) == []
    search = next(event for event in plan["events"] if event["name"] == "Search")
    search["properties"]["results"] = {"type": "integer", "values": [0]}
    del search["properties"]["page"]
    settings = lake(lately, tracking_plan=plan)
    told = plan_breaches(settings)
    assert [line.split(";")[0] for line in told] == [
        "web · Search · page: undeclared property",
        "web · Search · results: value not allowed",
    ]
    outcomes = monitoring(settings, AS_OF).outcomes()
    assert {outcome.check for outcome in outcomes if not outcome.passed} == {PLAN}


def test_an_empty_lake_has_nothing_to_say(tmp_path: Path) -> None:
    project = {"name": "x", "home": str(tmp_path), "start": LAST}
    found = monitoring(Settings.model_validate({"project": project}), AS_OF)
    assert found.drift.is_empty()
    assert found.volumes.is_empty()
    assert all(outcome.passed for outcome in found.outcomes())
