"""The contract with the customer reviews of the App Store Connect API.

Source: developer.apple.com, "List all customer reviews for an app" (at most 200 a page, `links.next`) and
"Generating tokens for API requests" (ES256, at most 20 minutes). A review has no time of change: an edit
is seen only by reading it again. A review that is taken down is just no longer there.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qs, parse_qsl, urlsplit

from pydantic import Field

from opsanalytics.sources.app_store_connect.rows import created_at, response_id, review_message
from opsanalytics.sources.base import Answer, FeedbackRow
from opsanalytics.sources.errors import CredentialError
from opsanalytics.sources.json_records import JsonRecord, member_of, objects_in
from opsanalytics.sources.limiter import Limit
from opsanalytics.sources.paging import (
    LOST_CURSOR,
    ApiFeedbackSourceSettings,
    Beside,
    Outline,
    PageRequest,
    Position,
    digest_of,
    items_of,
    list_of,
    page_object,
)
from opsanalytics.sources.values import id_of

HOST = "https://api.appstoreconnect.apple.com"
LARGEST_PAGE = 200
TOKEN_LIFE = timedelta(minutes=10)
AUDIENCE = "appstoreconnect-v1"
NEXT = "next"
"""Query of the link to the next page, where it pages by something else than `cursor`."""

AppId = Annotated[str, Field(pattern=r"^\d{1,20}$")]


class AppStoreConnectSettings(ApiFeedbackSourceSettings):
    """Reviews of apps, read with an API key, or JSON dumps of the API's answers."""

    kind: Literal["app_store_connect"] = "app_store_connect"
    lost_cursor: ClassVar[frozenset[int]] = LOST_CURSOR | {409}
    record_keys: ClassVar[tuple[str, ...]] = ("data",)

    apps: tuple[AppId, ...] = ()
    """Apple ids of the apps (digits); without any, only dumps in the inbox are read."""
    issuer_env: str = "APP_STORE_ISSUER_ID"
    """Environment variable with the issuer id of the key."""
    key_id_env: str = "APP_STORE_KEY_ID"
    """Environment variable with the key id."""
    private_key_env: str = "APP_STORE_PRIVATE_KEY"
    """Environment variable with the private key (the text of the .p8 file), or the path of that file."""
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    page_size: int = Field(default=LARGEST_PAGE, ge=1, le=LARGEST_PAGE)
    reread_days: int | None = Field(default=None, ge=1)
    """How far before the newest review each pull reads again, to find edits; everything if not given."""
    requests_per_hour: int = Field(default=3_000, ge=1)
    """Apple allows 3,600 requests an hour to all clients of the key together."""

    @property
    def pulls(self) -> bool:
        return bool(self.apps)

    @property
    def streams(self) -> tuple[str, ...]:
        return self.apps

    @property
    def host(self) -> str:
        return (self.base_url or HOST).rstrip("/")

    @property
    def project_key(self) -> str:
        return f"{urlsplit(self.host).netloc}/{self.key_id_env}"

    @property
    def limits(self) -> tuple[Limit, ...]:
        return (Limit(self.requests_per_hour, 3_600.0),)

    def walk_start(self, stream: str, newest: datetime | None, now: datetime) -> Position:  # noqa: ARG002
        if newest is None or self.reread_days is None:
            return {}
        return {"reread_since": (min(newest, now) - timedelta(days=self.reread_days)).isoformat()}

    def page_request(
        self,
        stream: str,
        position: Position,
        environ: Mapping[str, str],
        *,
        smallest: bool = False,
    ) -> PageRequest:
        token, secrets = self._token(environ)
        params = {
            "sort": "-createdDate",
            "limit": str(1 if smallest else self.page_size),
            "include": "response",
        }
        if "cursor" in position:
            params["cursor"] = position["cursor"]
        if NEXT in position:
            params |= dict(parse_qsl(position[NEXT]))
        return PageRequest(
            url=f"{self.host}/v1/apps/{stream}/customerReviews",
            params=params,
            authorization=f"Bearer {token}",
            secrets=(token, *secrets),
        )

    def _token(self, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        """A fresh token, and what else no message may contain."""
        import jwt
        from cryptography.exceptions import UnsupportedAlgorithm

        issuer, key_id = self.secret(environ, "issuer_env"), self.secret(environ, "key_id_env")
        key = self._private_key(environ)
        issued = datetime.now(UTC)
        claims = {"iss": issuer, "iat": issued, "exp": issued + TOKEN_LIFE, "aud": AUDIENCE}
        try:
            token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": key_id})
        except (ValueError, TypeError, UnsupportedAlgorithm, jwt.PyJWTError) as error:
            # the library may quote the key; its message stays out of ours
            raise CredentialError(
                f"source {self.name}: {self.private_key_env} holds no usable private key "
                f"({type(error).__name__}). It must be the whole text of the .p8 file that App Store Connect "
                "gave you (-----BEGIN PRIVATE KEY----- and so on), or the path of that file."
            ) from None
        return token, (key, key_id, issuer)

    def _private_key(self, environ: Mapping[str, str]) -> str:
        value = self.secret(environ, "private_key_env")
        if "-----BEGIN" in value:
            return value.replace("\\n", "\n")
        try:
            return Path(value).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise CredentialError(
                f"source {self.name}: {self.private_key_env} holds neither a private key nor the path of a "
                f"readable .p8 file ({type(error).__name__})."
            ) from None

    def outline(self, stream: str, position: Position, content: bytes) -> Outline:  # noqa: ARG002
        page = page_object(content, "data")
        reviews = list_of(page, "data")
        responses = {
            id_of(entry.get("id")): entry
            for entry in objects_in(page, "included")
            if entry.get("type") == "customerReviewResponses"
        }
        items = items_of(
            reviews,
            lambda review: id_of(review.get("id")),
            created_at,
            lambda review: digest_of([review, response_of(review, responses)]),
        )
        link = member_of(page, "links").get("next")
        # only the query is taken from the link: the key's token goes to the configured host
        query = urlsplit(link).query if isinstance(link, str) else ""
        if isinstance(link, str) and not query:
            raise ValueError("the link to the next page names no page")
        cursors = parse_qs(query).get("cursor")
        following = {"cursor": cursors[0]} if cursors else {NEXT: query} if query else None
        since = position.get("reread_since")
        oldest = min((item.moment for item in items if item.moment is not None), default=None)
        read_enough = since is not None and oldest is not None and oldest < datetime.fromisoformat(since)
        ended = following is None or read_enough
        total = member_of(member_of(page, "meta"), "paging").get("total") if since is None else None
        return Outline(
            items,
            None if ended or following is None else {**position, **following},
            ended,
            total if isinstance(total, int) else None,
        )

    def advice(self, answer: Answer) -> str:
        if answer.status == 401:
            return (
                f"Check {self.issuer_env}, {self.key_id_env} and {self.private_key_env}: they must belong to "
                "the same active key, and this machine's clock must be right."
            )
        if answer.status == 403:
            return (
                f"The key of {self.key_id_env} needs the role Customer Support, App Manager or Admin, and "
                "the account holder must have accepted the current agreements."
            )
        return f"Check apps ({', '.join(self.apps)}): they are Apple ids of apps that the key may see."

    def message(self, record: JsonRecord, beside: Beside) -> FeedbackRow:
        return review_message(record, beside.request.get("stream"))


def response_of(review: Any, responses: Mapping[Any, Any]) -> Any:
    """The developer's response to a review, so that a new one makes it another version."""
    return responses.get(response_id(review)) if isinstance(review, dict) else None
