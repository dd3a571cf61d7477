"""opsanalytics: from what users did and said to a ranked list of what to fix next.

For notebooks: `connect()` opens the published file, `events()` scans the lake; `funnel()`, `funnel_trend()`,
`retention()`, `reconcile()`, `lifecycle()`, `stickiness()`, `usage_interval()`, `trends()`, `sessions()`,
`paths()`, `cohort()` and `diagnose()` ask questions of such events, of any table of events, or of the lake
itself. Everything is imported at first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsanalytics.behavior.activity_spec import Lifecycle, Stickiness, UsageInterval
    from opsanalytics.behavior.cohort_spec import Cohort
    from opsanalytics.behavior.diagnosis_spec import Diagnosis
    from opsanalytics.behavior.journey_spec import Paths, Sessions, UrlGroup
    from opsanalytics.behavior.segments import Segment
    from opsanalytics.behavior.semantics import Semantics
    from opsanalytics.behavior.spec import Exclusion, Filter, Funnel, Retention, Step
    from opsanalytics.behavior.trends_spec import Formula, Series, Trends
    from opsanalytics.notebook import connect, events
    from opsanalytics.queries.activity import lifecycle, stickiness, trends, usage_interval
    from opsanalytics.queries.activity_answers import (
        LifecycleResult,
        StickinessResult,
        TrendsResult,
        UsageIntervalResult,
    )
    from opsanalytics.queries.answers import FunnelResult, RetentionResult
    from opsanalytics.queries.ask import funnel, funnel_trend, reconcile, retention
    from opsanalytics.queries.diagnosis import DiagnosisResult, diagnose
    from opsanalytics.queries.journey_answers import CohortResult, PathsResult, SessionsResult
    from opsanalytics.queries.journeys import cohort, paths, sessions

__version__ = "0.1.0"

__all__ = [
    "Cohort",
    "CohortResult",
    "Diagnosis",
    "DiagnosisResult",
    "Exclusion",
    "Filter",
    "Formula",
    "Funnel",
    "FunnelResult",
    "Lifecycle",
    "LifecycleResult",
    "Paths",
    "PathsResult",
    "Retention",
    "RetentionResult",
    "Segment",
    "Semantics",
    "Series",
    "Sessions",
    "SessionsResult",
    "Step",
    "Stickiness",
    "StickinessResult",
    "Trends",
    "TrendsResult",
    "UrlGroup",
    "UsageInterval",
    "UsageIntervalResult",
    "__version__",
    "cohort",
    "connect",
    "diagnose",
    "events",
    "funnel",
    "funnel_trend",
    "lifecycle",
    "paths",
    "reconcile",
    "retention",
    "sessions",
    "stickiness",
    "trends",
    "usage_interval",
]

_MODULES = {
    "Cohort": "opsanalytics.behavior.cohort_spec",
    "CohortResult": "opsanalytics.queries.journey_answers",
    "Diagnosis": "opsanalytics.behavior.diagnosis_spec",
    "DiagnosisResult": "opsanalytics.queries.diagnosis",
    "Exclusion": "opsanalytics.behavior.spec",
    "Filter": "opsanalytics.behavior.spec",
    "Formula": "opsanalytics.behavior.trends_spec",
    "Funnel": "opsanalytics.behavior.spec",
    "FunnelResult": "opsanalytics.queries.answers",
    "Lifecycle": "opsanalytics.behavior.activity_spec",
    "LifecycleResult": "opsanalytics.queries.activity_answers",
    "Paths": "opsanalytics.behavior.journey_spec",
    "PathsResult": "opsanalytics.queries.journey_answers",
    "Retention": "opsanalytics.behavior.spec",
    "RetentionResult": "opsanalytics.queries.answers",
    "Segment": "opsanalytics.behavior.segments",
    "Semantics": "opsanalytics.behavior.semantics",
    "Series": "opsanalytics.behavior.trends_spec",
    "Sessions": "opsanalytics.behavior.journey_spec",
    "SessionsResult": "opsanalytics.queries.journey_answers",
    "Step": "opsanalytics.behavior.spec",
    "Stickiness": "opsanalytics.behavior.activity_spec",
    "StickinessResult": "opsanalytics.queries.activity_answers",
    "Trends": "opsanalytics.behavior.trends_spec",
    "TrendsResult": "opsanalytics.queries.activity_answers",
    "UrlGroup": "opsanalytics.behavior.journey_spec",
    "UsageInterval": "opsanalytics.behavior.activity_spec",
    "UsageIntervalResult": "opsanalytics.queries.activity_answers",
    "cohort": "opsanalytics.queries.journeys",
    "connect": "opsanalytics.notebook",
    "diagnose": "opsanalytics.queries.diagnosis",
    "events": "opsanalytics.notebook",
    "funnel": "opsanalytics.queries.ask",
    "funnel_trend": "opsanalytics.queries.ask",
    "lifecycle": "opsanalytics.queries.activity",
    "paths": "opsanalytics.queries.journeys",
    "reconcile": "opsanalytics.queries.ask",
    "retention": "opsanalytics.queries.ask",
    "sessions": "opsanalytics.queries.journeys",
    "stickiness": "opsanalytics.queries.activity",
    "trends": "opsanalytics.queries.activity",
    "usage_interval": "opsanalytics.queries.activity",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
