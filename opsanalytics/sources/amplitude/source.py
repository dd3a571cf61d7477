"""The contract with Amplitude's export endpoint.

Source: Amplitude's page on the Export API. It selects by hour of upload, not by time of the event:
late events come in new hours, and an hour once complete does not change.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from opsanalytics.sources.amplitude.rows import IDENTITY_VERBS, REST, parse_lines
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
from opsanalytics.sources.windows import HOUR, Window

HOSTS = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
READY_AFTER = timedelta(hours=3)
"""Data received from 20:00 to 21:00 are loaded at 21:00 and can be exported at 23:00."""
SETTLED_AFTER = timedelta(hours=6)
"""That delay is a minimum: an hour fetched earlier than this after its end is fetched once more."""


class AmplitudeSettings(EventApiSettings):
    """One Amplitude project, read with its API key and secret key."""

    kind: Literal["amplitude"] = "amplitude"
    unit: ClassVar[timedelta] = HOUR
    body: ClassVar[Literal["jsonl", "zip"]] = "zip"
    deduplication: ClassVar[Deduplication] = Deduplication(newest_delivery_wins=False, second_key_days=1)
    properties_rest: ClassVar[str | None] = REST
    vendor_properties: ClassVar[frozenset[str]] = frozenset({REST})

    api_key_env: str = "AMPLITUDE_API_KEY"
    """Environment variable with the project's API key."""
    secret_key_env: str = "AMPLITUDE_SECRET_KEY"  # noqa: S105 - the name of a variable
    """Environment variable with the project's secret key."""
    region: Literal["us", "eu"] = "us"
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    requests_per_hour: int = Field(default=360, ge=1)
    """Amplitude publishes no limit for this endpoint; downloads also never run in parallel."""
    requests_per_second: int = Field(default=5, ge=1)

    @property
    def host(self) -> str:
        return (self.base_url or HOSTS[self.region]).rstrip("/")

    @property
    def identity_verbs(self) -> frozenset[str]:
        return IDENTITY_VERBS

    @property
    def project_key(self) -> str:
        """The variable of the API key stands for it where no secret is at hand."""
        return f"{urlsplit(self.host).netloc}/{self.api_key_env}"

    def limited_by(self, environ: Mapping[str, str]) -> str:
        """The vendor counts by API key, whatever variable holds it."""
        return f"{urlsplit(self.host).netloc}/{self.secret(environ, 'api_key_env')}"

    def landed_project(self, environ: Mapping[str, str]) -> str:
        return self.secret(environ, "api_key_env")

    @property
    def identity_rules(self) -> IdentityRules:
        return "vendor_ids"

    @property
    def limits(self) -> tuple[Limit, ...]:
        return (Limit(self.requests_per_second, 1.0), Limit(self.requests_per_hour, 3_600.0))

    def request(self, window: Window, environ: Mapping[str, str]) -> Request:
        return Request(
            url=f"{self.host}/api/2/export",
            params={
                "start": f"{window.start:%Y%m%dT%H}",
                "end": f"{window.end - HOUR:%Y%m%dT%H}",  # inclusive
            },
            auth=(self.secret(environ, "api_key_env"), self.secret(environ, "secret_key_env")),
        )

    def verdict(self, answer: Answer, window: Window) -> Verdict:  # noqa: ARG002 - the size does not matter
        if answer.status == 404:
            return "empty"
        if answer.status == 429:
            return "wait"
        if answer.status in (401, 403):
            return "credentials"
        if answer.status in (400, 413, 504):
            return "smaller"
        return "retry" if answer.status >= 500 or answer.status == 408 else "refused"

    def advice(self, answer: Answer) -> str:
        if answer.status in (401, 403):
            return (
                f"Check {self.api_key_env} and {self.secret_key_env}: they must be the API key and the "
                f"secret key of the project, and region = '{self.region}' must be the project's (us or eu)."
            )
        if answer.status in (400, 413):
            return (
                "If a single hour exceeds 4 GB, this endpoint cannot deliver it; use Amplitude's export to "
                "Amazon S3 instead."
            )
        return f"{self.host} is not an export host; check region and base_url."

    def available_until(self, now: datetime) -> datetime:
        """Hour H can be fetched at H + 3 h."""
        return floor_hour(self.to_wall(now - READY_AFTER)) + HOUR

    def certain_until(self, now: datetime) -> datetime:
        return floor_hour(self.to_wall(now - READY_AFTER))

    def complete_until(self, fetched_at: datetime) -> datetime:
        return self.available_until(fetched_at)

    def settled_until(self, fetched_at: datetime) -> datetime:
        return floor_hour(self.to_wall(fetched_at - SETTLED_AFTER))

    def parse(self, lines: Sequence[Line]) -> ParsedLines:
        return parse_lines(self.name, lines)


def floor_hour(wall: datetime) -> datetime:
    return wall.replace(minute=0, second=0, microsecond=0)
