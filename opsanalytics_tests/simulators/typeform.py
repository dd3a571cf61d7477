"""Typeform: `GET /forms/{id}` and `GET /forms/{id}/responses`.

Contract: typeform.com/developers, retrieve responses.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from opsanalytics.demo.simulator import Reply, Request
from opsanalytics.demo.simulator.limits import Limit
from opsanalytics.demo.simulator.messages import json_reply
from opsanalytics_tests.simulators.desks import Desk, Said, bearer, moment, page

TOKEN = "tfp_secret-token"
FORM = "u6nXL7"


class TypeformAccount(Desk):
    """One form; responses newest first. Deleting one leaves no trace."""

    name = "typeform"
    path = "/forms/"

    def __init__(self, count: int, *, limits: Sequence[Limit] = (), enforce: bool = True) -> None:
        super().__init__(limits, enforce=enforce)
        self.responses: dict[str, dict[str, Any]] = {}
        self.definition: dict[str, Any] = {
            "id": FORM,
            "fields": [
                {"id": "q1", "ref": "score", "type": "opinion_scale", "title": "How good is it?",
                 "properties": {"steps": 5, "start_at_one": True}},
                {"id": "g1", "ref": "more", "type": "group", "title": "More",
                 "properties": {"fields": [
                     {"id": "q2", "ref": "why", "type": "long_text", "title": "Why do you say so?"}]}},
                {"id": "q3", "ref": "mail", "type": "email", "title": "Your address"},
                {"id": "q4", "ref": "plan", "type": "multiple_choice", "title": "Your plan"},
            ],
        }  # fmt: skip
        for index in range(count):
            self.add(index)

    def add(self, index: int) -> str:
        token = f"tok{index:09}"
        submitted = moment(index)
        answers = [
            {"field": {"id": "q1", "ref": "score", "type": "opinion_scale"}, "type": "number",
             "number": index % 5 + 1},
            {"field": {"id": "q2", "ref": "why", "type": "long_text"}, "type": "text",
             "text": f"Because of {index}\n\u0085<b> & so on"},
            {"field": {"id": "q3", "ref": "mail", "type": "email"}, "type": "email",
             "email": f"Ann{index}@Example.com"},
            {"field": {"id": "q4", "ref": "plan", "type": "multiple_choice"}, "type": "choice",
             "choice": {"label": "Team"}},
        ]  # fmt: skip
        self.responses[token] = {
            "token": token,
            "response_id": token,
            "landed_at": f"{submitted:%Y-%m-%dT%H:%M:%SZ}",
            "submitted_at": f"{submitted:%Y-%m-%dT%H:%M:%SZ}",
            "hidden": {"uid": f"{9_007_199_254_740_993 + index}", "version": "5.1"},
            "answers": answers,
        }
        return token

    def truth(self) -> dict[str, Said]:
        return {
            token: Said(
                f"Because of {int(token[3:])}\n\u0085<b> & so on", float(int(token[3:]) % 5 + 1), None
            )
            for token in self.responses
        }

    def refuse(self, request: Request) -> Reply | None:
        if bearer(request) == TOKEN:
            return None
        return json_reply(
            401, {"code": "UNAUTHORIZED", "description": "Authentication credentials not found"}
        )

    def answer(self, request: Request) -> Reply:
        form, _, what = request.path.removeprefix(self.path).partition("/")
        if form != FORM:
            return json_reply(404, {"code": "FORM_NOT_FOUND", "description": "no such form"})
        if not what:
            return page(self.definition)
        query = request.query
        size = int(query.get("page_size", "25"))
        if not 1 <= size <= 1000 or ("sort" in query and {"before", "after"} & set(query)):
            return json_reply(400, {"code": "VALIDATION_ERROR"})
        found = sorted(
            (
                each
                for each in self.responses.values()
                if datetime.fromisoformat(each["submitted_at"]) <= request.now
            ),
            key=lambda each: (each["submitted_at"], each["token"]),
            reverse=True,
        )
        if "since" in query:
            since = datetime.strptime(query["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            found = [each for each in found if datetime.fromisoformat(each["submitted_at"]) >= since]
        if "before" in query:
            before = self.responses.get(query["before"])
            if before is None:
                return json_reply(400, {"code": "VALIDATION_ERROR", "description": "unknown token"})
            place = (before["submitted_at"], before["token"])
            found = [each for each in found if (each["submitted_at"], each["token"]) < place]
        shown = found[:size]
        return page({"total_items": len(found), "page_count": -(-len(found) // size), "items": shown})
