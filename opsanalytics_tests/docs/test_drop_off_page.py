"""What docs/drop-off.md shows works as written."""

import re
from pathlib import Path
from typing import Any

import polars as pl

from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.config import load_settings
from opsanalytics_tests.behavior.drop_off_world import drop_off_world
from opsanalytics_tests.conftest import ROOT

PAGE = (ROOT / "docs" / "drop-off.md").read_text(encoding="utf-8")
PROJECT = 'name = "Shop"\nstart = 2026-01-01\n'
FUNNEL = '[[funnels]]\nname = "activation"\nsteps = ["sign_up", "purchase"]\nwindow = "7d"\n'


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)
    assert len(found) == 1
    return str(found[0])


def test_the_python_runs() -> None:
    told = {"open_checkout": "sign_up", "pay": "connect_bank", "card_declined": "error_shown"}
    events = drop_off_world(1, 1_000).with_columns(pl.col("event").replace(told), plan=pl.lit("pro"))
    names: dict[str, Any] = {"events": events}
    exec(compile(block("python").replace('"data"', "events"), "docs/drop-off.md", "exec"), names)
    assert names["result"].findings().height


def test_the_configuration_can_be_read(tmp_path: Path) -> None:
    config = tmp_path / "opsanalytics.toml"
    config.write_text(block("toml").replace("[project]\n", f"[project]\n{PROJECT}") + FUNNEL)
    assert [each.name for each in load_settings(config).diagnosed] == ["after_sign_up"]


def test_every_setting_is_on_the_page() -> None:
    rows = PAGE[PAGE.index("## All settings") :]
    for name in set(Diagnosis.model_fields) - {"name", "title", "funnel"}:
        assert f"`{name}`" in rows, name
