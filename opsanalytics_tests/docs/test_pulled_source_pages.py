"""The pages about pulled sources: their configuration loads, and they name every variable it needs."""

import re
from pathlib import Path

import pytest

from opsanalytics.config import load_settings
from opsanalytics.sources.paging import ApiFeedbackSourceSettings
from opsanalytics_tests.conftest import ROOT
from opsanalytics_tests.sources.desks import ENVIRON, NOW

PAGES = ("zendesk", "intercom", "typeform_api", "app_store_connect")
PROJECT = '[project]\nname = "Documented"\nstart = 2026-01-01\n\n'


@pytest.mark.parametrize("kind", PAGES)
def test_the_configuration_of_the_page_pulls(tmp_path: Path, kind: str) -> None:
    page = (ROOT / "docs" / "sources" / f"{kind}.md").read_text(encoding="utf-8")
    path = tmp_path / "opsanalytics.toml"
    path.write_text(PROJECT + "\n".join(re.findall(r"```toml\n(.*?)```", page, flags=re.S)))
    (source,) = load_settings(path).feedback_sources
    assert source.kind == kind
    assert isinstance(source, ApiFeedbackSourceSettings)
    assert source.pulls
    source.credentials({name: value for name, value in ENVIRON.items() if name in page}, NOW)
