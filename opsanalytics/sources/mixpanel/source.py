"""The contract with Mixpanel's raw export endpoint.

Source: Mixpanel's OpenAPI descriptions of the export and query APIs, its pages on rate limits and
project secrets, and what its users found: an export that was given up ends in "terminated early"
under status 200.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator

from opsanalytics.sources.base import (
    Answer,
    Deduplication,
    EventApiSettings,
    IdentityRules,
    Line,
    ParsedLines,
    Request,
    Verdict,
)
from opsanalytics.sources.limiter import Limit
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.mixpanel.fast import MANY_BYTES, parse_records
from opsanalytics.sources.mixpanel.reserved import RESERVED
from opsanalytics.sources.mixpanel.rows import DEVICE_PREFIX, IDENTITY_VERBS, parse_lines
from opsanalytics.sources.windows import DAY, Window, midnight

HOSTS = {
    "us": "https://data.mixpanel.com",
    "eu": "https://data-eu.mixpanel.com",
    "in": "https://data-in.mixpanel.com",
}
QUERY_HOSTS = {
    "us": "https://mixpanel.com",
    "eu": "https://eu.mixpanel.com",
    "in": "https://in.mixpanel.com",
}
"""Hosts of the query API: profiles, names of events."""
SECRET_RETIRED = date(2027, 3, 3)
MOST_NAMES = 10_000
EXPORT_LAG = timedelta(hours=1)
"""Events that Mixpanel has just received can be missing from an export for about 45 minutes."""


class MixpanelSettings(EventApiSettings):
    """One Mixpanel project, read with a service account (or, while it lasts, its project secret)."""

    kind: Literal["mixpanel"] = "mixpanel"
    unit: ClassVar[timedelta] = DAY
    body: ClassVar[Literal["jsonl", "zip"]] = "jsonl"
    record_member: ClassVar[str | None] = "event"
    deduplication: ClassVar[Deduplication] = Deduplication(newest_delivery_wins=True)
    clock_setting: ClassVar[str | None] = "project_timezone"
    id_prefixes: ClassVar[tuple[str, ...]] = (DEVICE_PREFIX,)
    vendor_properties: ClassVar[frozenset[str]] = RESERVED

    project_id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    username_env: str = "MIXPANEL_USERNAME"
    """Environment variable with the service account's user name."""
    secret_env: str = "MIXPANEL_SECRET"  # noqa: S105 - the name of a variable
    """Environment variable with the service account's secret."""
    project_secret_env: str | None = None
    """Environment variable with the project's secret, instead of a service account. Deprecated."""
    region: Literal["us", "eu", "in"] = "us"
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    project_timezone: str = "UTC"
    """The project's zone if it was created before 2023 (its export is then in local time), else UTC."""
    lookback_days: int = Field(default=5, ge=0)
    """Days that are fetched again because late events may still arrive."""
    deep_lookback_days: int = Field(default=30, ge=0)
    """Every day is fetched a last time when it is this old, week by week: events that a server imports
    may be of any age. 0: never."""
    identity: Literal["auto", "simplified", "original"] = "auto"
    """How the project merges ids. `auto`: original if its export has events that state a merge."""
    profiles: bool = False
    """Whether to fetch the user profiles too: one request a thousand profiles, of the query API's 60 an
    hour."""
    requests_per_hour: int = Field(default=60, ge=1)
    requests_per_second: int = Field(default=3, ge=1)

    @field_validator("project_id", mode="before")
    @classmethod
    def _project_id_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("project_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not a time zone; write an IANA name such as 'Europe/Berlin'")
        return value

    @property
    def host(self) -> str:
        return (self.base_url or HOSTS[self.region]).rstrip("/")

    @property
    def query_host(self) -> str:
        return (self.base_url or QUERY_HOSTS[self.region]).rstrip("/")

    @property
    def variables(self) -> tuple[str, ...]:
        if self.project_secret_env is not None:
            return (self.project_secret_env,)
        return (self.username_env, self.secret_env)

    @property
    def notices(self) -> tuple[str, ...]:
        if self.project_secret_env is None:
            return ()
        return (
            f"project_secret_env: Mixpanel retires project secrets on {SECRET_RETIRED}. Create a service "
            "account for the project and name its variables in username_env and secret_env instead.",
        )

    @property
    def identity_rules(self) -> IdentityRules:
        rules: dict[str, IdentityRules] = {
            "auto": "detect", "simplified": "devices", "original": "verbs"
        }  # fmt: skip
        return rules[self.identity]

    @property
    def profiles_landed_as(self) -> str:
        return f"{self.name}.profiles"

    def landed_project(self, environ: Mapping[str, str]) -> str:  # noqa: ARG002 - needs no credential
        return self.project_id

    @property
    def identity_verbs(self) -> frozenset[str]:
        return IDENTITY_VERBS

    @property
    def project_key(self) -> str:
        return f"{urlsplit(self.host).netloc}/{self.project_id}"

    @property
    def limits(self) -> tuple[Limit, ...]:
        return (Limit(self.requests_per_second, 1.0), Limit(self.requests_per_hour, 3_600.0))

    @property
    def vendor_zone(self) -> ZoneInfo:
        return ZoneInfo(self.project_timezone)

    def cleaning_fingerprint(self) -> dict[str, Any]:
        return {**super().cleaning_fingerprint(), "project_timezone": self.project_timezone}

    def request(self, window: Window, environ: Mapping[str, str]) -> Request:
        return Request(
            url=f"{self.host}/api/2.0/export",
            params={
                "project_id": self.project_id,
                "from_date": window.first_day.isoformat(),
                "to_date": window.last_day.isoformat(),  # inclusive
                "time_in_ms": "true",
            },
            auth=self.credentials(environ),
        )

    def credentials(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """User and password of Basic authentication. Raises `CredentialError` if one is missing."""
        if self.project_secret_env is not None:
            return self.secret(environ, "project_secret_env"), ""
        return self.secret(environ, "username_env"), self.secret(environ, "secret_env")

    def narrowed(self, request: Request, events: Sequence[str]) -> Request:
        return replace(request, params={**request.params, "event": json.dumps(list(events))})

    def profiles_request(self, page: int, session_id: str | None, environ: Mapping[str, str]) -> Request:
        """One page of the user profiles; `session_id` is that of the first page."""
        form = {"page": str(page)} | ({"session_id": session_id} if session_id is not None else {})
        return Request(
            url=f"{self.query_host}/api/query/engage",
            params={"project_id": self.project_id},
            auth=self.credentials(environ),
            form=form,
        )

    def names_request(self, environ: Mapping[str, str]) -> Request:
        """The most common names of the last 31 days, which is as far as Mixpanel tells them."""
        return Request(
            url=f"{self.query_host}/api/query/events/names",
            params={"project_id": self.project_id, "type": "general", "limit": str(MOST_NAMES)},
            auth=self.credentials(environ),
        )

    def verdict(self, answer: Answer, window: Window) -> Verdict:  # noqa: ARG002 - the size does not matter
        text = answer.text.lower()
        if answer.status == 429:
            return "wait"
        if answer.status in (401, 403) or (answer.status == 400 and "authenticate" in text):
            return "credentials"
        if answer.status in (413, 504) or (answer.status == 400 and "too large" in text):
            return "smaller"
        return "retry" if answer.status >= 500 or answer.status == 408 else "refused"

    def advice(self, answer: Answer) -> str:
        text = answer.text.lower()
        if answer.status == 401 or "authenticate" in text:
            if self.project_secret_env is not None:
                return (
                    f"Check {self.project_secret_env}: it must be the secret of project {self.project_id}. "
                    f"Mixpanel retires these on {SECRET_RETIRED}; use a service account."
                )
            return (
                f"Check {self.username_env} and {self.secret_env}: they must be a service account's "
                f"user name and secret, and the account must be a member of project {self.project_id}."
            )
        if answer.status == 402:
            return "The project's Mixpanel plan does not include API exports; ask its owner."
        if answer.status == 403:
            return (
                f"The service account may not read project {self.project_id}, or the project lives in "
                f"another region than region = '{self.region}' (us, eu or in)."
            )
        if "later than today" in text:
            return (
                f"It is still an earlier day in the project's own zone: project_timezone = "
                f"'{self.project_timezone}' does not match the project settings in Mixpanel."
            )
        if 300 <= answer.status < 400 or answer.status == 404:
            return f"{self.host} is not an export host; check region and base_url."
        return f"Check project_id ({self.project_id}) and the settings of this source."

    def available_until(self, now: datetime) -> datetime:
        """Through the current day: the vendor refuses days that have not begun in its zone."""
        return midnight(self.to_wall(now).date()) + DAY

    def certain_until(self, now: datetime) -> datetime:
        return midnight(self.to_wall(now).date())

    def complete_until(self, fetched_at: datetime) -> datetime:
        return self.to_wall(fetched_at - EXPORT_LAG)

    def settled_until(self, fetched_at: datetime) -> datetime:
        return midnight(self.to_wall(fetched_at).date()) - timedelta(days=self.lookback_days)

    def once_more(self, fetched_at: datetime, now: datetime) -> Window | None:
        if not self.deep_lookback_days:
            return None
        reach = timedelta(days=self.deep_lookback_days)
        start, end = (this_week(self.to_wall(moment)) - reach for moment in (fetched_at, now))
        return Window(start, end) if end > start else None

    def parse(self, lines: Sequence[Line]) -> ParsedLines:
        return parse_lines(self.name, self.vendor_zone, lines)

    def parse_records(self, records: RawLines) -> ParsedLines:
        if len(records.content) < MANY_BYTES:
            return super().parse_records(records)
        return parse_records(self.name, self.vendor_zone, records, super().parse_records)


def this_week(wall: datetime) -> datetime:
    """Start of the Monday of a week."""
    return midnight(wall.date() - timedelta(days=wall.weekday()))
