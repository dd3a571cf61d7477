"""Two vendors and a survey that know some of the same people, landed and cleaned."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from opsanalytics.analysis.catalogue import published_tables
from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.config import Settings
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.lake.publish import publish
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.collecting import collect
from opsanalytics_tests.cleaning.test_clean_events import DAY, event, land, sent
from opsanalytics_tests.cleaning.test_clean_feedback import COLUMNS, HEADER, NOW

KEY = {"PRIVACY_KEY": "a long random text"}
ANN, BOB = "ann-50012345", "bob-50054321"
PHONE, LAPTOP, SHARED = "device-ann-phone", "device-bob-laptop", "device-at-home"
ADDRESS = "ann@example.org"


@dataclass
class World:
    """A home folder with its configuration."""

    settings: Settings

    @property
    def home(self) -> Home:
        return self.settings.home

    def source(self, name: str) -> Any:
        return next(source for source in self.settings.sources if source.name == name)

    def land_web(self, *, hour: int = 0, name: str | None = None) -> None:
        land(
            self.home,
            web_lines(),
            DAY,
            DAY + timedelta(days=1),
            settings=self.source("web"),
            hour=hour,
            name=name,
        )

    def land_app(self) -> None:
        land(self.home, app_lines(), DAY, settings=self.source("app"))

    def deliver(self, name: str = "dump.csv") -> None:
        path = self.home.inbox("survey") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(survey_lines())

    def refresh(self, environ: dict[str, str] | None = None) -> None:
        """What a run does with what has landed."""
        rules = self.settings.privacy_rules(environ or {})
        collect(self.source("survey"), self.home, now=NOW, quiet_seconds=0)
        for name in ("web", "app"):
            clean_events(self.source(name), self.home, {}, privacy=rules.get(name))
        clean_feedback(self.source("survey"), self.home, privacy=rules.get("survey"))
        rebuild(self.home, ["web", "app"])
        publish(self.home, published_tables(self.home))

    def balances(self) -> bool:
        ledger = build_ledger(self.home, self.settings.sources)
        manifests = [each for source in self.settings.sources for each in deliveries(self.home, source.name)]
        return unreconciled(ledger, manifests).is_empty()


def web_lines() -> list[bytes]:
    def on(n: int, user: str | None, device: str, **more: Any) -> bytes:
        own = {"$user_id": user} if user else {}
        return event(n, distinct_id=user or f"$device:{device}", **{"$device_id": device}, **own, **more)

    return [
        on(1, None, PHONE, **{"$current_url": "https://x.example/a?q=1"}),
        on(2, ANN, PHONE, email="Ann@Example.org", plan="pro", digits=1234567890123456789, price=1.10),
        on(3, ANN, SHARED),
        on(4, None, SHARED),
        on(5, BOB, SHARED, note="still here"),
        on(6, BOB, LAPTOP, invited_by=ANN, page=f"/people/{ANN}/edit"),
        on(7, BOB, LAPTOP, day=DAY + timedelta(days=1)),
        b'{"event": "Paid", "properties": {"distinct_id": "%s", "time": ' % ANN.encode(),
        b'{"event": 1, "properties": {"distinct_id": "nobody"}}',
    ]


def app_lines() -> list[bytes]:
    return [
        sent(1, uuid="a1", user_id=ANN, device_id="tablet-of-ann", amplitude_id=900100200),
        sent(2, uuid="a2", user_id=None, device_id="tablet-of-ann", amplitude_id=900100200),
        sent(3, uuid="a3", user_id=BOB, device_id="tablet-of-bob", amplitude_id=900100999),
    ]


def survey_lines() -> bytes:
    rows = [
        f'1,2026-03-01T12:00:00Z,Slow,"It is, ""very"" slow",2,{ADDRESS},{ANN},en,',
        f'2,2026-03-01T13:00:00Z,Fine,"Two\r\nlines",9,bob@example.org,{BOB},en,asked {ANN} too',
        f"3,2026-03-02T12:00:00Z,Again,I wrote before,3,{ADDRESS.upper()},,en,",
        "4,2026-03-02T12:00:00Z,Broken,fine,eleven,eve@example.org,eve-50099999,en,",
        f"5,2026-03-02T12:00:00Z,Broken,fine,eleven,{ADDRESS},{ANN},en,",
    ]
    return ("\r\n".join([HEADER, *rows]) + "\r\n").encode("utf-8-sig")


def configured(folder: Path, privacy: dict[str, Any] | None = None) -> Settings:
    return Settings.model_validate(
        {
            "project": {"name": "Test", "home": str(folder / "data"), "start": date(2026, 3, 1)},
            "sources": [
                {"kind": "mixpanel", "name": "web", "project_id": "1", "base_url": "http://x"},
                {"kind": "amplitude", "name": "app", "base_url": "http://x"},
                {"kind": "feedback_csv", "name": "survey", "columns": COLUMNS, "rating_scale": [0, 10]},
            ],
            "privacy": privacy or {},
        }
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(configured(tmp_path))
    made.land_web()
    made.land_app()
    made.deliver()
    made.refresh()
    return made
