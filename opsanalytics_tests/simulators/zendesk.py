"""Zendesk: `GET /api/v2/incremental/tickets/cursor.json` and the comments of a ticket.

Contract: developer.zendesk.com, incremental exports, cursor based.
"""

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from opsanalytics.demo.simulator import Reply, Request
from opsanalytics.demo.simulator.limits import Limit
from opsanalytics.demo.simulator.messages import json_reply
from opsanalytics_tests.simulators.desks import Desk, Said, basic, moment, page

EMAIL, TOKEN = "agent@example.com", "zendesk-secret-token"
BIG = 9_007_199_254_740_993
"""Beyond what a double holds."""


def _authenticated(request: Request) -> Reply | None:
    if basic(request) == (f"{EMAIL}/token", TOKEN):
        return None
    return json_reply(401, {"error": "Couldn't authenticate you"})


class ZendeskTickets(Desk):
    """The export: tickets by `(generated_timestamp, id)`; a change moves a ticket to the end."""

    name = "zendesk"
    path = "/api/v2/incremental/tickets/cursor.json"

    def __init__(self, count: int, *, limits: Sequence[Limit] = (), enforce: bool = True) -> None:
        super().__init__(limits, enforce=enforce)
        self.tickets: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.generation = 1
        """Cursors of an earlier one are refused."""
        for index in range(count):
            self.add(index)

    def add(self, index: int) -> int:
        """Ticket `index`: every fifth was opened by an agent for the customer."""
        created = moment(index)
        identifier = BIG + index
        by_agent = index % 5 == 4
        requester = 7_000_000_000_001 + index
        self.tickets[identifier] = {
            "id": identifier,
            "url": f"https://acme.zendesk.com/api/v2/tickets/{identifier}.json",
            "subject": None,
            "description": f"Called in: problem {index}" if by_agent else f"Export {index} fails\u2028twice",
            "status": ("open", "solved", "closed", "pending", "new")[index % 5],
            "type": "problem",
            "tags": ["export", f"n{index}"],
            "requester_id": requester,
            "submitter_id": 1 if by_agent else requester,
            "created_at": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            "updated_at": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            "generated_timestamp": int(created.timestamp()),
            "satisfaction_rating": {"score": ("good", "bad", "offered", "unoffered")[index % 4]},
            "custom_fields": [{"id": 360001, "value": f"4.{index}"}],
            "via": {"channel": "email"},
        }
        if by_agent:
            self.comments[identifier] = [
                {"id": 1, "author_id": 1, "public": True, "plain_body": f"Called in: problem {index}"},
                {"id": 2, "author_id": requester, "public": False, "plain_body": "not public"},
                {"id": 3, "author_id": requester, "public": True,
                 "html_body": f"<p>It is <b>number {index}</b> &amp; worse</p>"},
            ]  # fmt: skip
        return identifier

    def change(self, identifier: int, at: int, **changes: Any) -> None:
        """Change a ticket at the moment of index `at`."""
        when = moment(at)
        self.tickets[identifier] |= {
            "updated_at": f"{when:%Y-%m-%dT%H:%M:%SZ}",
            "generated_timestamp": int(when.timestamp()),
            **changes,
        }

    def truth(self) -> dict[str, Said]:
        """What must have arrived, by id."""
        found = {}
        for identifier, ticket in self.tickets.items():
            if ticket["status"] == "deleted":
                continue
            index = int(ticket["tags"][1][1:])
            text = ticket["description"]
            if ticket["submitter_id"] == 1:
                text = f"It is number {index} & worse"
            rating = {"good": 1.0, "bad": 0.0}.get(ticket["satisfaction_rating"]["score"])
            found[str(identifier)] = Said(text, rating, ticket["status"] in ("solved", "closed"))
        return found

    def refuse(self, request: Request) -> Reply | None:
        return _authenticated(request)

    def answer(self, request: Request) -> Reply:
        query = request.query
        size = int(query.get("per_page", "1000"))
        if "cursor" in query:
            generation, stamp, identifier = base64.b64decode(query["cursor"]).decode().split("|")
            if int(generation) != self.generation:
                return json_reply(400, {"error": "InvalidValue", "description": "cursor is not valid"})
            after = (int(stamp), int(identifier))
        else:
            start = int(query["start_time"])
            if start >= request.now.timestamp() - 60:
                return json_reply(422, {"error": "InvalidValue", "description": "Too recent start_time"})
            after = (start, -1)
        newest = int((request.now - timedelta(minutes=1)).timestamp())
        waiting = sorted(
            (key, ticket)
            for ticket in self.tickets.values()
            if after < (key := (ticket["generated_timestamp"], ticket["id"])) and key[0] <= newest
        )
        shown = waiting[:size]
        last = shown[-1][0] if shown else after
        cursor = base64.b64encode(f"{self.generation}|{last[0]}|{last[1]}".encode()).decode()
        content: dict[str, Any] = {
            "tickets": [ticket for _, ticket in shown],
            "after_cursor": cursor,
            "after_url": f"https://acme.zendesk.com{self.path}?cursor={cursor}",
            "before_cursor": None,
            "before_url": None,
            "end_of_stream": len(shown) == len(waiting),
        }
        if query.get("include") == "users":
            content["users"] = [
                {
                    "id": ticket["requester_id"],
                    "email": f"user{ticket['requester_id']}@example.com",
                    "external_id": f"u{ticket['requester_id']}",
                    "locale": "de-DE",
                }
                for _, ticket in shown
            ]
        return page(content)


class ZendeskComments(Desk):
    """`GET /api/v2/tickets/{id}/comments.json`, counted apart from the export."""

    name = "zendesk comments"
    path = "/api/v2/tickets/"

    def __init__(self, tickets: ZendeskTickets, *, limits: Sequence[Limit] = ()) -> None:
        super().__init__(limits)
        self.tickets = tickets

    def refuse(self, request: Request) -> Reply | None:
        return _authenticated(request)

    def answer(self, request: Request) -> Reply:
        identifier = int(request.path.removeprefix(self.path).split("/")[0])
        if self.tickets.tickets.get(identifier, {"status": "deleted"})["status"] == "deleted":
            return json_reply(404, {"error": "RecordNotFound"})
        return page({"comments": self.tickets.comments.get(identifier, []), "next_page": None})
