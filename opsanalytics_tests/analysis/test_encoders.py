"""Switching sentence embeddings on and off between runs."""

import logging
from pathlib import Path

import pytest

from opsanalytics.analysis.improvement import encoder_in_use
from opsanalytics.feedback import sentences
from opsanalytics.feedback.encoders import EncoderSince, read_encoders
from opsanalytics.feedback.sentences import MODEL_SHA256
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES
from opsanalytics.lake.marts import read_mart
from opsanalytics_tests.analysis.world import World, populated
from opsanalytics_tests.feedback.extra import encoder
from opsanalytics_tests.feedback.test_themes import corpus

MINILM = '\n[feedback]\nencoder = "minilm"\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = populated(tmp_path)
    for number, text in enumerate(corpus()):
        made.says(f"c{number}", number % 3, text)
    return made


def themes(world: World) -> dict[str, str]:
    rows = read_mart(world.home, FEEDBACK_THEMES).select("theme_id", "label")
    return dict(rows.iter_rows())


def test_switching_embeddings_on_keeps_the_ids_and_names_of_themes(world: World) -> None:
    encoder()
    world.refresh()
    before = themes(world)
    assert before
    assert read_encoders(world.home) == ()
    world.words["project"] = MINILM
    done = world.refresh()
    assert "encoders of themes" in done["themes"].because
    assert read_encoders(world.home) == (EncoderSince("minilm", world.as_of),)
    assert encoder_in_use(world.scope()) == "minilm"
    after = themes(world)
    assert len(before.items() & after.items()) >= len(before) - 1
    assert world.home.embeddings_file(MODEL_SHA256).exists()
    assert world.refresh()["themes"].computed == ()
    marts = world.marts()
    world.home.embeddings_file(MODEL_SHA256).unlink()
    world.home.fingerprints.rename(world.folder / "away")
    world.refresh()
    assert world.marts() == marts


def test_without_the_extra_themes_are_found_by_words_and_the_log_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.refresh()
    before = read_mart(world.home, FEEDBACK_ASSIGNMENTS)
    monkeypatch.setattr(sentences, "PACKAGES", ("no_such_package",))
    world.words["project"] = MINILM
    with caplog.at_level(logging.WARNING):
        world.refresh()
    assert read_mart(world.home, FEEDBACK_ASSIGNMENTS).equals(before)
    assert read_encoders(world.home) == ()
    assert "no_such_package" in caplog.text
    assert encoder_in_use(world.scope()).startswith("tfidf: minilm is configured, but no_such_package")
