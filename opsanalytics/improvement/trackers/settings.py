"""`[[trackers]]`: where issues about items are kept. Names of environment variables, never a secret."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from opsanalytics.improvement.trackers.errors import TrackerError
from opsanalytics.sources.limiter import Limit

DecidedState = Literal["accepted", "planned", "in_progress", "regressed", "did_not_work"]
_LOCAL = ("127.0.0.1", "localhost", "::1")


class TrackerSettings(BaseModel, ABC):
    """What all trackers have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    kind: str
    send: bool = False
    """Whether scheduled runs change the tracker. If not, they only say what they would do."""
    states: tuple[DecidedState, ...] = ("accepted", "planned", "in_progress", "regressed", "did_not_work")
    """An issue is made for an item in one of these; once made it is kept up to date in every state."""
    quotes: bool = True
    """Whether quotes of users, redacted, are part of the issue."""
    labels: tuple[str, ...] = ("opsanalytics",)
    attempts: int = Field(default=4, ge=1, le=10)
    """Attempts at a request that may be repeated without harm."""
    backoff_seconds: float = Field(default=1.0, ge=0)
    timeout_seconds: float = Field(default=30.0, gt=0)
    patience_seconds: float = Field(default=120.0, ge=0)
    """How long to wait at most when the tracker says that it is asked too often."""

    limits: ClassVar[tuple[Limit, ...]]
    """Requests that change something, over all processes of one home."""
    read_limits: ClassVar[tuple[Limit, ...]]

    @property
    @abstractmethod
    def project(self) -> str:
        """What in the tracker the issues belong to; another one means other issues."""

    def secret(self, environ: Mapping[str, str], setting: str) -> str:
        """Value of the environment variable that `setting` names.

        Raises:
            TrackerError: it is not set or empty.
        """
        variable: str = getattr(self, setting)
        value = environ.get(variable, "").strip()
        if not value:
            raise TrackerError(
                f"tracker {self.name}: the environment variable {variable} ({setting}) is not set. "
                f"Set it, for example `export {variable}=...`, or name another variable in {setting}."
            )
        return value


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.username:
        raise ValueError(f"{value!r} is not an address such as 'https://api.example.com'")
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise ValueError(f"{value!r} would send credentials in the clear; use https")
    return value.rstrip("/")


class GitHubSettings(TrackerSettings):
    """Issues of one repository. The token needs `Issues: read and write`, and push access for labels."""

    kind: Literal["github"]
    repository: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    token_env: str = "GITHUB_TOKEN"  # noqa: S105 - the name of a variable
    base_url: str = "https://api.github.com"

    # Secondary limits: 80 requests a minute and 500 an hour that create content; writes a second apart.
    limits = (Limit(1, 1.0), Limit(70, 60.0), Limit(450, 3_600.0))
    read_limits = (Limit(4_000, 3_600.0),)
    _checked_url = field_validator("base_url")(_base_url)

    @property
    def project(self) -> str:
        return self.repository.lower()


class JiraSettings(TrackerSettings):
    """Issues of one Jira Cloud project."""

    kind: Literal["jira"]
    site: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]*$")
    """The first part of `https://SITE.atlassian.net`."""
    base_url: str | None = None
    """In place of `site`: the whole address."""
    project_key: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$")
    issue_type: str = Field(default="Task", min_length=1)
    """Name of the issue type."""
    email_env: str = "JIRA_EMAIL"
    token_env: str = "JIRA_API_TOKEN"  # noqa: S105 - the name of a variable
    dropped_resolutions: tuple[str, ...] = (
        "Won't Do",
        "Won't Fix",
        "Duplicate",
        "Cannot Reproduce",
        "Declined",
    )
    """Resolutions that mean that nothing was shipped."""
    index_lag_seconds: float = Field(default=5.0, ge=0)
    """A new issue is found by search only after some seconds: how long to wait before looking for it."""
    settle_seconds: float = Field(default=900.0, ge=0)
    """An issue that cannot be found so long after its creation was in doubt does not exist."""

    limits = (Limit(1, 1.0), Limit(60, 60.0))
    read_limits = (Limit(10, 1.0),)

    @field_validator("base_url")
    @classmethod
    def _checked_url(cls, value: str | None) -> str | None:
        return None if value is None else _base_url(value)

    @field_validator("labels")
    @classmethod
    def _no_spaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for label in value:
            if re.search(r"\s", label):
                raise ValueError(f"{label!r} has a space, which Jira's labels cannot have")
        return value

    @property
    def address(self) -> str:
        """Without a slash at the end."""
        return self.base_url or f"https://{self.site}.atlassian.net"

    @property
    def project(self) -> str:
        return f"{self.site or self.base_url}/{self.project_key}"

    def model_post_init(self, _: object) -> None:
        if (self.site is None) == (self.base_url is None):
            raise ValueError("give `site` (of https://SITE.atlassian.net) or `base_url`, one of them")


class LinearSettings(TrackerSettings):
    """Issues of one Linear team."""

    kind: Literal["linear"]
    team_id: str
    """UUID of the team: in Linear, Cmd+K, “Copy model UUID”."""
    api_key_env: str = "LINEAR_API_KEY"
    base_url: str = "https://api.linear.app"
    labels: tuple[str, ...] = ()
    """UUIDs of labels."""

    limits = (Limit(1, 0.5), Limit(60, 60.0), Limit(700, 3_600.0))
    read_limits = (Limit(700, 3_600.0),)
    _checked_url = field_validator("base_url")(_base_url)

    @field_validator("team_id")
    @classmethod
    def _is_uuid(cls, value: str) -> str:
        try:
            return str(UUID(value))
        except ValueError:
            raise ValueError(f"{value!r} is not the UUID of a team") from None

    @field_validator("labels")
    @classmethod
    def _are_uuids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(cls._is_uuid, value))

    @property
    def project(self) -> str:
        return self.team_id


AnyTracker = Annotated[GitHubSettings | JiraSettings | LinearSettings, Field(discriminator="kind")]
