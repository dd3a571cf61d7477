"""GitHub, Jira Cloud and Linear as their documents describe them, on a local port; answers get lost.

What a test asks for goes into `faults`: the next requests that match are answered so. `lost` carries the
request out and hangs up; `dead` hangs up first; a number is a status; `limited` says: asked too often.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from opsanalytics_tests.simulators import jira_search


@dataclass
class FakeTracker:
    """What a tracker holds. `writes` counts requests that changed something."""

    issues: list[dict[str, Any]] = field(default_factory=list)
    faults: list[tuple[str, Any]] = field(default_factory=list)
    """(method and path, as a pattern; what goes wrong)."""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When each request came, seconds of a clock that only goes forward."""
    writes: int = 0
    hidden: int = 0
    """So many searches do not know of new issues yet."""
    drop_labels: bool = False
    url: str = ""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def fault(self, line: str) -> Any:
        with self.lock:
            for at, (pattern, fault) in enumerate(self.faults):
                if re.search(pattern, line):
                    del self.faults[at]
                    return fault
        return None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        raise NotImplementedError


class FakeGitHub(FakeTracker):
    """Issues of acme/shop."""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        found = re.fullmatch(r"/repos/acme/shop/issues(?:/(\d+))?", path)
        if not found:
            return 404, {"message": "Not Found"}
        if found[1]:
            issue = next((each for each in self.issues if each["number"] == int(found[1])), None)
            if issue is None:
                return 410, {"message": "This issue was deleted"}
            if method == "PATCH":
                self.writes += 1
                issue.update(body)
            return 200, issue
        if method == "GET":
            page, size = int(query["page"]), int(query["per_page"])
            return 200, self.issues[::-1][(page - 1) * size : page * size]
        if not body.get("title"):
            return 422, {"message": "Validation Failed"}
        self.writes += 1
        number = len(self.issues) + 1
        issue = {
            "number": number,
            "html_url": f"https://github.example/acme/shop/issues/{number}",
            "title": body["title"],
            "body": body["body"],
            "state": "open",
            "state_reason": None,
            "closed_at": None,
            "labels": [] if self.drop_labels else [{"name": name} for name in body["labels"]],
        }
        self.issues.append(issue)
        return 201, issue

    def close(self, number: int, on: str, reason: str = "completed") -> None:
        self.issues[number - 1] |= {"state": "closed", "closed_at": on, "state_reason": reason}

    def reopen(self, number: int) -> None:
        self.issues[number - 1] |= {"state": "open", "closed_at": None, "state_reason": "reopened"}


class FakeJira(FakeTracker):
    """Issues of project WEB. Refuses what is no document, long summaries, and labels with spaces."""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if path == "/rest/api/3/search/jql" and method == "POST":
            if self.hidden:
                self.hidden -= 1
                return 200, {"issues": [], "isLast": True}
            assert body["fields"], "fields must be named"
            return 200, {"issues": jira_search.matching(self.issues, body["jql"]), "isLast": True}
        if path == "/rest/api/3/search":
            return 410, {"errorMessages": ["The requested API has been removed."]}
        if path == "/rest/api/3/issue" and method == "POST":
            fields = body["fields"]
            wrong = jira_search.wrong(fields)
            if wrong:
                return 400, {"errors": {wrong: "invalid"}}
            self.writes += 1
            number = len(self.issues) + 1
            blank = {"resolution": None, "resolutiondate": None, "statuscategorychangedate": None}
            status = {"status": {"name": "To Do", "statusCategory": {"key": "new"}}}
            issue = {
                "id": str(10_000 + number),
                "key": f"WEB-{number}",
                "fields": {**fields, **blank, **status},
            }
            self.issues.append(issue)
            return 201, {"id": issue["id"], "key": issue["key"], "self": "x"}
        found = re.fullmatch(r"/rest/api/3/issue/([\w-]+)", path)
        issue = next((each for each in self.issues if found and found[1] in (each["id"], each["key"])), None)
        if issue is None:
            return 404, {"errorMessages": ["Issue does not exist or you do not have permission to see it."]}
        if method == "PUT":
            if not isinstance(body["fields"].get("description"), dict):
                return 400, {"errors": {"description": "Operation value must be an Atlassian Document"}}
            self.writes += 1
            issue["fields"].update(body["fields"])
            return 204, None
        return 200, issue

    def close(self, number: int, on: str, resolution: str = "Done") -> None:
        self.issues[number - 1]["fields"] |= {
            "status": {"name": "Done", "statusCategory": {"key": "done"}},
            "resolution": {"name": resolution},
            "resolutiondate": on,
        }

    def start(self, number: int) -> None:
        self.issues[number - 1]["fields"] |= {
            "status": {"name": "In Progress", "statusCategory": {"key": "indeterminate"}}
        }


class FakeLinear(FakeTracker):
    """Issues of any team. An id that is taken is refused, with status 200."""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        asked, given = body["query"], body["variables"]
        if "issueCreate" in asked:
            made = given["input"]
            if any(issue["id"] == made["id"] for issue in self.issues):
                return 200, {"errors": [{"message": "Entity already exists"}], "data": None}
            self.writes += 1
            number = len(self.issues) + 1
            issue = made | {
                "identifier": f"OPS-{number}",
                "url": f"https://linear.example/OPS-{number}",
                "state": {"type": "backlog"},
                "completedAt": None,
                "canceledAt": None,
            }
            self.issues.append(issue)
            return 200, {"data": {"issueCreate": {"success": True, "issue": issue}}}
        if "issueUpdate" in asked:
            self.writes += 1
            next(each for each in self.issues if each["id"] == given["id"]).update(given["input"])
            return 200, {"data": {"issueUpdate": {"success": True}}}
        nodes = [issue for issue in self.issues if issue["id"] in given["ids"]]
        return 200, {"data": {"issues": {"nodes": nodes}}}


@contextmanager
def served(tracker: FakeTracker) -> Iterator[FakeTracker]:
    """The tracker on a port of this machine, at `tracker.url`."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            line = f"{self.command} {parts.path} {json.dumps(body)}"
            fault = tracker.fault(line)
            with tracker.lock:
                tracker.requests.append((self.command, parts.path, body))
                tracker.times.append(time.monotonic())
                tracker.headers.append({name.lower(): value for name, value in self.headers.items()})
                if fault == "dead":
                    self.close_connection = True
                    return
                if fault is None or fault == "lost":
                    status, answer = tracker.answer(self.command, parts.path, query, body)
                else:
                    status, answer = (429 if fault == "limited" else int(fault)), {"message": "no"}
            if fault == "lost":
                self.close_connection = True
                return
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            if fault == "limited":
                self.send_header("Retry-After", "0")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 - names of the standard library

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as above
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    tracker.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield tracker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
