"""Text that users wrote, made harmless for HTML, Plotly labels, scripts and anchors."""

import hashlib
import json
import re
from typing import Any

from opsanalytics.cleaning.printable import one_line

# Plotly reads a subset of HTML in labels, decodes entities, and hands `$...$` to MathJax if that is loaded.
_PLOTLY = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"})


def plotly_label(text: str, limit: int | None = None) -> str:
    """`text` so that Plotly shows it letter for letter in labels, ticks and hovers."""
    return one_line(text, limit).translate(_PLOTLY)


def script_json(value: Any) -> str:
    """`value` as JSON that may stand inside a script element: no `<`, `>` or `&` in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def anchor(prefix: str, name: str) -> str:
    """A fragment id for `name`: stable, unique, made of letters, digits and hyphens only.

    Without a prefix a name that is fit for an id stays as it is, so that links made elsewhere meet it.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if slug != name or len(slug) > 48:
        slug = f"{slug[:48].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")
    return f"{prefix}-{slug}" if prefix else slug
