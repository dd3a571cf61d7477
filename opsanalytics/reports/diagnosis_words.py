"""What reports call the rows of a drop-off diagnosis."""

from collections.abc import Mapping
from typing import Any

KINDS = {
    "signal": "met",
    "event": "did",
    "repeated": "did often",
    "before": "did just before",
    "segment": "segment",
    "property": "property of the step",
    "person": "property of the person",
}
VERDICTS = {
    "drops_more": "drop out more",
    "stays_more": "go on more",
    "unclear": "unclear",
    "no_finding": "no finding",
}


def what(row: Mapping[str, Any]) -> str:
    """`Error: CARD on /checkout`, `platform: android`, `search`."""
    return f"{row['name']}: {row['value']}" if row["value"] else str(row["name"])
