"""The closed loop of a home: accepted, frozen, shipped, judged, remembered; what people decide goes first."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from opsanalytics.analysis.backlog import current_backlog, decide_about, record_shipped
from opsanalytics.analysis.marts import backlog_marts, improvement_marts, theme_marts, verification_marts
from opsanalytics.analysis.refresh import Refreshed
from opsanalytics.analysis.releases import apply_releases
from opsanalytics.analysis.scope import Scope
from opsanalytics.config import Settings, load_settings
from opsanalytics.improvement.decision_log import read_log
from opsanalytics.improvement.verification.plan_log import read_plans
from opsanalytics.improvement.verification.tables import CALIBRATION, PREDICTION_LEDGER, VERIFICATIONS
from opsanalytics.lake.day_prints import day_prints
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.marts import read_mart
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS
from opsanalytics_tests.simulators.fixes import World, events_of

CONFIG = """
[project]
name = "Shop"
start = 2026-01-05

[[sources]]
kind = "mixpanel"
name = "web"
project_id = "1"
username_env = "NONE"
secret_env = "NONE"

[[funnels]]
name = "onboarding"
window = "3d"
steps = ["sign_up", "connect", "pay"]

[friction]
error_events = ["error_shown"]
"""
WORLD = World(affected=40, unaffected=70, before=63, after=50)


@dataclass
class Shop:
    """A home whose data is complete up to any moment a test wants."""

    folder: Path
    more: str = ""

    @property
    def settings(self) -> Settings:
        path = self.folder / "opsanalytics.toml"
        path.write_text(CONFIG + self.more, encoding="utf-8")
        return load_settings(path)

    def run(self, day: date) -> Mapping[str, Refreshed]:
        """What a run does whose data is complete up to the beginning of a day."""
        settings = self.settings
        as_of = datetime.combine(day, time(), UTC)
        scope = Scope(settings, as_of, day_prints(settings.home)).until(as_of)
        steps = {
            "themes": theme_marts, "improvement": improvement_marts,
            "verification": verification_marts, "backlog": backlog_marts,
        }  # fmt: skip
        return {name: step(scope) for name, step in steps.items()}

    def decide(self, action: str, day: date, by: str = "Ann", **details: Any) -> None:
        decide_about(
            self.settings, [self.item], action, details, at=datetime.combine(day, time(9), UTC), by=by
        )

    @property
    def item(self) -> str:
        items = current_backlog(self.settings).items.filter(pl.col("lane") == "behaviour")
        return str(items["item_id"][0])

    def standing(self) -> dict[str, Any]:
        return current_backlog(self.settings).items.filter(pl.col("item_id") == self.item).row(0, named=True)

    def verdict(self) -> dict[str, Any]:
        return read_mart(self.settings.home, VERIFICATIONS).row(0, named=True)


def lake(folder: Path, *, fixed: bool) -> None:
    home = Home(folder / "data")
    events = events_of(np.random.default_rng(3), WORLD, fixed=fixed)
    version = pl.when(pl.col("ts").dt.date() >= WORLD.shipped).then(pl.lit("2.0")).otherwise(pl.lit("1.0"))
    rows = events.with_row_index("number").select(
        event_id=pl.format("e{}", "number"),
        source=pl.lit("web"),
        event="event",
        source_event="event",
        ts="ts",
        distinct_id="person",
        user_id="person",
        platform="platform",
        app_version=version,
        properties=pl.lit("{}"),
        ingest_run=pl.lit("test@1"),
    )
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in EVENTS.schema.items() if name not in rows]
    rows = rows.with_columns(missing)
    for (day,), part in rows.group_by(pl.col("ts").dt.date()):
        write_parquet(home.events_file("web", day), EVENTS.conform(part))  # type: ignore[arg-type]
    persons = events.select("person").unique().sort("person").select(
        source=pl.lit("web"), id_kind=pl.lit("user"), id="person", person="person", rule=pl.lit("user_id"),
        since=pl.lit(datetime(2026, 1, 1, tzinfo=UTC)),
    )  # fmt: skip
    write_parquet(home.identity / "persons.parquet", PERSONS.conform(persons))


@pytest.fixture(scope="module", params=[True, False], ids=["fixed", "unchanged"])
def landed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bool, Path]:
    folder = tmp_path_factory.mktemp("shop")
    lake(folder, fixed=request.param)
    Shop(folder).run(WORLD.shipped)
    return request.param, folder


@pytest.fixture
def shop(landed: tuple[bool, Path], tmp_path: Path) -> Shop:
    shutil.copytree(landed[1], tmp_path / "shop")
    return Shop(tmp_path / "shop")


@pytest.fixture
def fixed(landed: tuple[bool, Path]) -> bool:
    return landed[0]


@pytest.mark.slow
def test_the_loop_closes(shop: Shop, fixed: bool) -> None:
    shop.decide("accept", WORLD.shipped)
    (frozen,) = read_plans(shop.settings.home).versions
    assert (frozen.by, frozen.because, frozen.plan.method) == ("Ann", "accepted", "difference")
    assert frozen.plan.expected is not None
    shop.decide("ship", WORLD.shipped + timedelta(days=1), on=str(WORLD.shipped))

    early = shop.run(WORLD.shipped + timedelta(days=10))["verification"].frames
    assert early[VERIFICATIONS.name]["outcome"].to_list() == ["verifying"]
    assert shop.standing()["state"] == "verifying"
    assert "next look on 2026-03-25" in shop.standing()["note"]

    shop.run(WORLD.shipped + timedelta(days=46))
    verdict, standing = shop.verdict(), shop.standing()
    assert verdict["plan_hash"] == frozen.hash
    assert read_plans(shop.settings.home).versions == (frozen,)
    if fixed:
        assert verdict["outcome"] == standing["state"] == "worked"
        assert standing["state_by"] == "opsanalytics"
        assert verdict["change_low"] < 0.15 < verdict["change_high"]
        assert standing["verdict"].startswith("worked: +")
    else:
        assert verdict["outcome"] == standing["state"] == "did_not_work"
        assert standing["stage"] == "open"
        # Taken on again, it is promised anew: the first plan was used up.
        shop.decide("accept", WORLD.shipped + timedelta(days=47))
        again = read_plans(shop.settings.home).latest[frozen.item_id]
        assert (again.version, again.because) == (2, "accepted")
    ledger = read_mart(shop.settings.home, PREDICTION_LEDGER)
    assert ledger.height == 1
    assert ledger["agrees"][0] == fixed
    assert (ledger["measured_value"][0] > 5) == fixed
    calibration = read_mart(shop.settings.home, CALIBRATION).row(0, named=True)
    assert calibration["entries"] == 1
    assert (calibration["factor"] > 1) == fixed
    assert abs(calibration["factor"] - 1) < 0.3
    assert "too few" in calibration["told"]
    assert "by the ledger" in standing["confidence_reason"]


@pytest.mark.slow
def test_a_run_that_is_repeated_changes_nothing(shop: Shop) -> None:
    shop.decide("accept", WORLD.shipped)
    shop.decide("ship", WORLD.shipped, on=str(WORLD.shipped))
    first = shop.run(WORLD.shipped + timedelta(days=46))
    decisions, plans = read_log(shop.settings.home).decisions, read_plans(shop.settings.home)
    again = shop.run(WORLD.shipped + timedelta(days=46))
    assert all(again[name].unchanged for name in ("verification", "backlog"))
    shutil.rmtree(shop.settings.home.marts)
    anew = shop.run(WORLD.shipped + timedelta(days=46))
    for name in ("verification", "backlog"):
        for table, frame in first[name].frames.items():
            assert anew[name].frames[table].equals(frame), table
    assert read_log(shop.settings.home).decisions == decisions
    assert read_plans(shop.settings.home) == plans


@pytest.mark.slow
def test_people_overrule_verdicts_and_never_the_other_way(shop: Shop, fixed: bool) -> None:
    shop.decide("ship", WORLD.shipped, on=str(WORLD.shipped))
    (frozen,) = read_plans(shop.settings.home).versions
    assert frozen.because == "shipped"
    shop.run(WORLD.shipped + timedelta(days=46))
    wanted = "did_not_work" if fixed else "worked"
    shop.decide(wanted, WORLD.shipped + timedelta(days=47), "Bo", reason="we asked users")
    shop.run(WORLD.shipped + timedelta(days=48))
    standing = shop.standing()
    assert (standing["state"], standing["state_by"]) == (wanted, "Bo")
    assert standing["verdict"].startswith("worked" if fixed else "did not work")


@pytest.mark.slow
def test_where_checks_failed_the_verdict_is_withheld(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.decide("ship", WORLD.shipped, on=str(WORLD.shipped))
    shop.run(WORLD.shipped + timedelta(days=46))
    before = shop.standing()["state"]
    monkeypatch.setattr(Scope, "event_quality", "failed")
    shop.run(WORLD.shipped + timedelta(days=47))
    verdict = shop.verdict()
    assert (verdict["outcome"], verdict["change"]) == ("withheld", None)
    assert "failed a blocking check" in verdict["reason"]
    # What was found before stays, said to be of then.
    assert shop.standing()["state"] == before
    assert "not judged again" in shop.standing()["note"]


@pytest.mark.slow
def test_a_release_ships_its_items_once(shop: Shop) -> None:
    item = shop.item
    shop.more = f'\n[[releases]]\nname = "2.0"\nitems = ["{item}", "PP-00000000"]\napp_version = "2.0"\n'
    shop.run(WORLD.shipped)
    assert read_log(shop.settings.home).decisions == ()
    shop.run(WORLD.shipped + timedelta(days=2))
    (shipped,) = read_log(shop.settings.home).decisions
    assert (shipped.by, shipped.action, shipped.details["on"]) == ("release 2.0", "ship", str(WORLD.shipped))
    shop.decide("reopen", WORLD.shipped + timedelta(days=3))
    shop.run(WORLD.shipped + timedelta(days=4))
    assert shop.standing()["state"] != "verifying"
    day = WORLD.shipped + timedelta(days=5)
    at = datetime.combine(day, time(), UTC)
    assert record_shipped(shop.settings, item, day, at=at, by="release 2.0", reason="again") == []
    (closed,) = record_shipped(shop.settings, item, day, at=at, by="github", reason="closed")
    assert closed.details["on"] == str(day)
    assert apply_releases(Scope(shop.settings, at, day_prints(shop.settings.home)).until(at)) == []
