"""opsanalytics: from what users did and said to a ranked list of what to fix next.

For notebooks: `connect()` opens the published file, `events()` scans the lake; `funnel()`, `funnel_trend()`,
`retention()`, `reconcile()`, `sessions()`, `paths()` and `cohort()` ask questions of such events, of any
table of events, or of the lake itself.
Everything is imported at first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsanalytics.behavior.cohort_spec import Cohort
    from opsanalytics.behavior.journey_spec import Paths, Sessions, UrlGroup
    from opsanalytics.behavior.segments import Segment
    from opsanalytics.behavior.semantics import Semantics
    from opsanalytics.behavior.spec import Exclusion, Filter, Funnel, Retention, Step
    from opsanalytics.notebook import connect, events
    from opsanalytics.queries.answers import FunnelResult, RetentionResult
    from opsanalytics.queries.ask import funnel, funnel_trend, reconcile, retention
    from opsanalytics.queries.journey_answers import CohortResult, PathsResult, SessionsResult
    from opsanalytics.queries.journeys import cohort, paths, sessions

__version__ = "0.1.0"

__all__ = [
    "Cohort",
    "CohortResult",
    "Exclusion",
    "Filter",
    "Funnel",
    "FunnelResult",
    "Paths",
    "PathsResult",
    "Retention",
    "RetentionResult",
    "Segment",
    "Semantics",
    "Sessions",
    "SessionsResult",
    "Step",
    "UrlGroup",
    "__version__",
    "cohort",
    "connect",
    "events",
    "funnel",
    "funnel_trend",
    "paths",
    "reconcile",
    "retention",
    "sessions",
]

_MODULES = {
    "Cohort": "opsanalytics.behavior.cohort_spec",
    "CohortResult": "opsanalytics.queries.journey_answers",
    "Exclusion": "opsanalytics.behavior.spec",
    "Filter": "opsanalytics.behavior.spec",
    "Funnel": "opsanalytics.behavior.spec",
    "FunnelResult": "opsanalytics.queries.answers",
    "Paths": "opsanalytics.behavior.journey_spec",
    "PathsResult": "opsanalytics.queries.journey_answers",
    "Retention": "opsanalytics.behavior.spec",
    "RetentionResult": "opsanalytics.queries.answers",
    "Segment": "opsanalytics.behavior.segments",
    "Semantics": "opsanalytics.behavior.semantics",
    "Sessions": "opsanalytics.behavior.journey_spec",
    "SessionsResult": "opsanalytics.queries.journey_answers",
    "Step": "opsanalytics.behavior.spec",
    "UrlGroup": "opsanalytics.behavior.journey_spec",
    "cohort": "opsanalytics.queries.journeys",
    "connect": "opsanalytics.notebook",
    "events": "opsanalytics.notebook",
    "funnel": "opsanalytics.queries.ask",
    "funnel_trend": "opsanalytics.queries.ask",
    "paths": "opsanalytics.queries.journeys",
    "reconcile": "opsanalytics.queries.ask",
    "retention": "opsanalytics.queries.ask",
    "sessions": "opsanalytics.queries.journeys",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
