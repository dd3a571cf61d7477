"""Themes of feedback of several kinds, beside k-means and NMF that are told how many subjects there are.

    python benchmarks/theme_kinds.py DATA [--weeks 0.9]

DATA/feedback_labelled holds the files that its SOURCES.md names. Kinds: few short messages, 1,000 and 3,000
of them, twelve subjects of very unequal size, long complaints, sentences of app reviews (the label is the
app), answers in several languages (the demo's phrases; the label is subject and language). Then what copies
and random letters among messages change. With more `--weeks` messages arrive over so many weeks (at most 10).
"""

import argparse
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.preprocessing import normalize
from themes import NONE, START, WEEKS, assigned, feedback, spread

from opsanalytics.demo.product.feedback import topics

Labelled = tuple[list[str], list[str]]


def kinds(folder: Path) -> dict[str, Labelled]:
    """Texts and labels by kind."""
    banking = pl.concat([pl.read_csv(folder / f"banking77_{part}.csv") for part in ("train", "test")])
    banking = banking.sample(fraction=1, shuffle=True, seed=3)
    ranks = banking["category"].unique().sort().sample(12, seed=2)
    unequal = pl.concat(
        [banking.filter(pl.col("category") == name).head(180 // (at + 1)) for at, name in enumerate(ranks)]
    ).sample(fraction=1, shuffle=True, seed=1)
    complaints = (
        pl.read_csv(folder / "cfpb_complaints_2023_sample.csv")
        .drop_nulls("Consumer complaint narrative")
        .unique("Consumer complaint narrative", keep="first", maintain_order=True)
    )
    reviews = pl.read_csv(folder / "app_reviews_feature_sentiment_is22.csv").drop_nulls(
        "Feature (All Annotated)"
    )
    found = {f"short, {size}": _pair(banking.head(size), "text", "category") for size in (200, 1_000, 3_000)}
    found["twelve unequal subjects"] = _pair(unequal, "text", "category")
    found["complaints, issue"] = _pair(complaints, "Consumer complaint narrative", "Issue")
    found["complaints, product"] = _pair(complaints, "Consumer complaint narrative", "Product")
    found["app reviews, app"] = _pair(reviews, "Sentence content", "App id")
    found["several languages"] = spoken(1_000)
    return found


def _pair(frame: pl.DataFrame, text: str, label: str) -> Labelled:
    return frame[text].to_list(), frame[label].to_list()


def spoken(size: int) -> Labelled:
    """Messages of the demo's product in all its languages."""
    random = np.random.default_rng(7)
    patterns = [
        (text, f"{topic.key} {language}")
        for topic in topics()
        for language, texts in topic.patterns.items()
        for text in texts
    ]
    chosen = [patterns[at] for at in random.integers(len(patterns), size=size)]

    def one(match: re.Match[str]) -> str:
        choices = match[1].split("|")
        return choices[int(random.integers(len(choices)))]

    return [re.sub(r"\[([^\]]*)\]", one, text) for text, _ in chosen], [label for _, label in chosen]


def told_how_many(texts: list[str], count: int) -> tuple[list[int], list[int]]:
    """k-means and NMF of TF-IDF with the true number of subjects."""
    weights = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2).fit_transform(texts)
    most = min(weights.shape) - 1
    space = normalize(TruncatedSVD(min(100, most), random_state=0).fit_transform(weights))
    parts = NMF(min(count, most), init="nndsvd", random_state=0, max_iter=200).fit_transform(weights)
    near = KMeans(count, n_init=3, random_state=0).fit_predict(space)
    return near.tolist(), parts.argmax(axis=1).tolist()


def scores(truth: list[str], given: list[str] | list[int]) -> str:
    nmi, ari = normalized_mutual_info_score(truth, given), adjusted_rand_score(truth, given)
    return f"{nmi:.3f} {ari:.3f}"


def themes_of(texts: list[str], weeks: float) -> list[str]:
    said = feedback(texts, spread(len(texts), weeks))
    return list(assigned(said, START + timedelta(weeks=WEEKS)).values())


def disturbed(texts: list[str], truth: list[str], weeks: float) -> None:
    """What copies and random letters change."""
    random = np.random.default_rng(5)
    plain = themes_of(texts, weeks)
    copies = [f"{texts[at]}!! {at}" for at in random.integers(len(texts), size=len(texts) // 4)]
    with_copies = themes_of([*texts, *copies], weeks)[: len(texts)]
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    noise = ["".join(random.choice(letters, 12)) for _ in range(len(texts) // 10)]
    with_noise = themes_of([*texts, *noise], weeks)
    for name, given in (
        ("as they are", plain),
        ("a quarter said again", with_copies),
        ("a tenth random letters", with_noise[: len(texts)]),
    ):
        print(f"short, 1,000, {name:24} {len(set(given) - {NONE}):4} themes  {scores(truth, given)}")
    taken = sum(theme != NONE for theme in with_noise[len(texts) :])
    print(f"of {len(noise)} messages of random letters {taken} are in a theme")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--weeks", type=float, default=0.9)
    told = parser.parse_args()
    found = kinds(told.data / "feedback_labelled")
    print(f"{'NMI ARI':>70}{'k-means':>16}{'NMF':>14}")
    for name, (texts, truth) in found.items():
        given = themes_of(texts, told.weeks)
        near, parts = told_how_many(texts, len(set(truth)))
        covered = 1 - given.count(NONE) / len(given)
        found_scores = "   ".join(scores(truth, each) for each in (given, near, parts))
        print(
            f"{name:26} {len(texts):5} texts {len(set(truth)):3} subjects "
            f"{len(set(given) - {NONE}):3} themes cover {covered:.2f}  {found_scores}",
            flush=True,
        )
    disturbed(*found["short, 1000"], told.weeks)


if __name__ == "__main__":
    main()
