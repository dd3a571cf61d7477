"""Ratings, votes and ids as people and spreadsheets write them."""

import math
import re
from collections.abc import Mapping

from opsanalytics.sources.values import UnreadableError

LARGEST_VOTES = 1e12
FIGURE = r"[+-]?\d+(?:[.,]\d+)?"
RATING = re.compile(
    rf"(?P<figure>{FIGURE})(?:\s*(?:/|out of|of|von|sur)\s*(?P<of>{FIGURE})|\s*(?:stars?|Sterne?|[★⭐])"
    r"|\s*[-–—:=(]\s*[^\d\s].*)?",
    re.IGNORECASE | re.DOTALL,
)
STARS = re.compile("[★⭐☆✩\ufe0f\\s]+")
FULL_STARS = "★⭐"
ROUNDED = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+?\d{1,3}")


def read_rating(text: str, scale: tuple[float, float], words: Mapping[str, float] | None = None) -> float:
    """`4`, `4,5`, `4/5`, `4 stars`, `★★★★☆`, `10 - Extremely likely`, or a word that `words` gives a number.

    Raises:
        UnreadableError: `bad_rating`: no number, or none of the scale.
    """
    low, high = scale
    given = {word.strip().casefold(): number for word, number in (words or {}).items()}
    number = given.get(text.strip().casefold(), math.nan)
    if math.isnan(number) and (found := RATING.fullmatch(text.strip())):
        number = figure(found["figure"])
        if found["of"] is not None and figure(found["of"]) != high:
            number = math.nan
    elif math.isnan(number) and STARS.fullmatch(text):
        number = float(sum(text.count(star) for star in FULL_STARS))
    if not low <= number <= high:
        raise UnreadableError(
            "bad_rating",
            f"rating {text!r} is no number from {low:g} to {high:g}; words get theirs in rating_words",
        )
    return number


def figure(text: str) -> float:
    return float(text.replace(",", "."))


def read_votes(text: str) -> int:
    """`text` as a number of votes.

    Raises:
        UnreadableError: `bad_votes`: it is none, or too large to be one.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) < LARGEST_VOTES or number != int(number):
        raise UnreadableError("bad_votes", f"votes {text!r} are no whole number")
    return int(number)


def exact_id(text: str) -> str:
    """An id as it is.

    Raises:
        UnreadableError: `rounded_id`: a spreadsheet has rounded it, so that two could look the same.
    """
    if ROUNDED.fullmatch(text):
        raise UnreadableError(
            "rounded_id",
            f"the id {text!r} was rounded by a spreadsheet; export again, and keep the id column as text",
        )
    return text
