"""Failing rows as one line of text that helps to find them and gives nobody away."""

import hashlib
import math
import re
from datetime import UTC, datetime
from typing import Any

EXAMPLES = 5

SHOWN_IN_FULL = frozenset(
    {
        "event", "source_event", "source", "ts", "received_at", "platform", "os", "browser", "app_version",
        "country", "language", "rating", "rating_min", "rating_max", "satisfaction", "rows", "usual_events",
        "plan_declared", "plan_required", "plan_types", "plan_values", "plan_blocking",
    }
)  # fmt: skip
"""Columns that say nothing about a single person."""

_EMAIL = re.compile(r"\s*([^@\s])[^@\s]*@[^@\s]+\s*")


def example(row: dict[str, Any]) -> str:
    """`column=value, ...` of a failing row, in the order given, values outside SHOWN_IN_FULL redacted."""
    return ", ".join(
        f"{name}={_plain(value) if name in SHOWN_IN_FULL else redact(value)}" for name, value in row.items()
    )


def redact(value: Any) -> str:
    """Length and the first 8 digits of the SHA-256; an e-mail address shows its first letter.

    `WHERE sha256(column)[1:8] = '...'` finds the row in DuckDB.
    """
    if value is None:
        return "null"
    text = str(value)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    email = _EMAIL.fullmatch(text)
    shape = f"{email[1]}***@***" if email else f"{len(text)} characters"
    return f"<{shape}, sha256 {digest}>"


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "null"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    # Names come from clients too: one line, of bounded length.
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:79]}…"
