"""What an issue says, apart from how a tracker wants it written: Markdown, or Atlassian's document format."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from opsanalytics.cleaning.printable import clean, one_line


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Facts:
    """Labels, which are ours, and values, which may hold what users wrote."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Quotes:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    text: str
    language: str = "sql"


Block: TypeAlias = Paragraph | Facts | Quotes | Code

# Mentions and references are found in the rendered text, where a backslash before them is gone already.
_REFERENCE = re.compile(r"(?<=[@#!])(?=\w)")
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:/=$&^\"'])")
_NO_BREAK = "\u200b"


def harmless_markdown(text: str) -> str:
    """Text as Markdown that shows just that text on one line: no markup, links, mentions or references."""
    broken = _REFERENCE.sub(_NO_BREAK, one_line(text))
    return _PUNCTUATION.sub(r"\\\1", broken)


def markdown(blocks: Sequence[Block]) -> str:
    """GitHub's and Linear's Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks)


def _markdown(block: Block) -> str:
    match block:
        case Paragraph(text):
            return harmless_markdown(text)
        case Facts(rows):
            return "\n".join(f"- **{label}:** {harmless_markdown(value)}" for label, value in rows)
        case Quotes(texts):
            return "\n>\n".join(f"> {harmless_markdown(text)}" for text in texts)
        case Code(text, language):
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
            return f"{fence}{language}\n{clean(text)}\n{fence}"


def atlassian(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Nodes of the Atlassian Document Format."""
    return [_atlassian(block) for block in blocks]


def _atlassian(block: Block) -> dict[str, Any]:
    match block:
        case Paragraph(text):
            return _paragraph(_text(text))
        case Facts(rows):
            items = [
                {
                    "type": "listItem",
                    "content": [
                        _paragraph(_text(f"{label}: ") | {"marks": [{"type": "strong"}]}, _text(value))
                    ],
                }
                for label, value in rows
            ]
            return {"type": "bulletList", "content": items}
        case Quotes(texts):
            return {"type": "blockquote", "content": [_paragraph(_text(text)) for text in texts]}
        case Code(text, language):
            return {
                "type": "codeBlock",
                "attrs": {"language": language},
                "content": [{"type": "text", "text": clean(text)}],
            }


def _paragraph(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(content)}


def _text(text: str) -> dict[str, Any]:
    # An empty text node is refused.
    return {"type": "text", "text": one_line(text) or " "}
