"""A small product behind a local vendor server, and its configuration."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.demo.product import generate
from opsanalytics.demo.runner import CREDENTIALS
from opsanalytics.demo.simulator import AmplitudeProject, MixpanelProject, drop_feedback
from opsanalytics.lake.paths import Home
from opsanalytics_tests.conftest import Ran, run_command
from opsanalytics_tests.simulators.faulty import FaultSchedule, FaultySimulator

FIRST, LAST = date(2026, 8, 24), date(2026, 9, 13)


@dataclass
class Product:
    """Three weeks of the generated product, served over HTTP, with a workspace to pull it into."""

    folder: Path
    simulator: FaultySimulator
    faults: FaultSchedule
    web: pl.DataFrame
    mobile: pl.DataFrame
    environment: dict[str, str] = field(default_factory=lambda: dict(CREDENTIALS))

    @property
    def home(self) -> Home:
        return Home(self.folder / "data")

    def run(self, *arguments: str, timeout: float = 300) -> Ran:
        """`opsanalytics ARGUMENTS` in the workspace."""
        return run_command(*arguments, cwd=self.folder, env=self.environment, timeout=timeout)

    def files(self, *folders: str) -> dict[str, bytes]:
        """Contents below folders of the home, by path; what Dagster and locks keep is not asked for."""
        found: dict[str, bytes] = {}
        for name in folders:
            for path in sorted((self.home.root / name).rglob("*")):
                if path.is_file():
                    found[str(path.relative_to(self.home.root))] = path.read_bytes()
        return found


def differing(before: dict[str, bytes], after: dict[str, bytes], *, but: str = "") -> dict[str, object]:
    """Files that are not the same to the byte, and how; those whose path holds `but` apart."""
    found: dict[str, object] = {}
    for name in sorted(before.keys() | after.keys()):
        if (but and but in name) or before.get(name) == after.get(name):
            continue
        tables = [
            pl.read_parquet(BytesIO(files[name])) if name in files and name.endswith(".parquet") else None
            for files in (before, after)
        ]
        first, second = tables
        if first is None or second is None:
            found[name] = (
                "only before" if name not in after else "only after" if name not in before else "changed"
            )
        elif first.equals(second):
            found[name] = "equal rows, other bytes"
        elif first.height != second.height:
            found[name] = f"{first.height} rows before, {second.height} after"
        else:
            columns = [name for name in first.columns if not first[name].equals(second[name])]
            rows = pl.any_horizontal(pl.lit(False), *(pl.Series(first[c] != second[c]) for c in columns))
            found[name] = (columns, first.filter(rows).head(3).rows(), second.filter(rows).head(3).rows())
    return found


@pytest.fixture(scope="session")
def tables() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Web events, mobile events and feedback of the first three weeks."""
    product = generate()
    end = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC)
    return (
        product.web_events.filter(pl.col("ts") < end),
        product.mobile_events.filter(pl.col("ts") < end),
        product.feedback.filter(pl.col("created_at") < end),
    )


@pytest.fixture
def product(tmp_path: Path, tables: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]) -> Iterator[Product]:
    web, mobile, feedback = tables
    faults = FaultSchedule()
    uploads_until = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC)
    vendors = (MixpanelProject(web), AmplitudeProject(mobile, uploads_until=uploads_until))
    with FaultySimulator(*vendors, faults=faults) as simulator:
        text = files("opsanalytics.demo").joinpath("configs", "generated.toml").read_text(encoding="utf-8")
        text = text.replace("{{ base_url }}", simulator.url).replace("end = 2026-11-15", f"end = {LAST}")
        text = text.replace('window = "14d"', 'window = "7d"')
        (tmp_path / "opsanalytics.toml").write_text(text, encoding="utf-8")
        made = Product(tmp_path, simulator, faults, web, mobile)
        dumps = drop_feedback(feedback, made.home.inbox("survey"), name="survey")
        for dump in dumps:
            os.utime(dump, (dump.stat().st_atime, dump.stat().st_mtime - 3600))
        yield made
