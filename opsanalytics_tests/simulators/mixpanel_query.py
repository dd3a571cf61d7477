"""Mixpanel's query API as far as it is used: names of events, and user profiles page by page.

Written from the contract alone: Mixpanel's openapi/query.openapi.yaml (`events/names`, `engage`).
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from opsanalytics.demo.simulator import Limit, Reply, Request
from opsanalytics.demo.simulator.limits import RollingWindows
from opsanalytics.demo.simulator.messages import basic_credentials, json_reply

CREDENTIALS = ("demo-service-account", "demo-secret")


class QueryEndpoint:
    """What the endpoints of the query API share: 60 requests an hour, five at once."""

    concurrent: int | None = 5

    def __init__(self, project_id: str = "1000001", limits: Sequence[Limit] = ()) -> None:
        self.project_id = project_id
        self.windows = RollingWindows(limits)

    def refuse(self, request: Request) -> Reply | None:
        if basic_credentials(request) != CREDENTIALS:
            return json_reply(401, {"error": "Unable to authenticate request"})
        if request.query.get("project_id") != self.project_id:
            return json_reply(400, {"error": "project_id is missing or not yours"})
        return None

    def over_limit(self, request: Request, retry_after: float, used: int) -> Reply:
        return json_reply(429, {"error": "Query rate limit exceeded"}, Retry_After=str(int(retry_after) + 1))


class EventNames(QueryEndpoint):
    """The most common names of events."""

    name = "mixpanel_names"
    path = "/api/query/events/names"
    methods = frozenset({"GET"})

    def __init__(self, names: Sequence[str], **changes: Any) -> None:
        super().__init__(**changes)
        self.names = list(names)

    def answer(self, request: Request) -> Reply:
        if request.query.get("type") not in ("general", "unique", "average"):
            return json_reply(400, {"error": "type is required"})
        return json_reply(200, self.names[: int(request.query.get("limit", 255))])


class Profiles(QueryEndpoint):
    """User profiles. A session holds still what it pages through."""

    name = "mixpanel_engage"
    path = "/api/query/engage"
    methods = frozenset({"POST"})

    def __init__(self, profiles: Mapping[str, Mapping[str, Any]], *, page_size: int = 1_000, **changes: Any):
        super().__init__(**changes)
        self.profiles = {name: dict(properties) for name, properties in profiles.items()}
        self.page_size = page_size
        self._sessions: dict[str, list[dict[str, Any]]] = {}

    def answer(self, request: Request) -> Reply:
        form = dict(parse_qsl(request.body.decode()))
        page = int(form.get("page", "0"))
        if page == 0:
            session = f"session-{len(self._sessions)}"
            self._sessions[session] = [
                {"$distinct_id": name, "$properties": properties}
                for name, properties in self.profiles.items()
            ]
        else:
            session = form.get("session_id", "")
            if session not in self._sessions:
                return json_reply(400, {"error": "session_id is required for page > 0"})
        held = self._sessions[session]
        results = held[page * self.page_size : (page + 1) * self.page_size]
        return json_reply(
            200,
            {
                "page": page,
                "page_size": self.page_size,
                "session_id": session,
                "status": "ok",
                "total": len(held),
                "results": results,
            },
        )
