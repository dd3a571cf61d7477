"""What Google Analytics itself counts: events by day and name, from the Data API's `runReport`.

For reconciliation only: the API gives no events, and its figures may be thresholded.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import requests
import tenacity
from pydantic import BaseModel, ConfigDict, Field

from opsanalytics.sources.errors import (
    CredentialError,
    LimitError,
    RequestError,
    SourceError,
    UnavailableError,
)
from opsanalytics.sources.http import CONNECT_TIMEOUT_SECONDS, TRANSPORT_ERRORS, new_session
from opsanalytics.sources.totals import VendorTotals

SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
PAGE_ROWS = 100_000
READ_TIMEOUT_SECONDS = 120.0
ATTEMPTS = 5
INEXACT = ("dataLossFromOtherRow", "subjectToThresholding")
"""What the API says if it lumped rare rows together, or left some out."""


class TotalsSettings(BaseModel):
    """`[sources.totals]`: asks the Data API how many events it counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    property_id: str = Field(pattern=r"^\d+$", coerce_numbers_to_str=True)
    credentials_env: str = "GOOGLE_APPLICATION_CREDENTIALS"
    """Environment variable with the path of a service account's key file (JSON)."""
    base_url: str = Field(default="https://analyticsdata.googleapis.com", pattern=r"^https?://[^\s?#]+$")
    backoff_seconds: float = Field(default=2.0, ge=0)
    """First pause after an answer that another try can help; doubles each time."""


class TryAgainError(Exception):
    """An answer that another try can help."""

    def __init__(self, error: SourceError) -> None:
        super().__init__(str(error))
        self.error = error


def fetch_totals(
    settings: TotalsSettings, source: str, first: date, last: date, environ: Mapping[str, str]
) -> VendorTotals:
    """Events by day (of the property's zone) and name, for the days `first` to `last`, inclusive.

    Raises:
        SourceError: no credentials, or the API could not deliver. The message holds no secret.
    """
    token = access_token(settings, source, environ)
    found: dict[date, dict[str, int]] = {}
    rows = 0
    exact = True
    with new_session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        while True:
            page = run_report(session, settings, source, first, last, rows)
            notes = page.get("metadata", {})
            exact = exact and not any(notes.get(name) for name in INEXACT)
            for day, event, count in page_rows(page):
                found.setdefault(day, {})[event] = count
                rows += 1
            if not page.get("rows") or rows >= int(page.get("rowCount", 0)):
                events = {day: dict(sorted(found[day].items())) for day in sorted(found)}
                return VendorTotals(events, exact)


def access_token(settings: TotalsSettings, source: str, environ: Mapping[str, str]) -> str:
    """A token of the service account whose key file the environment names."""
    import google.auth.exceptions
    import google.auth.transport.requests
    from google.oauth2 import service_account

    path = environ.get(settings.credentials_env, "").strip()
    if not path or not Path(path).is_file():
        raise CredentialError(
            f"source {source}: the environment variable {settings.credentials_env} (totals.credentials_env) "
            "must hold the path of a service account's key file; it is not set, or there is no such file."
        )
    try:
        read = service_account.Credentials.from_service_account_file
        credentials = read(path, scopes=[SCOPE])  # type: ignore[no-untyped-call]  # no types there
        credentials.refresh(google.auth.transport.requests.Request())
    except (ValueError, google.auth.exceptions.GoogleAuthError) as error:
        raise CredentialError(
            f"source {source}: no access with the key file that {settings.credentials_env} names: "
            f"{type(error).__name__}. Make a new key for the service account."
        ) from error
    return str(credentials.token)


def run_report(
    session: requests.Session, settings: TotalsSettings, source: str, first: date, last: date, offset: int
) -> dict[str, Any]:
    """One page of the report."""
    body = {
        "dateRanges": [{"startDate": first.isoformat(), "endDate": last.isoformat()}],
        "dimensions": [{"name": "date"}, {"name": "eventName"}],
        "metrics": [{"name": "eventCount"}],
        "orderBys": [{"dimension": {"dimensionName": name}} for name in ("date", "eventName")],
        "limit": str(PAGE_ROWS),
        "offset": str(offset),
    }
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TryAgainError),
        wait=tenacity.wait_random_exponential(multiplier=settings.backoff_seconds, max=120),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    try:
        answer: dict[str, Any] = retrying(ask, session, settings, source, body)
    except TryAgainError as error:
        raise error.error from error
    return answer


def ask(
    session: requests.Session, settings: TotalsSettings, source: str, body: dict[str, Any]
) -> dict[str, Any]:
    """One request. Raises `TryAgainError`, or `SourceError` where no other try can help."""
    url = f"{settings.base_url.rstrip('/')}/v1beta/properties/{settings.property_id}:runReport"
    what = f"source {source}: totals of property {settings.property_id}"
    try:
        response = session.post(
            url, json=body, timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS), allow_redirects=False
        )
        page = response.json() if response.status_code == 200 else {}
    except (json.JSONDecodeError, *TRANSPORT_ERRORS) as error:
        raise TryAgainError(UnavailableError(f"{what}: no whole answer: {error}")) from error
    if response.status_code == 200 and isinstance(page, dict):
        return page
    said = f"{what}: HTTP {response.status_code} ({response.text[:300]})"
    if response.status_code == 429:
        raise TryAgainError(LimitError(f"{said}. The property's quota is used up; run again in an hour."))
    if response.status_code >= 500 or response.status_code == 200:
        raise TryAgainError(UnavailableError(said))
    if response.status_code in (401, 403):
        raise CredentialError(f"{said}. Give the service account the role Viewer for this property.")
    raise RequestError(f"{said}. Check totals.property_id and totals.base_url.")


def page_rows(page: dict[str, Any]) -> list[tuple[date, str, int]]:
    rows = []
    for row in page.get("rows", ()):
        day, event = (value["value"] for value in row["dimensionValues"])
        moment = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        rows.append((moment.date(), event, int(row["metricValues"][0]["value"])))
    return rows
