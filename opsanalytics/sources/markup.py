"""HTML as vendors store what people wrote, to plain text."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4.element import PageElement, Tag

LINE_ENDS = frozenset(
    {"address", "blockquote", "br", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
     "ol", "p", "pre", "table", "tr", "ul"}
)  # fmt: skip
SILENT = frozenset({"head", "script", "style", "template", "title"})
SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")
KNOWN = (
    "a abbr article b body center code em font form html i img input label s section small span strong"
    " strike sub sup tbody td tfoot th thead u video"
)
NAMES = "|".join(sorted([*KNOWN.split(), *LINE_ENDS, *SILENT], key=len, reverse=True))
MARKUP = re.compile(
    rf"</?(?:{NAMES})(?:\s+[\w:-]+\s*=[^<>]*)?\s*/?>|&(?:#\d+|#x[0-9A-Fa-f]+|[A-Za-z]+\d*);", re.IGNORECASE
)
"""What nobody writes who writes plain text: `a<b and c>d` is no tag."""


ENCLOSED = re.compile(rf"\s*<(?:!doctype|{NAMES})\b.*>\s*", re.IGNORECASE | re.DOTALL)
"""A text that is one piece of HTML."""


def words_of(text: str | None) -> str | None:
    """A text that is plain by its vendor's word; read as HTML only if it is HTML from end to end.

    People write about `<div>`; that is no reason to take it out.
    """
    if text is None:
        return None
    return plain_text(text) if ENCLOSED.fullmatch(text) else text.strip() or None


def plain_text(markup: str | None) -> str | None:
    """What a reader of the HTML sees: no tags, entities resolved, a line for each block. None if nothing.

    Text without tags and entities is returned as it is, but for space around it.
    """
    if markup is None:
        return None
    if not MARKUP.search(markup):
        return markup.strip() or None
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(markup, "html.parser")
    lines = (SPACE.sub(" ", line).strip() for line in "".join(pieces(soup)).split("\n"))
    return "\n".join(line for line in lines if line) or None


def pieces(root: "Tag") -> Iterator[str]:
    """The texts below an element, with a line end around each block; nothing of scripts and the like.

    Not by recursion: people send mails in which hundreds of elements lie in one another.
    """
    from bs4.element import NavigableString, Tag

    waiting: list[Iterator[PageElement | str]] = [iter(root.contents)]
    while waiting:
        child = next(waiting[-1], None)
        if child is None:
            waiting.pop()
        elif isinstance(child, Tag):
            if child.name in SILENT:
                continue
            end = ["\n"] if child.name in LINE_ENDS else []
            waiting.append(iter([*end, *child.contents, *end]))
        elif type(child) in (str, NavigableString):
            yield str(child)
