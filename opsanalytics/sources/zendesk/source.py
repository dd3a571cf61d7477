"""The contract with Zendesk's incremental ticket export, by cursor.

Source: developer.zendesk.com, "Incremental Exports" (10 requests a minute; `end_of_stream`; a ticket
comes again at each change) and "Using the Incremental Export API" (changes of the last minute are left
out; the start must lie before it).
"""

import base64
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from opsanalytics.sources.base import Answer, FeedbackRow
from opsanalytics.sources.json_records import JsonRecord
from opsanalytics.sources.limiter import Limit
from opsanalytics.sources.paging import (
    ApiFeedbackSourceSettings,
    Beside,
    Outline,
    PageRequest,
    Position,
    Supplement,
    items_of,
    list_of,
    page_object,
)
from opsanalytics.sources.values import id_of
from opsanalytics.sources.zendesk.rows import COMMENTS, TicketReader, changed_at, needs_comments

STREAM = "tickets"
LARGEST_PAGE = 1_000
YOUNGEST_START = timedelta(minutes=2)
"""The vendor refuses a start within the last minute; its clock may differ from ours."""
OVERLAP = timedelta(hours=1)
"""Read again when a cursor is no longer valid and the walk has to begin by time."""

MappedField = Literal["app_version", "url", "language", "user_id"]


class ZendeskSettings(ApiFeedbackSourceSettings):
    """One Zendesk Support account, read with an API token, or JSON dumps of its tickets."""

    kind: Literal["zendesk"] = "zendesk"
    record_keys: ClassVar[tuple[str, ...]] = ("tickets",)
    overlapping: ClassVar[bool] = False
    ascending: ClassVar[bool] = True

    subdomain: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]*$")
    """`acme` of acme.zendesk.com; without it and `base_url`, only dumps in the inbox are read."""
    email_env: str = "ZENDESK_EMAIL"
    """Environment variable with the e-mail address of the agent whom the token acts for."""
    token_env: str = "ZENDESK_API_TOKEN"  # noqa: S105 - the name of a variable
    """Environment variable with the API token."""
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    start: date = date(2000, 1, 1)
    """First day of changes to pull."""
    page_size: int = Field(default=LARGEST_PAGE, ge=1, le=LARGEST_PAGE)
    comments: bool = True
    """Ask for the comments of tickets that an agent opened, to find the customer's own words."""
    custom_fields: Mapping[MappedField, str] = Field(default={})
    """What custom ticket fields mean: { app_version = "360012345678" }, by the field's id."""
    requests_per_minute: int = Field(default=10, ge=1)
    comment_requests_per_minute: int = Field(default=100, ge=1)
    """Smallest plans allow 200 requests a minute for everything but the export."""

    @property
    def pulls(self) -> bool:
        return self.subdomain is not None or self.base_url is not None

    @property
    def streams(self) -> tuple[str, ...]:
        return (STREAM,) if self.pulls else ()

    @property
    def host(self) -> str:
        return (self.base_url or f"https://{self.subdomain}.zendesk.com").rstrip("/")

    @property
    def project_key(self) -> str:
        return urlsplit(self.host).netloc

    @property
    def limits(self) -> tuple[Limit, ...]:
        return (Limit(self.requests_per_minute, 60.0),)

    @property
    def supplement_limits(self) -> tuple[Limit, ...]:
        return (Limit(self.comment_requests_per_minute, 60.0),)

    def cleaning_fingerprint(self) -> dict[str, Any]:
        return {**super().cleaning_fingerprint(), "custom_fields": dict(self.custom_fields)}

    def walk_start(self, stream: str, newest: datetime | None, now: datetime) -> Position:  # noqa: ARG002
        begin = newest - OVERLAP if newest else datetime.combine(self.start, time.min, UTC)
        return {"start_time": str(int(min(begin, now - YOUNGEST_START).timestamp()))}

    def page_request(
        self,
        stream: str,  # noqa: ARG002 - there is one
        position: Position,
        environ: Mapping[str, str],
        *,
        smallest: bool = False,
    ) -> PageRequest:
        return self._request(
            "/api/v2/incremental/tickets/cursor.json",
            {**position, "per_page": str(1 if smallest else self.page_size), "include": "users"},
            environ,
        )

    def _request(self, path: str, params: Mapping[str, str], environ: Mapping[str, str]) -> PageRequest:
        email, token = self.secret(environ, "email_env"), self.secret(environ, "token_env")
        basic = base64.b64encode(f"{email}/token:{token}".encode()).decode()
        return PageRequest(
            url=f"{self.host}{path}",
            params=params,
            authorization=f"Basic {basic}",
            secrets=(email, token, basic),
        )

    def outline(self, stream: str, position: Position, content: bytes) -> Outline:  # noqa: ARG002
        page = page_object(content, "tickets", "after_cursor", "end_of_stream")
        tickets = list_of(page, "tickets")
        cursor = page["after_cursor"]
        ended = page["end_of_stream"] is True
        if not isinstance(cursor, str) and not ended:
            raise ValueError("the page has no after_cursor, although the stream has not ended")
        items = items_of(tickets, lambda ticket: id_of(ticket.get("id")), changed_at)
        # the cursor stays: what changes later comes after it
        following = {"cursor": cursor} if isinstance(cursor, str) else None
        return Outline(items, following, ended)

    def advice(self, answer: Answer) -> str:
        if answer.status == 401:
            return (
                f"Check {self.email_env} (an agent's e-mail address, without /token) and {self.token_env} "
                "(an active API token; token access must be switched on in Admin Center)."
            )
        if answer.status == 403:
            return f"The agent of {self.email_env} must be an administrator: only they may export tickets."
        if 300 <= answer.status < 400 or answer.status == 404:
            return f"There is no Zendesk account at {self.host}: check subdomain."
        return f"Check subdomain ({self.subdomain}) and the settings of this source."

    @property
    def supplemented(self) -> bool:
        return self.comments

    def supplements(self, stream: str, content: bytes, now: datetime) -> tuple[Supplement, ...]:  # noqa: ARG002
        return tuple(
            Supplement(f"{COMMENTS}{int(ticket['id'])}", str(ticket.get("updated_at")))
            for ticket in list_of(page_object(content, "tickets"), "tickets")
            if isinstance(ticket, dict) and isinstance(ticket.get("id"), int) and needs_comments(ticket)
        )

    def supplement_request(self, supplement: Supplement, environ: Mapping[str, str]) -> PageRequest:
        ticket = supplement.name.removeprefix(COMMENTS)
        return self._request(f"/api/v2/tickets/{ticket}/comments.json", {"per_page": "100"}, environ)

    def message(self, record: JsonRecord, beside: Beside) -> FeedbackRow:
        return TicketReader(dict(self.custom_fields.items())).message(record, beside)
