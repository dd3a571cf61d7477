"""Issues in Jira Cloud (REST, version 3).

An issue is found again by a label with its key. Search knows of a new issue only after some seconds, so an
issue whose creation was in doubt is looked for again in later runs before another one is made.
https://developer.atlassian.com/cloud/jira/platform/rest/v3/
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import requests

from opsanalytics.improvement.trackers.document import atlassian
from opsanalytics.improvement.trackers.errors import IssueGoneError
from opsanalytics.improvement.trackers.evidence import Draft
from opsanalytics.improvement.trackers.http import Call, Caller
from opsanalytics.improvement.trackers.issues import Issue, RemoteStatus, Tracker
from opsanalytics.improvement.trackers.settings import JiraSettings
from opsanalytics.lake.paths import Home

FIELDS = ("status", "resolution", "resolutiondate", "statuscategorychangedate")
HEADING = "Evidence from opsanalytics"


class Jira(Tracker):
    """One project."""

    def __init__(self, settings: JiraSettings, home: Home, email: str, token: str, **options: Any) -> None:
        self._settings = settings
        self._caller = Caller(
            settings,
            home,
            settings.address,
            auth=(email, token),
            headers={"Accept": "application/json"},
            limited=_limited,
            **options,
        )

    def create(self, draft: Draft) -> Issue:
        settings = self._settings
        payload = {
            "fields": {
                "project": {"key": settings.project_key},
                "issuetype": {"name": settings.issue_type},
                "summary": draft.title,
                "description": {"type": "doc", "version": 1, "content": [_managed(draft)]},
                "labels": [*settings.labels, _label(draft)],
            }
        }
        answer = self._caller.send(Call("POST", "/rest/api/3/issue", json=payload, once=True))
        return self._issue({"key": answer["key"], "id": answer["id"], "fields": {}})

    def find(self, draft: Draft, since: datetime) -> Issue | None:
        del since
        self._caller.sleep(self._settings.index_lag_seconds)
        jql = f'project = "{self._settings.project_key}" AND labels = "{_label(draft)}" ORDER BY created ASC'
        query = {"jql": jql, "fields": list(FIELDS), "maxResults": 10}
        found = self._caller.send(Call("POST", "/rest/api/3/search/jql", json=query, reads=True)).get(
            "issues", []
        )
        return self._issue(found[0]) if found else None

    def absent(self, since: datetime, now: datetime) -> bool:
        return now - since >= timedelta(seconds=self._settings.settle_seconds)

    def read(self, remote_ids: Sequence[str]) -> dict[str, Issue]:
        found = {}
        for remote_id in remote_ids:
            try:
                answer = self._caller.send(
                    Call(
                        "GET",
                        f"/rest/api/3/issue/{remote_id}",
                        params={"fields": ",".join(FIELDS)},
                        reads=True,
                    )
                )
            except IssueGoneError:
                continue
            found[remote_id] = self._issue(answer)
        return found

    def update(self, remote_id: str, draft: Draft) -> None:
        path = f"/rest/api/3/issue/{remote_id}"
        answer = self._caller.send(Call("GET", path, params={"fields": "description"}, reads=True))
        before = answer["fields"].get("description") or {"type": "doc", "version": 1, "content": []}
        nodes = list(before.get("content", []))
        ours = [at for at, node in enumerate(nodes) if _is_ours(node, draft)]
        managed = _managed(draft)
        after = [managed if at in ours[:1] else node for at, node in enumerate(nodes) if at not in ours[1:]]
        if not ours:
            after.append(managed)
        if after != nodes:
            self._caller.send(
                Call("PUT", path, json={"fields": {"description": {**before, "content": after}}})
            )

    def _issue(self, answer: Mapping[str, Any]) -> Issue:
        fields = answer["fields"]
        resolution = (fields.get("resolution") or {}).get("name")
        category = ((fields.get("status") or {}).get("statusCategory") or {}).get("key")
        status: RemoteStatus = "open"
        if category == "indeterminate":
            status = "started"
        elif category == "done":
            status = "dropped" if resolution in self._settings.dropped_resolutions else "done"
        closed = fields.get("resolutiondate") or fields.get("statuscategorychangedate")
        return Issue(
            remote_id=str(answer["id"]),
            name=answer["key"],
            url=f"{self._settings.address}/browse/{answer['key']}",
            status=status,
            closed_at=_moment(closed) if status in ("done", "dropped") and closed else None,
        )


def _label(draft: Draft) -> str:
    return f"opsanalytics-{draft.key}"


def _title(draft: Draft) -> str:
    return f"{HEADING} ({draft.item_id})"


def _managed(draft: Draft) -> dict[str, Any]:
    """A panel that can be folded; its title tells it from what people write."""
    return {"type": "expand", "attrs": {"title": _title(draft)}, "content": atlassian(draft.blocks)}


def _is_ours(node: Mapping[str, Any], draft: Draft) -> bool:
    return node.get("type") == "expand" and (node.get("attrs") or {}).get("title") == _title(draft)


def _moment(text: str) -> datetime:
    """`2026-03-01T12:00:00.000+0000`."""
    return datetime.fromisoformat(text)


def _limited(answer: requests.Response) -> bool:
    return answer.status_code == 429 or (answer.status_code == 503 and "retry-after" in answer.headers)
