"""A small product whose lake a test changes at will."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from opsanalytics.analysis.marts import (
    backlog_marts,
    definition_mart,
    funnel_marts,
    improvement_marts,
    monitoring_marts,
    retention_marts,
    theme_marts,
    verification_marts,
)
from opsanalytics.analysis.refresh import Refreshed
from opsanalytics.analysis.scope import Scope
from opsanalytics.analysis.sources import comparison_mart
from opsanalytics.config import Settings, load_settings
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.day_prints import day_prints
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import event, feedback, write_events, write_feedback

FIRST = date(2026, 9, 7)
AS_OF = datetime(2026, 9, 12, tzinfo=UTC)
CONFIG = """
[project]
name = "Shop"
start = 2026-09-07
{project}

[[sources]]
kind = "mixpanel"
name = "web"
project_id = "1"
username_env = "NONE"
secret_env = "NONE"

[[sources]]
kind = "mixpanel"
name = "app"
project_id = "2"
username_env = "NONE"
secret_env = "NONE"
{overlaps}
[[funnels]]
name = "buy"
window = "{window}"
steps = ["sign_up", "purchase"]

[[funnels]]
name = "buy_in_app"
window = "1d"
sources = ["app"]
steps = ["sign_up", "purchase"]

[[retentions]]
name = "back"
start = "sign_up"
returning = "purchase"
period = "day"
periods = 3

[[segments]]
name = "platform"
property = "platform"
"""

STEPS: dict[str, Callable[[Scope], Refreshed]] = {
    "monitoring": monitoring_marts,
    "funnels": funnel_marts,
    "definitions": definition_mart,
    "retention": retention_marts,
    "themes": theme_marts,
    "improvement": improvement_marts,
    "verification": verification_marts,
    "backlog": backlog_marts,
    "sources": comparison_mart,
}


@dataclass
class World:
    """Events by id, feedback by id, and the words of the configuration."""

    folder: Path
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    as_of: datetime = AS_OF
    words: dict[str, str] = field(default_factory=lambda: {"project": "", "overlaps": "", "window": "2d"})

    @property
    def home(self) -> Home:
        return Home(self.folder / "data")

    @property
    def settings(self) -> Settings:
        path = self.folder / "opsanalytics.toml"
        path.write_text(CONFIG.format(**self.words), encoding="utf-8")
        return load_settings(path)

    def happens(self, event_id: str, day: int, name: str = "sign_up", **fields: Any) -> None:
        """An event at noon of the day so many days after FIRST."""
        self.events[event_id] = event(event_id, FIRST + timedelta(days=day), event=name, **fields)

    def says(self, feedback_id: str, day: int, text: str, **fields: Any) -> None:
        ts = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC) + timedelta(days=day)
        self.said[feedback_id] = feedback(feedback_id, ts=ts, text=text, **fields)

    def land(self) -> None:
        """Make the lake hold just this."""
        files: dict[tuple[str, date], list[dict[str, Any]]] = {}
        for row in self.events.values():
            files.setdefault((row["source"], row["ts"].date()), []).append(row)
        for path in self.home.events.glob("day=*/*.parquet"):
            if (path.stem, date.fromisoformat(path.parent.name.removeprefix("day="))) not in files:
                path.unlink()
        for (source, day), rows in files.items():
            write_events(self.home, rows, day, source)
        write_feedback(self.home, list(self.said.values()))
        rebuild(self.home, ["web", "app"])

    def scope(self) -> Scope:
        return Scope(self.settings, self.as_of, day_prints(self.home)).until(self.as_of)

    def refresh(self) -> Mapping[str, Refreshed]:
        """Run every step that writes marts."""
        self.land()
        scope = self.scope()
        return {name: step(scope) for name, step in STEPS.items()}

    def marts(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.home.marts.glob("*.parquet"))}


def populated(folder: Path) -> World:
    """Twelve people over five days, some with both vendors."""
    world = World(folder)
    for number in range(12):
        source = "app" if number % 3 == 0 else "web"
        user = {"user_id": f"u{number}", "distinct_id": f"u{number}", "platform": f"p{number % 2}"}
        world.happens(f"s{number}", number % 4, source=source, **user)
        if number % 2:
            world.happens(f"b{number}", number % 4 + 1, "purchase", source=source, **user)
    anonymous = {"user_id": None, "device_id": "d1", "distinct_id": None}
    world.happens("a1", 0, source="web", **anonymous)
    world.says("f1", 1, "The export never ends.", user_id="u1")
    return world
