"""From a message to the words that count, in any language and from hostile text."""

import re
import unicodedata
from itertools import pairwise

from opsanalytics.feedback.stopwords import STOP_WORDS

LONGEST = 5_000
"""Characters of a message that are read; what follows is attachment, log or paste."""

_MARKUP = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|<[^<>]{1,200}>|\[[A-Za-z_ -]{1,20}\]|&[a-z]{2,8};")
"""Links, e-mail addresses, HTML tags and entities, and the marks that redaction leaves ("[email]")."""

# Runs of anything but space, punctuation, symbols and control characters. Written as what a word is
# not, because `\w` splits words of scripts that write vowels as combining marks (Hindi, Thai).
_WORD = re.compile(
    r"[^\s\x00-\x26\x28-\x2f\x3a-\x40\x5b-\x60\x7b-\xbf\u2000-\u2fff\u3000-\u303f\ufe00-\ufe6f\uff00-\uff0f"
    r"\uff1a-\uff20\ufff0-\uffff]+"
)
UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
"""Thai, Japanese and Chinese letters: written without spaces, so pairs of letters stand for words."""


def spoken(text: str) -> str:
    """`text` without links, addresses and markup, on one line."""
    return " ".join(_MARKUP.sub(" ", unicodedata.normalize("NFKC", text)).split())


def words(text: str) -> list[str]:
    """All words of `text`, lower case, in order, stop words included."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).replace("\u2019", "'")
    found: list[str] = []
    for run in _WORD.findall(_MARKUP.sub(" ", plain).casefold()):
        word = run.strip("'").removesuffix("'s")
        if UNSPACED.search(word):
            found.extend(word[at : at + 2] for at in range(max(1, len(word) - 1)))
        elif word:
            found.append(word)
    return found


def content_words(text: str) -> list[str]:
    """The words that carry meaning: no stop words, no single letters, no numbers.

    A number of three digits stays: 404 and 500 are what people quote from error pages.
    """
    return [
        word
        for word in words(text)
        if word not in STOP_WORDS
        and not (len(word) > 1 and set(word) == {"x"})  # what the sender blacked out
        and (len(word) > 1 or bool(UNSPACED.search(word)))
        and (not word.isdigit() or len(word) == 3)
    ]


def unspaced(word: str) -> bool:
    """Whether this is a pair of letters of a script without spaces, not a word."""
    return bool(UNSPACED.search(word))


def phrases(content: list[str]) -> list[str]:
    """Words and pairs of neighbouring words (stop words between them do not count)."""
    pairs = [f"{a} {b}" for a, b in pairwise(content) if a != b]
    return content + pairs


def fingerprint(text: str) -> str:
    """Equal for texts that say the same: case, punctuation, digits, order and repetition do not count."""
    return " ".join(sorted({re.sub(r"\d+", "0", word) for word in words(text)}))


def quotation(text: str, length: int) -> str:
    """`text` on one line of at most `length` characters, cut at a word; control characters removed."""
    kept = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp") else " " for c in text)
    line = " ".join(kept.split())
    if len(line) <= length:
        return line
    head = line[: length - 1]
    cut = head.rfind(" ")
    return (head[:cut] if cut > length // 2 else head).rstrip(" ,;:.-") + "…"
