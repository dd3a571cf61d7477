"""opsanalytics: from what users did and said to a ranked list of what to fix next.

For notebooks: `connect()` opens the published file, `events()` scans the lake; `funnel()`, `funnel_trend()`,
`retention()` and `reconcile()` ask questions of such events, of any table of events, or of the lake itself.
Everything is imported at first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsanalytics.behavior.segments import Segment
    from opsanalytics.behavior.semantics import Semantics
    from opsanalytics.behavior.spec import Exclusion, Filter, Funnel, Retention, Step
    from opsanalytics.notebook import connect, events
    from opsanalytics.queries.answers import FunnelResult, RetentionResult
    from opsanalytics.queries.ask import funnel, funnel_trend, reconcile, retention

__version__ = "0.1.0"

__all__ = [
    "Exclusion",
    "Filter",
    "Funnel",
    "FunnelResult",
    "Retention",
    "RetentionResult",
    "Segment",
    "Semantics",
    "Step",
    "__version__",
    "connect",
    "events",
    "funnel",
    "funnel_trend",
    "reconcile",
    "retention",
]

_MODULES = {
    "Exclusion": "opsanalytics.behavior.spec",
    "Filter": "opsanalytics.behavior.spec",
    "Funnel": "opsanalytics.behavior.spec",
    "FunnelResult": "opsanalytics.queries.answers",
    "Retention": "opsanalytics.behavior.spec",
    "RetentionResult": "opsanalytics.queries.answers",
    "Segment": "opsanalytics.behavior.segments",
    "Semantics": "opsanalytics.behavior.semantics",
    "Step": "opsanalytics.behavior.spec",
    "connect": "opsanalytics.notebook",
    "events": "opsanalytics.notebook",
    "funnel": "opsanalytics.queries.ask",
    "funnel_trend": "opsanalytics.queries.ask",
    "reconcile": "opsanalytics.queries.ask",
    "retention": "opsanalytics.queries.ask",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
