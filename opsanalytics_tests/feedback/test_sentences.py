"""Themes by sentence embeddings, with the real model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from opsanalytics.feedback import sentences
from opsanalytics.feedback.communities import communities, nearest
from opsanalytics.feedback.encoders import (
    ALWAYS,
    EncoderSince,
    encoder_at,
    put_in_force,
    read_encoders,
)
from opsanalytics.feedback.sentences import EncoderMissingError, Halves, SentenceEncoder
from opsanalytics.feedback.themes import ThemeSettings, find_themes
from opsanalytics.feedback.vector_cache import cached
from opsanalytics.lake.paths import Home
from opsanalytics_tests.feedback.extra import encoder
from opsanalytics_tests.feedback.messages import START, messages
from opsanalytics_tests.feedback.test_languages import SAID
from opsanalytics_tests.feedback.test_registry import as_of, found, ids, names, week
from opsanalytics_tests.feedback.test_themes import corpus

MINILM = ThemeSettings(encoder="minilm")
SWITCHED = (EncoderSince("tfidf"), EncoderSince("minilm", as_of(2)))
REFUNDS = [
    "I want my money back",
    "How do I get reimbursed?",
    "Please refund me",
    "Give me back what I paid",
    "You owe me a repayment",
    "I would like a refund of my purchase",
]
CRASHES = [
    "The app crashes when I open it",
    "It shuts down by itself",
    "The application keeps closing unexpectedly",
    "Program quits on launch",
    "Every time I start it, it dies",
    "Constant crashing since yesterday",
]


def test_other_words_for_the_same_thing_are_one_theme() -> None:
    said = messages(REFUNDS + CRASHES)
    themes = find_themes(said, as_of=as_of(1), settings=MINILM, encode=encoder())
    given = themes.assignments["theme_id"].to_list()
    assert len(set(given[:6])) == 1
    assert len(set(given[6:])) == 1
    assert given[0] != given[6]


def test_a_vector_does_not_depend_on_the_texts_beside_it() -> None:
    texts = [*REFUNDS, *CRASHES, "", "x" * 10_000, "word " * 500]
    together = encoder()(texts)
    alone = np.vstack([encoder()([text]) for text in texts])
    assert np.array_equal(together, alone)


def test_languages_that_the_model_cannot_read_are_compared_by_words() -> None:
    texts = [text for group in SAID.values() for text in group]
    assert not encoder()(texts).any()
    said = messages(texts + REFUNDS + ["😡😡😡", "\x00 \ufffd", "asdf jkl qwer"])
    themes = find_themes(said, as_of=as_of(1), settings=MINILM, encode=encoder())
    given = themes.assignments["theme_id"].to_list()
    for at in range(len(SAID) + 1):
        assert len(set(given[6 * at : 6 * at + 6])) == 1
        assert given[6 * at] is not None
    assert len(set(given[: len(texts)])) == len(SAID)
    assert given[-3] is None
    assert given[-1] is None


def test_another_encoder_renumbers_no_theme() -> None:
    feedback = pl.concat([week(0, corpus()), week(1, corpus()), week(2, REFUNDS)])
    before = found(feedback, 2)
    after = found(feedback, 3, encoders=SWITCHED, encode=encoder())
    merged = set(after.history.filter(pl.col("what") == "merged")["from_id"])
    assert set(names(before)) <= set(names(after)) | merged
    assert len(set(names(before)) - merged) >= len(names(before)) - 1
    assert all(names(after)[theme] == name for theme, name in names(before).items() if theme not in merged)
    # each is still about what it was about
    for theme in set(names(before)) - merged:
        kept = [ids(after)[message] == theme for message, home in ids(before).items() if home == theme]
        assert sum(kept) > 0.4 * len(kept)


def test_another_encoder_changes_no_earlier_week() -> None:
    feedback = pl.concat([week(0, corpus()), week(1, corpus()), week(2, REFUNDS)])
    plain = found(feedback, 1)
    later = found(feedback, 1, encoders=SWITCHED, encode=encoder())
    assert plain.assignments.equals(later.assignments)
    assert plain.themes.equals(later.themes)


def test_there_and_back_keeps_ids_too() -> None:
    back = (*SWITCHED, EncoderSince("tfidf", as_of(3)))
    feedback = pl.concat([week(0, corpus()), week(1, corpus()), week(2, REFUNDS), week(3, corpus())])
    before, after = found(feedback, 2), found(feedback, 4, encoders=back, encode=encoder())
    merged = set(after.history.filter(pl.col("what") == "merged")["from_id"])
    assert set(names(before)) <= set(names(after)) | merged


def test_an_encoder_is_in_force_from_its_change_on(tmp_path: Path) -> None:
    home = Home(tmp_path)
    put_in_force(home, "tfidf", at=as_of(1), themes_known=False)
    assert not home.state.exists()
    put_in_force(home, "minilm", at=as_of(1), themes_known=True)
    put_in_force(home, "minilm", at=as_of(2), themes_known=True)
    put_in_force(home, "tfidf", at=as_of(3), themes_known=True)
    used = read_encoders(home)
    assert [encoder_at(used, as_of(at)) for at in range(5)] == ["tfidf", "minilm", "minilm", "tfidf", "tfidf"]


def test_the_first_encoder_holds_from_the_beginning(tmp_path: Path) -> None:
    put_in_force(Home(tmp_path), "minilm", at=as_of(1), themes_known=False)
    assert read_encoders(Home(tmp_path)) == (EncoderSince("minilm", ALWAYS),)


class Counting:
    """An encoder that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Halves:
        self.asked += texts
        rows = [np.full(sentences.DIMENSIONS, len(text), dtype=np.float16) for text in texts]
        return np.vstack(rows)


