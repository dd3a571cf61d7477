"""The step of lifecycle, stickiness, usage interval and trends."""

from pathlib import Path

import dagster as dg
import pytest

from opsanalytics.analysis.scope import Scope
from opsanalytics.assets import activity
from opsanalytics.lake.marts import mart_path
from opsanalytics_tests.analysis.test_activity_marts import CONFIG
from opsanalytics_tests.analysis.world import populated

TABLES = [table for tables, _ in activity.STEPS for table in tables]


@pytest.mark.parametrize("config", [CONFIG, ""], ids=["defined", "nothing defined"])
def test_the_step_writes_its_marts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    world = populated(tmp_path)
    world.words["overlaps"] = config
    world.land()
    scope = world.scope()
    # The lake is written without landing files, which would tell up to when it is complete.
    monkeypatch.setattr(Scope, "of", classmethod(lambda cls, settings: scope))
    done = dg.materialize([activity.use_over_time(world.settings)], instance=dg.DagsterInstance.ephemeral())
    assert done.success
    rows = {}
    for event in done.get_asset_materialization_events():
        found = event.materialization
        rows[found.asset_key.to_user_string()] = found.metadata["dagster/row_count"].value
    assert rows.keys() == {table.name for table in TABLES}
    assert all(rows.values()) == bool(config)
    assert all(mart_path(world.home, table).is_file() for table in TABLES)
