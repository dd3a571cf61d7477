"""The page of each kind of feedback file: its snippet is a configuration that reads what the page says."""

import re
from pathlib import Path

import duckdb
import pytest

from opsanalytics.config import load_settings
from opsanalytics.sources.base import FeedbackSourceSettings
from opsanalytics_tests.conftest import ROOT

PAGES = ROOT / "docs" / "sources"
PROJECT = '[project]\nname = "Docs"\nstart = 2026-01-01\n'
EXPORTS = {
    "google_forms": (
        "Timestamp,How likely are you to recommend us?,What should we improve?,What do you like?\n"
        "03/04/2026 10:00:00,9,Search,Colours\n",
        ["Search", "Colours"],
    ),
    "surveymonkey": (
        "Respondent ID,Date Created,Date Modified,Custom Data 1,"
        "How likely is it that you would recommend us to a friend or colleague?,Why?\n"
        ",,,,,Open-Ended Response\n"
        "118,03/13/2026 10:00:00 AM,03/13/2026 10:00:00 AM,u1,9,Search\n",
        ["Search"],
    ),
    "typeform_csv": (
        "#,What annoyed you?,Anything else?,How satisfied are you?,user_id,Start Date (UTC),"
        "Submit Date (UTC),Tags\n"
        "ab1,Search,,4,u1,2026-03-01 10:00:00,2026-03-01 10:05:00,\n",
        ["Search"],
    ),
    "google_play": (
        "Package Name,Review Submit Millis Since Epoch,Review Last Update Millis Since Epoch,Star Rating,"
        "Review Text,Review Link\ncom.example.app,1772359200000,1772445600000,2,Search,\n",
        ["Search"],
    ),
    "app_store_csv": ("Review Date,Stars,Customer Review\n2026-03-01,4,Search\n", ["Search"]),
}


@pytest.mark.parametrize("kind", EXPORTS)
def test_the_snippet_reads_an_export(kind: str, tmp_path: Path) -> None:
    (snippet,) = re.findall(
        r"```toml\n(.*?)```", (PAGES / f"{kind}.md").read_text(encoding="utf-8"), flags=re.S
    )
    config = tmp_path / "opsanalytics.toml"
    config.write_text(f"{PROJECT}\n{snippet}", encoding="utf-8")
    (source,) = load_settings(config).sources
    assert isinstance(source, FeedbackSourceSettings)
    assert source.kind == kind
    content, expected = EXPORTS[kind]
    export = tmp_path / "export.csv"
    export.write_text(content, encoding="utf-8")
    rows, rejected = source.read(export)
    assert ([row.text for row in rows], rejected) == (expected, [])


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "feedback-files.md").read_text(encoding="utf-8")
    assert {f"sources/{kind}.md" for kind in EXPORTS} <= set(re.findall(r"\]\(([^)]+)\)", index))


def test_the_score_is_counted_once_for_each_response() -> None:
    index = (ROOT / "docs" / "feedback-files.md").read_text(encoding="utf-8")
    (sql,) = re.findall(r"```sql\n(.*?)```", index, flags=re.S)
    with duckdb.connect() as con:
        con.execute(
            "create table feedback as from (values ('f:1:a', 'f:1', 10.0, 10.0), "
            "('f:1:b', 'f:1', 10.0, 10.0), ('f:2', null, 3.0, 10.0), ('f:3', null, 9.0, 10.0), "
            "('f:4', null, 8.0, 10.0), "
            "('g:1', null, 1.0, 5.0)) "
            "as t (feedback_id, response_id, rating, rating_max)"
        )
        assert con.execute(sql).fetchone() == (25.0,)
