"""opsanalytics: from what users did and said to a ranked list of what to fix next.

For notebooks: `connect()` opens the published file, `events()` scans the lake, `funnel()` and
`retention()` evaluate a `Funnel` or a `Retention` on such events. Everything is imported at first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsanalytics.behavior.funnel import funnel
    from opsanalytics.behavior.retention import retention
    from opsanalytics.behavior.spec import Filter, Funnel, Retention, Step
    from opsanalytics.notebook import connect, events

__version__ = "0.1.0"

__all__ = [
    "Filter",
    "Funnel",
    "Retention",
    "Step",
    "__version__",
    "connect",
    "events",
    "funnel",
    "retention",
]

_MODULES = {
    "Filter": "opsanalytics.behavior.spec",
    "Funnel": "opsanalytics.behavior.spec",
    "Retention": "opsanalytics.behavior.spec",
    "Step": "opsanalytics.behavior.spec",
    "connect": "opsanalytics.notebook",
    "events": "opsanalytics.notebook",
    "funnel": "opsanalytics.behavior.funnel",
    "retention": "opsanalytics.behavior.retention",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
