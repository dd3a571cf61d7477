"""A tracker from its settings and credentials."""

from collections.abc import Mapping
from typing import Any

from opsanalytics.improvement.trackers.github import GitHub
from opsanalytics.improvement.trackers.issues import Tracker
from opsanalytics.improvement.trackers.jira import Jira
from opsanalytics.improvement.trackers.linear import Linear
from opsanalytics.improvement.trackers.settings import (
    GitHubSettings,
    JiraSettings,
    LinearSettings,
    TrackerSettings,
)
from opsanalytics.lake.paths import Home


def connect(settings: TrackerSettings, home: Home, environ: Mapping[str, str], **options: Any) -> Tracker:
    """The tracker; asks it nothing yet.

    Raises:
        TrackerError: a credential is not set.
    """
    match settings:
        case GitHubSettings():
            return GitHub(settings, home, settings.secret(environ, "token_env"), **options)
        case JiraSettings():
            email = settings.secret(environ, "email_env")
            return Jira(settings, home, email, settings.secret(environ, "token_env"), **options)
        case LinearSettings():
            return Linear(settings, home, settings.secret(environ, "api_key_env"), **options)
    raise TypeError(f"{type(settings).__name__} is no tracker")
