"""Naming a theme by the phrases that set it apart, and choosing messages that show what it is about."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, pairwise

from opsanalytics.feedback.stopwords import ADVERB_LIKE, VAGUE
from opsanalytics.feedback.words import phrases, unspaced

KEYWORDS = 8
NAMELESS = "(no common words)"
LABEL_PHRASES = 3
RARE = 0.15
"""A phrase used by a smaller share of a theme's messages does not describe the theme."""
LIFT = 2.0
"""A phrase must be so many times as common in the theme as in all other messages."""
WEAKEST = 0.4
"""A phrase with a smaller share of the best one's score says little beside it."""
NEGATIONS = frozenset(
    {"not", "no", "never", "without", "cannot", "can't", "doesn't", "won't", "isn't"}
    | {"не", "нет", "ни", "لا", "ليس", "nicht", "kein", "keine", "pas", "não", "niet", "geen"}
)
"""They say something in a pair ("not working"), nothing alone."""
TITLE_WEIGHT = 2.0
"""What titles say counts so many times as much as what texts say: a title is meant to name the subject."""
TOGETHER = 0.6
"""Letter pairs are one word if this share of the messages with the one go on with the other."""
_GRAMMAR = re.compile(r"[\s\u3040-\u309f]+")
"""Hiragana alone: endings and particles."""


def keywords(themes: Sequence[Sequence[list[str]]]) -> list[list[str]]:
    """The phrases that set each theme apart, best first, at most eight.

    Class-based TF-IDF (Grootendorst 2022) over words and word pairs, counting messages rather than
    occurrences so that one long message does not name a theme. Parts and inflections of a phrase
    that was already taken are left out.

    Args:
        themes: per theme the content words of each of its messages.
    """
    counts = [counted(theme) for theme in themes]
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    messages = sum(len(theme) for theme in themes)
    return [
        ranked_phrases(count, len(theme), total, messages)
        for theme, count in zip(themes, counts, strict=True)
    ]


def counted(messages: Iterable[list[str]]) -> Counter[str]:
    """In how many messages (content words) each word and word pair occurs."""
    return Counter(chain.from_iterable(set(phrases(words)) for words in messages))


def ranked_phrases(
    count: Counter[str],
    size: int,
    total: Counter[str],
    messages: int,
    *,
    titles: Counter[str] | None = None,
    titled: int = 0,
) -> list[str]:
    """The phrases that set one theme apart, best first; see `keywords`.

    Args:
        count: messages of the theme with each phrase.
        size: messages of the theme.
        total: messages of all themes with each phrase.
        messages: messages of all themes.
        titles: of those with a title, how many have each phrase in it.
        titled: messages of the theme with a title.
    """
    scores: dict[str, float] = {}
    runs = _runs(count)
    for phrase, seen in count.items():
        if (
            seen >= min(size, max(2, RARE * size))
            and seen / size >= LIFT * (total[phrase] - seen) / max(1, messages - size)
            and any(letter.isalpha() for letter in phrase)
            and _names_something(phrase)
        ):
            share = seen / size
            if titles is not None and titled >= size / 2:
                share = (share + TITLE_WEIGHT * titles[phrase] / titled) / (1 + TITLE_WEIGHT)
            score = share * math.log(1 + messages / total[phrase])
            # A pair says more than its words, if it is nearly as common as they are.
            score *= 1.3 if " " in phrase else 1.0
            run = runs.get(phrase, phrase)
            scores[run] = max(score, scores.get(run, 0.0))
    chosen = _choose(scores)
    return [_shown(phrase) for phrase in chosen]


def _names_something(phrase: str) -> bool:
    words = phrase.split()
    if words[-1] in NEGATIONS or _GRAMMAR.fullmatch(phrase) or any(map(_adverb, words)):
        return False
    return not all(word in VAGUE or word in NEGATIONS for word in words)


def _adverb(word: str) -> bool:
    return word.isascii() and word.endswith("ly") and len(word) > 4 and word not in ADVERB_LIKE


