"""Intercom: `POST /conversations/search` and `GET /conversations/{id}`.

Contract: Intercom's OpenAPI description, descriptions/2.16.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any

from opsanalytics.demo.simulator import Reply, Request
from opsanalytics.demo.simulator.limits import Limit
from opsanalytics.demo.simulator.messages import json_reply
from opsanalytics_tests.simulators.desks import Desk, Said, bearer, moment, page

TOKEN = "intercom-secret-token"


class IntercomWorkspace(Desk):
    """Conversations by `updated_at`. `by_offset`: pages count from the start, so that changes shift them."""

    name = "intercom"
    path = "/conversations/"
    methods = frozenset({"GET", "POST"})

    def __init__(
        self, count: int, *, limits: Sequence[Limit] = (), enforce: bool = True, by_offset: bool = False
    ) -> None:
        super().__init__(limits, enforce=enforce)
        self.conversations: dict[str, dict[str, Any]] = {}
        self.parts: dict[str, list[dict[str, Any]]] = {}
        self.generation = 1
        self.by_offset = by_offset
        for index in range(count):
            self.add(index)

    def add(self, index: int) -> str:
        """Conversation `index`: every sixth was begun by the team, and every 18th of all has no customer."""
        identifier = str(215_000_000_000_000_001 + index)
        created = int(moment(index).timestamp())
        by_team = index % 6 == 5
        author = {"type": "admin" if by_team else "user", "id": "1", "email": f"ann{index}@example.com"}
        self.conversations[identifier] = {
            "type": "conversation",
            "id": identifier,
            "created_at": created,
            "updated_at": created,
            "source": {
                "type": "conversation",
                "subject": "",
                "body": "<p>How can we help?</p>"
                if by_team
                else f"<p>Button {index} is <b>dead</b><br>😀</p>",
                "author": author,
                "url": f"https://app.example.com/page/{index}",
                "redacted": False,
            },
            "state": ("open", "closed", "snoozed")[index % 3],
            "contacts": {"contacts": [{"id": f"c{index}", "external_id": f"user-{index}"}]},
            "tags": {"tags": [{"name": "ui"}]},
            "custom_attributes": {"App version": f"2.{index}"},
            "conversation_rating": {"rating": index % 5 + 1, "remark": None} if index % 4 == 0 else None,
        }
        if by_team:
            customer = [{"body": f"<p>Slow {index}</p>", "author": {"type": "lead", "id": "9"}}]
            robot = {"body": "<p>Thanks!</p>", "author": {"type": "bot", "id": "2"}}
            self.parts[identifier] = [*([] if index % 18 == 17 else customer), robot]
        return identifier

    def change(self, identifier: str, at: int, **changes: Any) -> None:
        self.conversations[identifier] |= {"updated_at": int(moment(at).timestamp()), **changes}

    def truth(self) -> dict[str, Said]:
        """What must have arrived, by id; conversations without a customer's word or rating do not count."""
        found = {}
        for identifier, conversation in self.conversations.items():
            index = int(identifier) - 215_000_000_000_000_001
            text: str | None = f"Button {index} is dead\n😀"
            if conversation["source"]["redacted"]:
                text = None
            if index % 6 == 5:
                text = None if index % 18 == 17 else f"Slow {index}"
            rating = conversation["conversation_rating"]
            score = float(rating["rating"]) if rating else None
            if text is not None or score is not None:
                found[identifier] = Said(text, score, conversation["state"] == "closed")
        return found

    def refuse(self, request: Request) -> Reply | None:
        if bearer(request) != TOKEN:
            return _errors(401, "unauthorized", "Access Token Invalid")
        if "intercom-version" not in request.headers:
            return _errors(400, "intercom_version_invalid", "send Intercom-Version")
        return None

    def over_limit(self, request: Request, retry_after: float, used: int) -> Reply:
        """No Retry-After: the vendor says when its window begins anew (here in seconds)."""
        reply = _errors(429, "rate_limit_exceeded", "Exceeded rate limit")
        return Reply(
            429, reply.body, reply.content_type, {"X-RateLimit-Reset": str(int(-(-retry_after // 1)))}
        )

    def answer(self, request: Request) -> Reply:
        name = request.path.removeprefix(self.path)
        if request.method == "GET":
            conversation = self.conversations.get(name)
            if conversation is None:
                return _errors(404, "not_found", "Conversation not found")
            parts = {"conversation_parts": self.parts.get(name, [])}
            return page({**conversation, "conversation_parts": parts})
        asked = json.loads(request.body)
        query, pagination = asked["query"], asked.get("pagination", {})
        if name != "search" or (query["field"], query["operator"]) != ("updated_at", ">"):
            return _errors(400, "bad_request", "this simulator searches by updated_at > value only")
        size = pagination.get("per_page", 20)
        if not 1 <= size <= 150:
            return _errors(400, "bad_request", "per_page must be from 1 to 150")
        found = sorted(
            ((each["updated_at"], each["id"]), each)
            for each in self.conversations.values()
            if each["updated_at"] > query["value"]
        )
        first = 0
        if "starting_after" in pagination:
            generation, offset, *key = json.loads(base64.b64decode(pagination["starting_after"]))
            if generation != self.generation:
                return _errors(400, "bad_request", "starting_after is not valid")
            first = offset if self.by_offset else sum(place <= (key[0], key[1]) for place, _ in found)
        shown = found[first : first + size]
        pages: dict[str, Any] = {"type": "pages", "per_page": size, "total_pages": -(-len(found) // size)}
        if first + size < len(found):
            cursor = json.dumps([self.generation, first + size, *shown[-1][0]]).encode()
            pages["next"] = {"page": 2, "starting_after": base64.b64encode(cursor).decode()}
        return page(
            {
                "type": "conversation.list",
                "pages": pages,
                "total_count": len(found),
                "conversations": [each for _, each in shown],
            }
        )


def _errors(status: int, code: str, message: str) -> Reply:
    return json_reply(status, {"type": "error.list", "errors": [{"code": code, "message": message}]})
