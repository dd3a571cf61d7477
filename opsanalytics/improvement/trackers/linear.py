"""Issues in Linear (GraphQL).

The id of an issue may be chosen by whoever makes it: it is derived from the key, so that a second creation
fails, and looking up is asking for that id.
https://linear.app/developers/graphql
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import requests

from opsanalytics.improvement.trackers.document import markdown
from opsanalytics.improvement.trackers.errors import IssueGoneError, TrackerError, UnclearError
from opsanalytics.improvement.trackers.evidence import Draft
from opsanalytics.improvement.trackers.http import Call, Caller
from opsanalytics.improvement.trackers.issues import Issue, RemoteStatus, Tracker, between_marks
from opsanalytics.improvement.trackers.settings import LinearSettings
from opsanalytics.lake.paths import Home

FIELDS = "id identifier url state { type } completedAt canceledAt"
PAGE = 50
# Its editor drops comments, so the marks are lines that people see.
BEGIN, END = "*Evidence from opsanalytics*", "*End of evidence*"
STATUS: Mapping[str, RemoteStatus] = {
    "started": "started",
    "completed": "done",
    "canceled": "dropped",
    "duplicate": "dropped",
}

_CREATE = (
    f"mutation($input: IssueCreateInput!) {{ issueCreate(input: $input) {{ success issue {{ {FIELDS} }} }} }}"
)
_UPDATE = (
    "mutation($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }"
)
_CHOSEN = "issues(filter: {id: {in: $ids}}, first: 50, includeArchived: true)"
_DESCRIPTION = f"query($ids: [ID!]!) {{ {_CHOSEN} {{ nodes {{ description }} }} }}"
_ISSUES = f"query($ids: [ID!]!) {{ {_CHOSEN} {{ nodes {{ {FIELDS} }} }} }}"


class Linear(Tracker):
    """One team."""

    def __init__(self, settings: LinearSettings, home: Home, api_key: str, **options: Any) -> None:
        self._settings = settings
        self._caller = Caller(
            settings,
            home,
            settings.base_url,
            # A personal key stands alone; `Bearer` is for OAuth.
            headers={"Authorization": api_key},
            limited=_limited,
            **options,
        )

    def create(self, draft: Draft) -> Issue:
        made: dict[str, Any] = {
            "id": issue_id(draft.key),
            "teamId": self._settings.team_id,
            "title": draft.title,
            "description": between_marks("", BEGIN, END, markdown(draft.blocks)),
            **({"labelIds": list(self._settings.labels)} if self._settings.labels else {}),
        }
        try:
            answer = self._ask(_CREATE, {"input": made}, once=True)
        except UnclearError:
            raise
        except TrackerError:
            # The id is taken: an earlier attempt got through.
            known = self.read([made["id"]]).get(made["id"])
            if known is None:
                raise
            return known
        return _issue(answer["issueCreate"]["issue"])

    def find(self, draft: Draft, since: datetime) -> Issue | None:
        del since
        name = issue_id(draft.key)
        return self.read([name]).get(name)

    def absent(self, since: datetime, now: datetime) -> bool:
        # A second creation of the same id is refused: trying again makes no second issue.
        del since, now
        return True

    def read(self, remote_ids: Sequence[str]) -> dict[str, Issue]:
        found = {}
        for at in range(0, len(remote_ids), PAGE):
            asked = {"ids": list(remote_ids[at : at + PAGE])}
            for node in self._ask(_ISSUES, asked)["issues"]["nodes"]:
                found[node["id"]] = _issue(node)
        return found

    def update(self, remote_id: str, draft: Draft) -> None:
        nodes = self._ask(_DESCRIPTION, {"ids": [remote_id]})["issues"]["nodes"]
        if not nodes:
            raise IssueGoneError(f"tracker {self._settings.name}: the issue {remote_id} is gone")
        before = nodes[0].get("description") or ""
        after = between_marks(before, BEGIN, END, markdown(draft.blocks))
        if after != before:
            self._ask(_UPDATE, {"id": remote_id, "input": {"description": after}})

    def _ask(self, query: str, variables: Mapping[str, Any], *, once: bool = False) -> dict[str, Any]:
        """`data` of the answer.

        Raises:
            TrackerError: the answer carries errors, as it may with status 200 too.
        """
        payload = {"query": query, "variables": dict(variables)}
        answer = self._caller.send(
            Call("POST", "/graphql", json=payload, once=once, reads=query.startswith("query"))
        )
        if answer.get("errors"):
            told = "; ".join(str(error.get("message")) for error in answer["errors"])
            raise TrackerError(f"tracker {self._settings.name}: Linear refused: {told[:300]}")
        data: dict[str, Any] = answer["data"]
        return data


def issue_id(key: str) -> str:
    """A UUID of version 4 made of the key: Linear takes no other version."""
    return str(UUID(bytes=hashlib.sha256(key.encode()).digest()[:16], version=4))


def _issue(node: Mapping[str, Any]) -> Issue:
    status = STATUS.get(node["state"]["type"], "open")
    closed = {"done": node.get("completedAt"), "dropped": node.get("canceledAt")}.get(status)
    return Issue(
        remote_id=node["id"],
        name=node["identifier"],
        url=node["url"],
        status=status,
        closed_at=datetime.fromisoformat(closed) if closed else None,
    )


def _limited(answer: requests.Response) -> bool:
    return answer.status_code == 429 or (answer.status_code == 400 and "RATELIMITED" in answer.text)
