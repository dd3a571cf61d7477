"""Pulled feedback as Dagster and the command line run it."""

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from opsanalytics.assets.ingestion import feedback_landing
from opsanalytics.cli.setup import check
from opsanalytics.config import Settings, load_settings
from opsanalytics_tests.simulators.faulty import FaultSchedule, FaultySimulator, wrong_auth
from opsanalytics_tests.sources.desks import ENVIRON, TOMORROW, ZENDESK, arrived

CONFIG = """
[project]
name = "Desk"
home = "data"
start = 2026-03-01

[[sources]]
kind = "zendesk"
name = "desk"
subdomain = "acme"
base_url = "{url}"
page_size = 10
requests_per_minute = 1000
start = 2026-01-01
"""


def configured(folder: Path, url: str) -> Settings:
    path = folder / "opsanalytics.toml"
    path.write_text(CONFIG.format(url=url))
    return load_settings(path)


def materialize(settings: Settings) -> dg.ExecuteInProcessResult:
    asset = feedback_landing(settings, settings.feedback_sources[0])
    return dg.materialize([asset], instance=dg.DagsterInstance.ephemeral(), raise_on_error=False)


def test_the_landing_asset_pulls_and_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    desk = ZENDESK.make(15)
    with FaultySimulator(*ZENDESK.vendors(desk), clock=lambda: TOMORROW) as simulator:
        settings = configured(tmp_path, simulator.url)
        result = materialize(settings)
        assert result.success
        (made,) = result.asset_materializations_for_node("landing__desk")
        assert made.metadata["dagster/row_count"].value == 15
        assert made.metadata["new pages and documents"].value == 2 + 3  # comments of three tickets
        source = settings.feedback_sources[0]
        assert arrived(source, settings.home) == desk.truth()  # type: ignore[arg-type]


def checked(folder: Path, environ: dict[str, str]) -> str:
    return CliRunner().invoke(check, ["--config", str(folder / "opsanalytics.toml")], env=environ).output


def test_check_tries_the_credentials(tmp_path: Path) -> None:
    desk = ZENDESK.make(3)
    faults = FaultSchedule().on("zendesk", 2, wrong_auth())
    with FaultySimulator(*ZENDESK.vendors(desk), faults=faults) as simulator:
        configured(tmp_path, simulator.url)
        assert "source desk: the vendor answered with" in checked(tmp_path, ENVIRON)
        assert "Check ZENDESK_EMAIL" in checked(tmp_path, ENVIRON)
        missing = checked(tmp_path, dict.fromkeys(ENVIRON, ""))
    assert "set the environment variable(s) ZENDESK_EMAIL, ZENDESK_API_TOKEN" in missing
    assert len(simulator.log) == 2
