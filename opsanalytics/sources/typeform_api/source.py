"""The contract with Typeform's Responses API.

Source: typeform.com/developers, "Retrieve responses": newest first; `since` is inclusive; `before` is the
token of a response, exclusive, and does not go with `sort`; at most 1,000 a page. About two requests a
second; answers of the last half hour may be missing. Deleted responses are gone without a trace.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from opsanalytics.sources.base import Answer, FeedbackRow
from opsanalytics.sources.json_records import JsonRecord
from opsanalytics.sources.limiter import Limit
from opsanalytics.sources.paging import (
    UNNAMED,
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
from opsanalytics.sources.typeform_api.rows import DEFINITION, ResponseReader, submitted_at, token_of

HOSTS = {"us": "https://api.typeform.com", "eu": "https://api.eu.typeform.com"}
LARGEST_PAGE = 1_000

FormId = Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,40}$")]


class TypeformApiSettings(ApiFeedbackSourceSettings):
    """Forms of one Typeform account, read with a personal access token."""

    kind: Literal["typeform_api"] = "typeform_api"
    cursor: ClassVar[str] = "before"
    record_keys: ClassVar[tuple[str, ...]] = ("items",)

    forms: tuple[FormId, ...] = ()
    """Ids of the forms, as in their addresses; without any, only dumps in the inbox are read."""
    token_env: str = "TYPEFORM_TOKEN"  # noqa: S105 - the name of a variable
    """Environment variable with the personal access token."""
    region: Literal["us", "eu"] = "us"
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    start: date | None = None
    """First day of responses to pull; all if not given."""
    page_size: int = Field(default=LARGEST_PAGE, ge=1, le=LARGEST_PAGE)
    look_back_minutes: int = Field(default=60, ge=0)
    """How much before the newest known response is read again, for answers that appear late."""
    text: tuple[str, ...] = ()
    """Refs or ids of the questions whose answers are the message; all open questions if not given."""
    rating: str | None = None
    """Ref or id of the question that rates; the first rating, opinion scale or NPS if not given."""
    hidden: Mapping[Literal["user_id", "email", "app_version", "url", "language"], str] = Field(default={})
    """What hidden fields mean: { user_id = "uid" }."""
    requests_per_second: int = Field(default=2, ge=1)

    @property
    def pulls(self) -> bool:
        return bool(self.forms)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.forms

    @property
    def host(self) -> str:
        return (self.base_url or HOSTS[self.region]).rstrip("/")

    @property
    def project_key(self) -> str:
        return f"{urlsplit(self.host).netloc}/{self.token_env}"

    @property
    def limits(self) -> tuple[Limit, ...]:
        return (Limit(self.requests_per_second, 1.0),)

    def cleaning_fingerprint(self) -> dict[str, Any]:
        settings = self.model_dump(mode="json", include={"text", "rating", "hidden"})
        return {**super().cleaning_fingerprint(), **settings}

    def walk_start(self, stream: str, newest: datetime | None, now: datetime) -> Position:  # noqa: ARG002
        if newest is not None:
            begin = min(newest, now) - timedelta(minutes=self.look_back_minutes)
        elif self.start is not None:
            begin = datetime.combine(self.start, time.min, UTC)
        else:
            return {"response_type": "completed"}
        return {"response_type": "completed", "since": f"{begin:%Y-%m-%dT%H:%M:%SZ}"}

    def page_request(
        self,
        stream: str,
        position: Position,
        environ: Mapping[str, str],
        *,
        smallest: bool = False,
    ) -> PageRequest:
        size = {"page_size": str(1 if smallest else self.page_size)}
        return self._request(f"/forms/{stream}/responses", {**position, **size}, environ)

    def _request(self, path: str, params: Mapping[str, str], environ: Mapping[str, str]) -> PageRequest:
        token = self.secret(environ, "token_env")
        return PageRequest(
            url=f"{self.host}{path}", params=params, authorization=f"Bearer {token}", secrets=(token,)
        )

    def outline(self, stream: str, position: Position, content: bytes) -> Outline:  # noqa: ARG002
        page = page_object(content, "items")
        responses = list_of(page, "items")
        items = items_of(responses, token_of, submitted_at)
        tokens = [item.id for item in items if not item.id.startswith(UNNAMED)]
        # `page_count` counts what is left or what there is in all: either way one page means the last
        count = page.get("page_count")
        ended = not tokens or (count <= 1 if isinstance(count, int) else len(responses) < self.page_size)
        following = None if ended else {**position, "before": tokens[-1]}
        return Outline(items, following, ended)

    def advice(self, answer: Answer) -> str:
        if answer.status == 401:
            return (
                f"Check {self.token_env}: it must be a personal access token of the account in region = "
                f"'{self.region}' (us or eu)."
            )
        if answer.status == 403:
            return f"The token of {self.token_env} needs the scopes responses:read and forms:read."
        if answer.status == 404:
            return f"Check forms ({', '.join(self.forms)}) and region ('{self.region}')."
        return f"Check forms ({', '.join(self.forms)}) and the settings of this source."

    @property
    def supplemented(self) -> bool:
        return True

    def supplements(self, stream: str, content: bytes, now: datetime) -> tuple[Supplement, ...]:  # noqa: ARG002
        # titles and scales of questions change: looked at once a day, and every wording is kept
        return (Supplement(f"{DEFINITION}{stream}", now.date().isoformat(), keeps_history=True),)

    def supplement_request(self, supplement: Supplement, environ: Mapping[str, str]) -> PageRequest:
        return self._request(f"/forms/{supplement.name.removeprefix(DEFINITION)}", {}, environ)

    def message(self, record: JsonRecord, beside: Beside) -> FeedbackRow:
        return ResponseReader(self.text, self.rating, dict(self.hidden.items())).message(record, beside)
