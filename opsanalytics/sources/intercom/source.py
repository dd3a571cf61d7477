"""The contract with Intercom's conversation search.

Source: Intercom's OpenAPI description (descriptions/2.16): `POST /conversations/search`, at most 150 a
page, `pages.next.starting_after`; times in epoch seconds. A conversation alone has its parts, at most
the latest 500; a search result has none.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from opsanalytics.sources.base import Answer, FeedbackRow
from opsanalytics.sources.intercom.rows import CONVERSATION, ConversationReader, changed_at, needs_parts
from opsanalytics.sources.json_records import JsonRecord, member_of
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
from opsanalytics.sources.values import id_of, text_of

HOSTS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}
STREAM = "conversations"
LARGEST_PAGE = 150
LOOK_BACK = timedelta(days=1)
"""Searches of contacts by time are rounded to days; whether those of conversations are is not documented.
A day more finds everything either way."""

MappedField = Literal["app_version", "url", "language", "user_id"]


class IntercomSettings(ApiFeedbackSourceSettings):
    """One Intercom workspace, read with an access token, or JSON dumps of its conversations."""

    kind: Literal["intercom"] = "intercom"
    cursor: ClassVar[str] = "starting_after"
    record_keys: ClassVar[tuple[str, ...]] = ("conversations",)

    region: Literal["us", "eu", "au"] | None = None
    """Where the workspace is hosted; without it and `base_url`, only dumps in the inbox are read."""
    token_env: str = "INTERCOM_ACCESS_TOKEN"  # noqa: S105 - the name of a variable
    """Environment variable with the access token."""
    api_version: str = Field(default="2.11", pattern=r"^\d+\.\d+$")
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    start: date = date(2011, 1, 1)
    """First day of changes to pull."""
    page_size: int = Field(default=LARGEST_PAGE, ge=1, le=LARGEST_PAGE)
    parts: Literal["when_needed", "always"] = "when_needed"
    """Ask for the single messages of conversations that the team began, or of all."""
    attributes: Mapping[MappedField, str] = Field(default={})
    """What custom attributes of conversations mean: { app_version = "App version" }."""
    requests_per_10_seconds: int = Field(default=80, ge=1)
    """A tenth of a private app's 10,000 a minute, so that others can work too."""

    @property
    def pulls(self) -> bool:
        return self.region is not None or self.base_url is not None

    @property
    def streams(self) -> tuple[str, ...]:
        return (STREAM,) if self.pulls else ()

    @property
    def host(self) -> str:
        return (self.base_url or HOSTS[self.region or "us"]).rstrip("/")

    @property
    def project_key(self) -> str:
        return f"{urlsplit(self.host).netloc}/{self.token_env}"

    @property
    def limits(self) -> tuple[Limit, ...]:
        return (Limit(self.requests_per_10_seconds, 10.0),)

    def cleaning_fingerprint(self) -> dict[str, Any]:
        return {**super().cleaning_fingerprint(), "attributes": dict(self.attributes)}

    def walk_start(self, stream: str, newest: datetime | None, now: datetime) -> Position:  # noqa: ARG002
        begin = min(newest, now) - LOOK_BACK if newest else datetime.combine(self.start, time.min, UTC)
        return {"updated_after": str(int(begin.timestamp()))}

    def page_request(
        self,
        stream: str,
        position: Position,
        environ: Mapping[str, str],
        *,
        smallest: bool = False,
    ) -> PageRequest:
        pagination: dict[str, Any] = {"per_page": 1 if smallest else self.page_size}
        if "starting_after" in position:
            pagination["starting_after"] = position["starting_after"]
        body = {
            "query": {"field": "updated_at", "operator": ">", "value": int(position["updated_after"])},
            "sort": {"field": "updated_at", "order": "ascending"},
            "pagination": pagination,
        }
        return self._request(f"/{stream}/search", environ, body)

    def _request(
        self, path: str, environ: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> PageRequest:
        token = self.secret(environ, "token_env")
        return PageRequest(
            url=f"{self.host}{path}",
            authorization=f"Bearer {token}",
            secrets=(token,),
            json=body,
            headers={"Intercom-Version": self.api_version, "Accept": "application/json"},
        )

    def outline(self, stream: str, position: Position, content: bytes) -> Outline:
        page = page_object(content, stream)
        conversations = list_of(page, stream)
        items = items_of(conversations, lambda each: id_of(each.get("id")), changed_at)
        cursor = text_of(member_of(member_of(page, "pages"), "next").get("starting_after"))
        total = page.get("total_count")
        return Outline(
            items,
            {"updated_after": position["updated_after"], "starting_after": cursor} if cursor else None,
            ended=not cursor,
            total=total if isinstance(total, int) else None,
        )

    def advice(self, answer: Answer) -> str:
        if answer.status == 401:
            return (
                f"Check {self.token_env}: it must be the access token of an app in this workspace, and the "
                f"workspace must be hosted in region = '{self.region}' (us, eu or au)."
            )
        if answer.status == 403:
            return f"The app of {self.token_env} needs the permission to read conversations."
        return (
            f"Check region ({self.region}), api_version ({self.api_version}) and the settings of this source."
        )

    @property
    def supplemented(self) -> bool:
        return True

    def supplements(self, stream: str, content: bytes, now: datetime) -> tuple[Supplement, ...]:  # noqa: ARG002
        return tuple(
            Supplement(f"{CONVERSATION}{identifier}", str(conversation.get("updated_at")))
            for conversation in list_of(page_object(content, stream), stream)
            if isinstance(conversation, dict)
            and (identifier := id_of(conversation.get("id"))) is not None
            and identifier.isalnum()
            and (self.parts == "always" or needs_parts(conversation))
        )

    def supplement_request(self, supplement: Supplement, environ: Mapping[str, str]) -> PageRequest:
        return self._request(f"/conversations/{supplement.name.removeprefix(CONVERSATION)}", environ)

    def message(self, record: JsonRecord, beside: Beside) -> FeedbackRow:
        return ConversationReader(dict(self.attributes.items())).message(record, beside)
