"""How good themes are, and how steady: banking77 and a site's real posts, with plain baselines beside.

    python benchmarks/themes.py DATA [--seeds 3] [--volume 0] [--encoder tfidf]

DATA holds `feedback_labelled/banking77_{train,test}.csv` (text, category) and
`stackexchange_history_meta/feedback.csv` (created_at, user_id, title, text). NMI and ARI are over all
messages; those in no theme count as one theme. "Kept" compares the theme id of a message when it was first
put into a theme with the one at the end; "history" whether what was found as of an earlier week is still
what is found as of that week when later messages are there.

`--volume` runs on so many messages instead. `--encoder minilm` (the extra `embeddings`) measures sentence
embeddings: their cost, the figures they give, and what becomes of themes found by words when embeddings are
switched on in the middle.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from opsanalytics.feedback.encoders import EncoderSince
from opsanalytics.feedback.sentences import Encode, SentenceEncoder
from opsanalytics.feedback.themes import ThemeSettings, find_themes
from opsanalytics.feedback.vector_cache import cached
from opsanalytics.lake.schemas import FEEDBACK
from opsanalytics.lake.tables import UTC_TIME

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEKS = 10
NONE = "none"


def feedback(texts: list[str], times: list[datetime], users: list[str] | None = None) -> pl.DataFrame:
    """Messages as FEEDBACK."""
    frame = pl.DataFrame(
        {
            "feedback_id": [f"bench:{at:06}" for at in range(len(texts))],
            "ts": pl.Series(times, dtype=UTC_TIME),
            "user_id": pl.Series(users or [None] * len(texts), dtype=pl.String),
            "text": texts,
        }
    ).with_columns(source=pl.lit("bench"), raw=pl.lit("{}"), ingest_run=pl.lit("benchmark"))
    missing = [
        pl.lit(None, dtype).alias(name) for name, dtype in FEEDBACK.schema.items() if name not in frame
    ]
    return FEEDBACK.conform(frame.with_columns(missing))


def spread(count: int, weeks: float) -> list[datetime]:
    """Even times over so many weeks."""
    step = timedelta(weeks=weeks) / count
    return [START + step * at for at in range(count)]


def assigned(said: pl.DataFrame, as_of: datetime) -> dict[str, str]:
    """Theme of each message, NONE for those in none."""
    found = find_themes(said, as_of=as_of).assignments
    return dict(found.select("feedback_id", pl.col("theme_id").fill_null(NONE)).iter_rows())


def quality(name: str, truth: list[str], given: list[str], seconds: float) -> None:
    covered = 1 - given.count(NONE) / len(given)
    nmi, ari = normalized_mutual_info_score(truth, given), adjusted_rand_score(truth, given)
    print(
        f"{name:34} {len(set(given)):4} themes  coverage {covered:.3f}  "
        f"NMI {nmi:.3f}  ARI {ari:.3f}  {seconds:.0f} s"
    )


def kept(
    name: str,
    said: pl.DataFrame,
    ends: list[datetime],
    steps: dict[str, Callable[[pl.DataFrame, datetime], dict[str, str]]],
) -> None:
    """Share of messages that keep the theme id they first had."""
    for method, find in steps.items():
        first: dict[str, str] = {}
        before: dict[str, str] = {}
        weekly = []
        for end in ends:
            now = {
                key: theme
                for key, theme in find(said.filter(pl.col("ts") < end), end).items()
                if theme != NONE
            }
            if before:
                weekly.append(sum(now.get(key) == theme for key, theme in before.items()) / len(before))
            first = now | first
            before = now
        share = sum(before.get(key) == theme for key, theme in first.items()) / len(first)
        print(f"{name}: {method:22} kept from first to last week {share:.3f}, worst week {min(weekly):.3f}")


def kmeans(texts: list[str], seed: int) -> list[str]:
    """TF-IDF, 100 latent dimensions, k-means with the true number of intents."""
    space = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, stop_words="english"),
        TruncatedSVD(100, random_state=seed),
        Normalizer(),
    )
    return [
        str(name) for name in KMeans(77, n_init=3, random_state=seed).fit_predict(space.fit_transform(texts))
    ]


def regrouped(said: pl.DataFrame, _: datetime) -> dict[str, str]:
    """The plain way: group all messages anew each week; a group is known by its oldest message."""
    squeezed = said.sort("ts", "feedback_id").with_columns(ts=pl.lit(START).cast(UTC_TIME))
    return assigned(squeezed, START + timedelta(weeks=1)) if said.height else {}


def banking(folder: Path, seeds: int) -> None:
    labelled = pl.concat([pl.read_csv(folder / f"banking77_{part}.csv") for part in ("train", "test")])
    count = labelled.height
    orders = [labelled.sample(fraction=1, shuffle=True, seed=seed) for seed in range(seeds)]
    results: list[list[str]] = []
    for shown, weeks in (("all at once", 0.9), ("ten weeks", WEEKS - 0.01)):
        for seed, order in enumerate(orders):
            began = time.perf_counter()
            texts, truth = order["text"].to_list(), order["category"].to_list()
            given = list(
                assigned(feedback(texts, spread(count, weeks)), START + timedelta(weeks=WEEKS)).values()
            )
            quality(f"banking77, {shown}, order {seed}", truth, given, time.perf_counter() - began)
            if weeks < 1:
                by_text = dict(zip(texts, given, strict=True))
                results.append([by_text[text] for text in labelled["text"].to_list()])
    if len(results) > 1:
        pairs = [adjusted_rand_score(results[0], other) for other in results[1:]]
        print(f"banking77, agreement between orders (ARI): {np.mean(pairs):.3f}")
    began = time.perf_counter()
    texts = labelled["text"].to_list()
    quality(
        "baseline: TF-IDF, k-means, k = 77",
        labelled["category"].to_list(),
        kmeans(texts, 0),
        time.perf_counter() - began,
    )
    said = feedback(orders[0]["text"].to_list(), spread(count, WEEKS - 0.01))
    ends = [START + timedelta(weeks=week) for week in (1, 2, 4, 6, 8, 10)]
    kept("banking77", said, ends, {"registry": assigned, "grouped anew each week": regrouped})
    early = assigned(said.filter(pl.col("ts") < ends[2]), ends[2])
    print(f"banking77: history as of week 4 unchanged by later messages: {early == assigned(said, ends[2])}")


def posts(path: Path) -> None:
    frame = (
        pl.read_csv(path)
        .with_columns(
            said=pl.concat_str("title", pl.col("text").fill_null(""), separator="\n"),
            ts=pl.col("created_at").str.to_datetime(time_unit="us").dt.replace_time_zone("UTC"),
        )
        .sort("ts")
    )
    said = feedback(
        frame["said"].to_list(), frame["ts"].to_list(), frame["user_id"].cast(pl.String).to_list()
    )
    last = frame["ts"].max()
    assert isinstance(last, datetime)
    ends = [last + timedelta(days=1) - timedelta(weeks=week) for week in (520, 300, 100, 10, 8, 6, 4, 2, 0)]
    kept(
        "posts, twelve years",
        said,
        ends[:4] + ends[-1:],
        {"registry": assigned, "grouped anew each week": regrouped},
    )
    kept("posts, last ten weeks", said, ends[3:], {"registry": assigned, "grouped anew each week": regrouped})
    themes = find_themes(said, as_of=ends[-1])
    sizes = themes.themes["messages"].sort(descending=True).head(5).to_list()
    print(
        f"posts: {themes.themes.height} themes of {said.height} posts, largest {sizes}, "
        f"{themes.unassigned} in none"
    )


def embedded(folder: Path) -> None:
    """banking77 by sentence embeddings, and the change from words to them in week six."""
    labelled = pl.concat([pl.read_csv(folder / f"banking77_{part}.csv") for part in ("train", "test")])
    order = labelled.sample(fraction=1, shuffle=True, seed=0)
    texts, truth = order["text"].to_list(), order["category"].to_list()
    with tempfile.TemporaryDirectory() as home:
        encode = cached(SentenceEncoder(), Path(home) / "vectors.parquet", keep_others=True)
        used = time.process_time()
        encode(texts)
        print(f"encoding {len(texts):,} messages: CPU {time.process_time() - used:.0f} s")
        for shown, weeks in (("all at once", 0.9), ("ten weeks", WEEKS - 0.01)):
            began = time.perf_counter()
            given = by_sentences(feedback(texts, spread(len(texts), weeks)), WEEKS, encode)
            quality(f"banking77, minilm, {shown}", truth, list(given.values()), time.perf_counter() - began)
        said = feedback(texts, spread(len(texts), WEEKS - 0.01))
        half = START + timedelta(weeks=WEEKS // 2)
        before = assigned(said.filter(pl.col("ts") < half), half)
        switched = (EncoderSince("tfidf"), EncoderSince("minilm", half + timedelta(weeks=1)))
        after = by_sentences(said, WEEKS, encode, switched)
    known = set(before.values()) - {NONE}
    held = [after[message] == theme for message, theme in before.items() if theme != NONE]
    print(
        f"banking77, words to minilm in week {WEEKS // 2 + 1}: of {len(known)} themes "
        f"{len(known & set(after.values()))} keep their id, {np.mean(held):.3f} of messages their theme"
    )
    quality("banking77, after the change", truth, list(after.values()), 0)


def by_sentences(
    said: pl.DataFrame, weeks: int, encode: Encode, encoders: tuple[EncoderSince, ...] | None = None
) -> dict[str, str]:
    """Theme of each message by sentence embeddings, or as `encoders` say."""
    found = find_themes(
        said,
        as_of=START + timedelta(weeks=weeks),
        settings=ThemeSettings(encoder="minilm"),
        encoders=encoders,
        encode=encode,
    ).assignments
    return dict(found.select("feedback_id", pl.col("theme_id").fill_null(NONE)).iter_rows())


def volume(folder: Path, size: int) -> None:
    """Messages of banking77 with words exchanged, over a year."""
    texts = pl.read_csv(folder / "banking77_train.csv")["text"].to_list()
    random = np.random.default_rng(1)
    words = [text.split() for text in texts]
    made = []
    for at in range(size):
        one, other = words[at % len(words)], words[int(random.integers(len(words)))]
        made.append(" ".join([*one, other[int(random.integers(len(other)))], other[0]]))
    began, used = time.perf_counter(), time.process_time()
    found = find_themes(feedback(made, spread(size, 52)), as_of=START + timedelta(weeks=52))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{size:,} messages over a year: {found.themes.height} themes, {time.perf_counter() - began:.0f} s "
        f"(CPU {time.process_time() - used:.0f} s), peak {peak:,.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--volume", type=int, default=0)
    parser.add_argument("--encoder", choices=("tfidf", "minilm"), default="tfidf")
    given = parser.parse_args()
    if given.encoder == "minilm":
        embedded(given.data / "feedback_labelled")
        return
    if given.volume:
        volume(given.data / "feedback_labelled", given.volume)
        return
    banking(given.data / "feedback_labelled", given.seeds)
    posts(given.data / "stackexchange_history_meta" / "feedback.csv")


if __name__ == "__main__":
    main()
