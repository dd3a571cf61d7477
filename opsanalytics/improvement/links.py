"""Which feedback theme speaks of which behavioural problem."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from opsanalytics.behavior.statistics import benjamini_hochberg
from opsanalytics.feedback.labels import same_stem
from opsanalytics.feedback.words import content_words
from opsanalytics.improvement.candidates import Candidate

FEWEST_TOGETHER = 3
FEWEST_ODDS = 2.0
FALSE_DISCOVERY_RATE = 0.05
FEWEST_WORDS = 2
SIGNAL_WORDS = {
    "error": "error errors fails failed failing failure broken crash",
    "slow_load": "slow slowly loading load takes long forever wait waiting speed",
    "empty_search": "search searching results find found nothing empty",
    "repeated_attempt": "again retry repeatedly stuck fails",
    "back_and_forth": "confusing lost find navigate navigation",
}


@dataclass(frozen=True)
class Link:
    """`by_persons`: affected persons wrote of it more often than others; else only the words agree."""

    theme_id: str
    by_persons: bool
    how: str


def link_themes(
    candidates: Sequence[Candidate], themes: pl.DataFrame, assignments: pl.DataFrame
) -> dict[str, list[Link]]:
    """Links by anchor of the candidate, strongest first; a theme speaks of one candidate at most.

    First by persons: among those who reached the step and wrote anything, did the affected write in the
    theme more often (Fisher's exact test, Benjamini-Hochberg over all pairs, odds ratio above 2, at
    least 3 persons)? A theme goes to the candidate it fits best. What is left is linked by words: at
    least two words of place, signal and step among the theme's keywords, one of them the place's.

    Args:
        candidates: as `find_candidates` gives them.
        themes: as FEEDBACK_THEMES; those that can speak of a problem.
        assignments: as FEEDBACK_ASSIGNMENTS.
    """
    names = themes["theme_id"].to_list()
    by_persons = _by_persons(candidates, assignments.filter(pl.col("theme_id").is_in(names)), assignments)
    taken = [link.theme_id for _, link in by_persons]
    by_words = _by_words(candidates, themes.filter(~pl.col("theme_id").is_in(taken)))
    authors = dict(themes.select("theme_id", "authors").iter_rows())
    links: dict[str, list[Link]] = {}
    for anchor, link in sorted(
        by_persons + by_words,
        key=lambda pair: (not pair[1].by_persons, -authors[pair[1].theme_id], pair[1].theme_id),
    ):
        links.setdefault(anchor, []).append(link)
    return links


def _by_persons(
    candidates: Sequence[Candidate], assignments: pl.DataFrame, everything: pl.DataFrame
) -> list[tuple[str, Link]]:
    from scipy.stats import fisher_exact

    authors = set(everything["author"].to_list())
    writers: dict[str, set[str]] = {}
    for theme, author in assignments.select("theme_id", "author").iter_rows():
        writers.setdefault(theme, set()).add(author)
    found: list[tuple[float, str, str, str]] = []
    p_values: list[float] = []
    for candidate in candidates:
        respondents = authors & set(candidate.population.persons["person"].to_list())
        affected = respondents & set(candidate.met["person"].to_list())
        for theme in sorted(writers):
            wrote = respondents & writers[theme]
            both = len(wrote & affected)
            table = np.array(
                [
                    [both, len(affected) - both],
                    [len(wrote) - both, len(respondents) - len(affected) - len(wrote) + both],
                ]
            )
            if not affected or not wrote or len(affected) == len(respondents):
                continue
            p_value = float(fisher_exact(table, alternative="greater").pvalue)
            odds = (table[0, 0] + 0.5) * (table[1, 1] + 0.5) / ((table[0, 1] + 0.5) * (table[1, 0] + 0.5))
            p_values.append(p_value)
            how = (
                f"{both} of {len(affected)} affected respondents wrote of it, "
                f"{len(wrote) - both} of {len(respondents) - len(affected)} others"
            )
            usable = both >= FEWEST_TOGETHER and odds > FEWEST_ODDS
            found.append((p_value if usable else 1.0, candidate.anchor, theme, how))
    q_values = benjamini_hochberg(p_values)
    passing = [
        (p, anchor, theme, how)
        for (p, anchor, theme, how), q in zip(found, q_values, strict=True)
        if p < 1.0 and q <= FALSE_DISCOVERY_RATE
    ]
    return [(anchor, Link(theme, True, how)) for anchor, theme, how in _best_of_theme(passing)]


def _by_words(candidates: Sequence[Candidate], themes: pl.DataFrame) -> list[tuple[str, Link]]:
    found: list[tuple[float, str, str, str]] = []
    for candidate in candidates:
        place = _split(candidate.place)
        other = [*SIGNAL_WORDS.get(candidate.signal, "").split(), *_split(candidate.population.label)]
        for theme, keywords in themes.select("theme_id", "keywords").iter_rows():
            said = sorted({word for phrase in keywords for word in phrase.split()})
            of_place = [word for word in said if _says(word, place)]
            shared = [word for word in said if word in of_place or _says(word, other)]
            if of_place and len(shared) >= FEWEST_WORDS:
                how = f"words in common: {', '.join(shared)}"
                found.append((-len(of_place) - len(shared) / 10, candidate.anchor, theme, how))
    return [(anchor, Link(theme, False, how)) for anchor, theme, how in _best_of_theme(found)]


def _best_of_theme(pairs: Iterable[tuple[float, str, str, str]]) -> list[tuple[str, str, str]]:
    """The candidate each theme fits best (smallest first number; ties in order of the names)."""
    best: dict[str, tuple[str, str, str]] = {}
    for _, anchor, theme, how in sorted(pairs):
        best.setdefault(theme, (anchor, theme, how))
    return list(best.values())


def _split(name: str) -> list[str]:
    """Words of a technical name: BANK_TIMEOUT, connectBank, /connect-bank."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return content_words(re.sub(r"[^\w]+|_", " ", apart))


def _says(word: str, names: Iterable[str]) -> bool:
    return any(same_stem(word, name) for name in names)
