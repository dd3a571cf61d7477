"""Text that users wrote, without what cannot be printed."""

import re

# Control characters are invalid in HTML, and bidirectional overrides let a quote rewrite the line around it.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """`text` without control characters and bidirectional overrides; line breaks and tabs stay."""
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str, limit: int | None = None) -> str:
    """Cleaned, with runs of white space as one space, cut to `limit` characters with an ellipsis."""
    line = _SPACE.sub(" ", clean(text)).strip()
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"
