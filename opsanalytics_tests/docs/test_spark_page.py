"""What docs/spark.md shows works as written."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import PERSONS
from opsanalytics_tests.conftest import ROOT
from opsanalytics_tests.samples import event, frame, person, write_events
from opsanalytics_tests.spark.conftest import session as session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_python_runs(
    session: "SparkSession",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (ROOT / "docs" / "spark.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, flags=re.S)
    assert code
    home = Home(tmp_path / "data")
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for day in range(20):
        rows = [
            event(
                f"{day}-{at}",
                event=("sign_up", "purchase")[day % 2],
                ts=start + timedelta(days=day, hours=at),
                user_id=f"u{at}",
                platform="ios",
            )
            for at in range(5)
        ]
        write_events(home, rows, (start + timedelta(days=day)).date())
    mapping = [person("user", f"u{at}", f"p{at}") for at in range(5)]
    write_parquet(home.identity / "persons.parquet", frame(PERSONS, mapping))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code[1], "docs/spark.md", "exec"), names)
    assert "5 of 5" in capsys.readouterr().out
    assert (tmp_path / "funnel.html").is_file()
