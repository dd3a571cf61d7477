"""Issues on GitHub (REST, version 2022-11-28).

An issue is found again by a comment in its body that the page does not show. Looking up goes through the
list of issues, which knows of a new issue at once; the search index does not.
https://docs.github.com/en/rest/issues/issues
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import requests

from opsanalytics.improvement.trackers.document import markdown
from opsanalytics.improvement.trackers.errors import IssueGoneError
from opsanalytics.improvement.trackers.evidence import Draft
from opsanalytics.improvement.trackers.http import Call, Caller
from opsanalytics.improvement.trackers.issues import Issue, RemoteStatus, Tracker, between_marks
from opsanalytics.improvement.trackers.settings import GitHubSettings
from opsanalytics.lake.paths import Home

PAGE = 100
CLOCKS = timedelta(hours=1)
"""So far apart ours and GitHub's clock may be."""


class GitHub(Tracker):
    """One repository."""

    def __init__(self, settings: GitHubSettings, home: Home, token: str, **options: Any) -> None:
        self._settings = settings
        self._caller = Caller(
            settings,
            home,
            settings.base_url,
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            limited=_limited,
            **options,
        )
        self._issues = f"/repos/{settings.repository}/issues"

    def create(self, draft: Draft) -> Issue:
        wanted = list(self._settings.labels)
        body = between_marks("", *_marks(draft), markdown(draft.blocks))
        payload = {"title": draft.title, "body": body, "labels": wanted}
        answer = self._caller.send(Call("POST", self._issues, json=payload, once=True))
        kept = {label["name"].lower() for label in answer.get("labels", [])}
        lost = [label for label in wanted if label.lower() not in kept]
        warning = f"labels {', '.join(lost)} were dropped: the token has no push access" if lost else None
        return _issue(answer, warning)

    def find(self, draft: Draft, since: datetime) -> Issue | None:
        mark = _marks(draft)[0]
        for issue in self._list({"since": f"{since - CLOCKS:%Y-%m-%dT%H:%M:%SZ}"}):
            if mark in (issue.get("body") or ""):
                return _issue(issue)
        return None

    def absent(self, since: datetime, now: datetime) -> bool:
        del since, now
        return True

    def read(self, remote_ids: Sequence[str]) -> dict[str, Issue]:
        found = {}
        for remote_id in remote_ids:
            try:
                found[remote_id] = _issue(
                    self._caller.send(Call("GET", f"{self._issues}/{remote_id}", reads=True))
                )
            except IssueGoneError:
                continue
        return found

    def update(self, remote_id: str, draft: Draft) -> None:
        path = f"{self._issues}/{remote_id}"
        before = self._caller.send(Call("GET", path, reads=True)).get("body") or ""
        after = between_marks(before, *_marks(draft), markdown(draft.blocks))
        if after != before:
            self._caller.send(Call("PATCH", path, json={"body": after}))

    def _list(self, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Issues in any state, pull requests left out."""
        page = 1
        while True:
            asked = {"state": "all", "per_page": str(PAGE), "page": str(page), **params}
            found = self._caller.send(Call("GET", self._issues, params=asked, reads=True))
            yield from (issue for issue in found if "pull_request" not in issue)
            if len(found) < PAGE:
                return
            page += 1


def _marks(draft: Draft) -> tuple[str, str]:
    return f"<!-- opsanalytics:{draft.key} -->", f"<!-- /opsanalytics:{draft.key} -->"


def _issue(answer: Mapping[str, Any], warning: str | None = None) -> Issue:
    status: RemoteStatus = "open"
    if answer["state"] == "closed":
        status = "dropped" if answer.get("state_reason") in ("not_planned", "duplicate") else "done"
    closed = answer.get("closed_at")
    return Issue(
        remote_id=str(answer["number"]),
        name=f"#{answer['number']}",
        url=answer["html_url"],
        status=status,
        closed_at=datetime.fromisoformat(closed) if closed and status in ("done", "dropped") else None,
        warning=warning,
    )


def _limited(answer: requests.Response) -> bool:
    if answer.status_code == 429:
        return True
    return answer.status_code == 403 and (
        "retry-after" in answer.headers
        or answer.headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in answer.text.lower()
    )
