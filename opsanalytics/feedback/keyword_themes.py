"""Themes that people define by words."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from opsanalytics.feedback.words import LONGEST, UNSPACED


class KeywordTheme(BaseModel):
    """`[[feedback.keyword_themes]]`: every message with one of `any` and none of `none` is in it.

    A keyword is a word or several words in a row, whatever their case; `refund*` also stands for refunded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=90)
    any: tuple[str, ...] = Field(min_length=1)
    none: tuple[str, ...] = ()

    @field_validator("any", "none")
    @classmethod
    def _say_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for keyword in value:
            if not any(letter.isalnum() for letter in keyword):
                raise ValueError(f"{keyword!r} has no letter and no digit: name a word")
        return value

    @property
    def theme_id(self) -> str:
        """Made of the name, so that it stays when keywords are added."""
        return "KW-" + hashlib.sha256(self.name.casefold().encode()).hexdigest()[:8]


def keyword_theme_of(texts: Iterable[str | None], themes: Sequence[KeywordTheme]) -> list[str | None]:
    """Id of the first of `themes` that each text is in; None: in none of them."""
    patterns = [(theme.theme_id, _pattern(theme.any), _pattern(theme.none)) for theme in themes]
    found: list[str | None] = []
    for text in texts:
        plain = _plain((text or "")[:LONGEST])
        found.append(
            next(
                (
                    name
                    for name, wanted, unwanted in patterns
                    if wanted and wanted.search(plain) and not (unwanted and unwanted.search(plain))
                ),
                None,
            )
        )
    return found


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\u2019", "'").casefold()


def _pattern(keywords: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(_one, keywords))) if keywords else None


def _one(keyword: str) -> str:
    plain = _plain(keyword.strip())
    escaped = r"\s+".join(re.escape(part).replace(r"\*", r"\w*") for part in plain.split())
    # Japanese, Chinese and Thai have no spaces, so no borders of words either.
    return escaped if UNSPACED.search(plain) else rf"(?<!\w){escaped}(?!\w)"
