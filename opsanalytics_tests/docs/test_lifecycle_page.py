"""What docs/lifecycle.md shows works as written."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from opsanalytics.config import load_settings
from opsanalytics_tests.conftest import ROOT

PAGE = (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)
    assert len(found) == 1
    return str(found[0])


def test_the_python_runs() -> None:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    rows = [
        (f"p{i % 7}", ("visit", "purchase")[i % 3 == 0], start + timedelta(hours=11 * i), "web", 2.0)
        for i in range(120)
    ]
    events = pl.DataFrame(
        rows,
        schema={
            "person": pl.String,
            "event": pl.String,
            "ts": pl.Datetime("us", "UTC"),
            "platform": pl.String,
            "revenue": pl.Float64,
        },
        orient="row",
    )
    names = {"events": events}
    exec(compile(block("python"), "docs/lifecycle.md", "exec"), names)
    assert names["cycle"].to_polars().height
    assert names["sticky"].days().height


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "opsanalytics.toml"
    file.write_text('[project]\nname = "p"\nstart = 2026-03-02\n\n' + block("toml"), encoding="utf-8")
    settings = load_settings(file)
    commands = re.findall(r"^opsanalytics (\S+) (\S+)", block("console"), flags=re.M)
    sections = {
        "lifecycle": settings.lifecycles,
        "stickiness": settings.stickiness,
        "usage-interval": settings.usage_intervals,
        "trends": settings.trends,
    }
    assert {name: {each.name for each in sections[name]} for name, _ in commands} == {
        name: {asked} for name, asked in commands
    }