def _runs(count: Counter[str]) -> dict[str, str]:
    """The run of letter pairs that each phrase of a script without spaces is a part of."""
    after: dict[str, tuple[int, str]] = {}
    before: dict[str, tuple[int, str]] = {}
    for phrase, seen in sorted(count.items()):
        one, _, other = phrase.partition(" ")
        # neighbours that share a letter stood next to each other
        if other and unspaced(one) and unspaced(other) and one[-1] == other[0]:
            if seen >= TOGETHER * count[one]:
                after[one] = max(after.get(one, (0, "")), (seen, other))
            if seen >= TOGETHER * count[other]:
                before[other] = max(before.get(other, (0, "")), (seen, one))
    runs = {}
    for phrase in count:
        words = phrase.split()
        if not all(map(unspaced, words)):
            continue
        while words[-1] in after and after[words[-1]][1] not in words:
            words.append(after[words[-1]][1])
        while words[0] in before and before[words[0]][1] not in words:
            words.insert(0, before[words[0]][1])
        runs[phrase] = " ".join(words)
    return runs


def _shown(phrase: str) -> str:
    """Letter pairs that overlap as the word they are pairs of."""
    words = phrase.split()
    text = words[0]
    for before, word in pairwise(words):
        overlap = unspaced(word) and unspaced(before) and before[-1] == word[0]
        text += word[1:] if overlap else f" {word}"
    return text


def label(ranked: list[str], taken: Collection[str]) -> str:
    """A label of the first phrases of a theme, with more of them where it would equal one that is `taken`."""
    apart = _without_shared_words(ranked)
    # Two pairs of words are a long label already.
    size = 2 if all(" " in phrase for phrase in apart[:2]) else LABEL_PHRASES
    text = ", ".join(apart[:size]) or NAMELESS
    while text in taken and size < len(apart):
        size += 1
        text = ", ".join(apart[:size])
    number = 2
    plain = text
    while text in taken:
        text = f"{plain} ({number})"
        number += 1
    return text


def typical(candidates: Iterable[tuple[float | None, str, str]], size: int) -> list[str]:
    """Ids of the `size` messages nearest the centre, each by another author.

    Args:
        candidates: similarity to the centre (None: there is none), author and id of each message.
        size: how many to choose.
    """
    chosen: list[str] = []
    authors: set[str] = set()
    for _, author, message in sorted(candidates, key=lambda item: (-(item[0] or 0.0), item[2])):
        if author not in authors:
            authors.add(author)
            chosen.append(message)
        if len(chosen) == size:
            break
    return chosen


def _without_shared_words(ranked: list[str]) -> list[str]:
    chosen: list[str] = []
    for phrase in ranked:
        taken = [word for other in chosen for word in other.split()]
        if not any(same_stem(word, other) for word in phrase.split() for other in taken):
            chosen.append(phrase)
    return chosen


def _choose(scores: dict[str, float]) -> list[str]:
    chosen: list[str] = []
    best = max(scores.values(), default=0.0)
    for phrase, score in sorted(scores.items(), key=lambda item: (-item[1], item[0])):
        if score >= WEAKEST * best and not any(_overlaps(phrase, other) for other in chosen):
            chosen.append(phrase)
        if len(chosen) == KEYWORDS:
            break
    return chosen


def _overlaps(phrase: str, other: str) -> bool:
    """Whether every word of the one is a word of the other, or an inflection of it."""
    mine, theirs = phrase.split(), other.split()
    shorter, longer = sorted((mine, theirs), key=len)
    return all(any(same_stem(word, candidate) for candidate in longer) for word in shorter)


def _root(word: str) -> str:
    """A word without the endings by which English verbs and plurals differ: vote, voting, voted, votes."""
    return next((word[: -len(end)] for end in ("ing", "ed", "es", "e", "s") if word.endswith(end)), word)


def same_stem(word: str, other: str) -> bool:
    """Whether two words look like inflections of one: tag, tags, tagged; deleted, deleting, deletion."""
    shorter, longer = sorted((word, other), key=len)
    if word.isascii() and len(shorter) > 3 and _root(word) == _root(other):
        return True
    common = next((at for at, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), len(shorter))
    ending = common == len(shorter) and common >= 3 and len(longer) - common <= 3
    return word == other or ending or (common >= 5 and common >= 0.6 * len(longer))