def test_a_text_is_encoded_once_and_forgotten_with_its_message(tmp_path: Path) -> None:
    path, counting = tmp_path / "embeddings" / "model.parquet", Counting()
    encode = cached(counting, path, keep_others=False)
    first = encode(["a", "bb", "a"])
    assert np.array_equal(first, encode(["a", "bb", "a"]))
    assert sorted(counting.asked) == ["a", "bb"]
    cached(counting, path, keep_others=True)(["bb"])
    assert pl.read_parquet(path).height == 2
    encode(["bb"])
    assert pl.read_parquet(path).height == 1


def test_weights_that_were_not_measured_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder()
    other = tmp_path / "tokenizer.json"
    other.write_bytes(sentences.TOKENIZER.read_bytes() + b" ")
    monkeypatch.setattr(sentences, "TOKENIZER", other)
    with pytest.raises(EncoderMissingError, match=r"tokenizer\.json is not the file"):
        SentenceEncoder()


def test_a_missing_package_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "PACKAGES", ("no_such_package",))
    with pytest.raises(EncoderMissingError, match=r"no_such_package.*opsanalytics\[embeddings\].*tfidf"):
        SentenceEncoder()


def test_communities_beyond_the_sample_follow_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder()
    random = np.random.default_rng(1)
    centres = np.eye(8)[random.integers(0, 4, 400)]
    vectors = centres + random.normal(0, 0.1, (400, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    monkeypatch.setattr("opsanalytics.feedback.communities.GRAPH_TEXTS", 200)
    options = {"min_size": 5, "min_similarity": 0.5, "resolution": 1.0}
    text_ids = [f"{START:%Y}:{at}" for at in range(400)]
    label = communities(text_ids, vectors, np.ones(400, dtype=np.int64), **options)  # type: ignore[arg-type]
    truth = centres.argmax(axis=1)
    for group in set(label.tolist()):
        assert group >= 0
        assert len(set(truth[label == group])) == 1


def test_neighbours_found_blockwise_are_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsanalytics.feedback.communities.BLOCK", 7)
    rows = np.random.default_rng(2).normal(size=(40, 5)).astype(np.float32)
    found_rows, similarity = nearest(rows, rows, 3, itself=True)
    every = rows @ rows.T
    np.fill_diagonal(every, -np.inf)
    assert np.allclose(np.sort(similarity), np.sort(every)[:, -3:], atol=1e-5)
    assert not (found_rows == np.arange(40)[:, None]).any()
