"""The preset `clickhouse` equals ClickHouse itself, embedded, in every mode; on random and on real events."""

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.spec import Funnel
from opsanalytics_tests.behavior.examples import START
from opsanalytics_tests.conftest import skip_or_fail


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if importlib.util.find_spec("chdb") is None:
        skip_or_fail("embedded ClickHouse is not installed: make extras")


LATER = datetime(2100, 1, 1, tzinfo=UTC)
# Not strict_once with strict_deduplication: there ClickHouse's result depends on the order of tied rows.
MODES = [
    "",
    "strict_order",
    "strict_deduplication",
    "strict_increase",
    "strict_once",
    "strict_order,allow_reentry",
    "strict_order,strict_increase",
    "strict_once,strict_increase",
    "strict_once,strict_order",
    "strict_order,allow_reentry,strict_once",
]


def levels(path: Path, conditions: list[str], modes: str, window: int) -> list[tuple[str, int]]:
    """Person and level, by ClickHouse."""
    options = "".join(f", '{mode}'" for mode in modes.split(",") if mode)
    query = (
        f"select person, windowFunnel({window}{options})(ts, {', '.join(conditions)}) as level "
        f"from (select * from file('{path}', Parquet) order by ts) group by person having level > 0 "
        "order by person settings max_threads = 1"
    )
    import chdb

    lines = str(chdb.query(query, "TSV")).splitlines()
    return [(person, int(level)) for person, level in (line.split("\t") for line in lines)]


def ours(events: pl.DataFrame, definition: Funnel, modes: str) -> list[tuple[str, int]]:
    preset = f"clickhouse:{modes}" if modes else "clickhouse"
    found = funnel(events, definition, as_of=LATER, preset=preset).persons
    return found.select("person", "step_reached").sort("person").rows()


@pytest.fixture(scope="module")
def random_events(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Path]:
    """Few events of many persons, with ties and events that match several steps."""
    random = np.random.default_rng(11)
    n = 24_000
    events = pl.DataFrame(
        {
            "person": pl.Series(random.integers(0, 4_000, n)).cast(pl.String).str.zfill(4),
            "event": "E",
            "second": random.integers(0, 12, n),
            "tag": pl.Series(random.choice(["a", "b", "c", "ab", "bc", "ac", "abc", "o"], n)),
        }
    ).with_columns(ts=pl.lit(START) + pl.duration(seconds="second"))
    path = tmp_path_factory.mktemp("random") / "events.parquet"
    flat = events.select("person", "tag", ts=pl.col("ts").dt.epoch("s").cast(pl.UInt64))
    flat.write_parquet(path)
    return events, path


@pytest.mark.parametrize("modes", MODES)
def test_random_events(random_events: tuple[pl.DataFrame, Path], modes: str) -> None:
    events, path = random_events
    steps = [
        {"event": "E", "where": {"property": "tag", "op": "contains", "value": letter}} for letter in "abc"
    ]
    definition = Funnel(name="f", steps=steps, window="6s")
    theirs = levels(path, [f"position(tag, '{letter}') > 0" for letter in "abc"], modes, 6)
    assert len(theirs) > 1_000
    assert ours(events, definition, modes) == theirs


@pytest.mark.parametrize("modes", ["", "strict_order", "strict_increase", "strict_deduplication"])
def test_badges_of_real_people(real: Callable[[str], Path], modes: str, tmp_path: Path) -> None:
    steps = ["Popular Question", "Notable Question", "Famous Question"]
    events = pl.read_parquet(real("stackoverflow_badges")).rename({"user_id": "person"})
    path = tmp_path / "events.parquet"
    events.select("person", "event", ts=pl.col("ts").dt.epoch("us").cast(pl.UInt64)).write_parquet(path)
    definition = Funnel(name="f", steps=steps, window="7d")
    theirs = levels(path, [f"event = '{step}'" for step in steps], modes, 7 * 86_400 * 1_000_000)
    assert len(theirs) > 1_000
    assert ours(events, definition, modes) == theirs
