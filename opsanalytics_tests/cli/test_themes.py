"""`opsanalytics themes`: what people decide shows, and stays."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics.feedback.decisions import read_decisions
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES, THEME_HISTORY
from opsanalytics.feedback.themes import find_themes
from opsanalytics.lake.marts import write_mart
from opsanalytics.lake.paths import Home
from opsanalytics_tests.feedback.messages import messages
from opsanalytics_tests.feedback.test_themes import AS_OF, corpus

CONFIG = '[project]\nname = "Shop"\nstart = 2026-01-01\n'


class Shop:
    """A home with themes, and the command."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "data")
        self.config = folder / "opsanalytics.toml"
        self.config.write_text(CONFIG)
        self.run()

    def run(self) -> pl.DataFrame:
        found = find_themes(messages(corpus()), as_of=AS_OF, decisions=read_decisions(self.home))
        write_mart(self.home, FEEDBACK_ASSIGNMENTS, found.assignments)
        write_mart(self.home, THEME_HISTORY, found.history)
        return write_mart(self.home, FEEDBACK_THEMES, found.themes)

    def __call__(self, *words: str, code: int = 0) -> Result:
        ran = CliRunner().invoke(cli, ["themes", *words, "--config", str(self.config)])
        assert ran.exit_code == code, ran.output
        return ran


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("OPSANALYTICS_CONFIG", str(tmp_path / "opsanalytics.toml"))
    return Shop(tmp_path)


def listed(shop: Shop, *options: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in shop("list", "--json", *options).output.splitlines()]


def test_a_theme_is_renamed_pinned_and_muted(shop: Shop) -> None:
    first, second, third = (str(row["theme_id"]) for row in listed(shop)[:3])
    shop("rename", first, "Bank  trouble")
    shop("mute", second)
    shop("pin", third)
    shop.run()
    rows = listed(shop)
    assert rows[0]["theme_id"] == third
    assert "Bank trouble" in [row["label"] for row in rows]
    assert second not in [row["theme_id"] for row in rows]
    assert second in [row["theme_id"] for row in listed(shop, "--muted")]


def test_a_decision_is_taken_back(shop: Shop) -> None:
    before = listed(shop)
    shop("rename", str(before[0]["theme_id"]), "Other")
    (decision,) = (json.loads(line) for line in shop("decisions", "--json").output.splitlines())
    shop("undo", str(decision["seq"]))
    shop.run()
    assert listed(shop) == before
    assert shop("decisions").output == ""


def test_a_merged_theme_shows_where_it_went(shop: Shop) -> None:
    first, second = (str(row["theme_id"]) for row in listed(shop)[:2])
    shop("merge", second, first)
    shop.run()
    assert "merged_by_people" in shop("show", first).output
    assert "there is no theme" in shop("show", second, code=1).output


def test_keywords_make_a_theme(shop: Shop) -> None:
    shop("keyword", "Exports", "export*", "csv file", "--none", "umlauts")
    shop.run()
    (row,) = (row for row in listed(shop) if row["origin"] == "keyword")
    assert row["label"] == "Exports"
    assert "Exports" in shop("list").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rename", "TH-none", "x"), "there is no theme TH-none"),
        (("undo", "7"), "no decision 7"),
        (("keyword", "All", "***"), "name a word"),
    ],
)
def test_what_makes_no_sense_is_refused(shop: Shop, words: tuple[str, ...], says: str) -> None:
    assert says in shop(*words, code=1).output
    assert read_decisions(shop.home) == ()
