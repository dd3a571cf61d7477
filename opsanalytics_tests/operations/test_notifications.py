"""A failed run is told in a file always, and by webhook; the webhook's URL never shows."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from opsanalytics.lake.paths import Home
from opsanalytics.operations import notifications
from opsanalytics.operations.notifications import Notification, NotificationError, post, record

MESSAGE = Notification(
    "run-1", "daily failed", "401 from <Mixpanel> & co", datetime(2026, 11, 23, tzinfo=UTC)
)


class Hook:
    """A webhook that answers with the given statuses, the last one from then on."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.bodies: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status = outer.statuses.pop(0) if len(outer.statuses) > 1 else outer.statuses[0]
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/services/SECRET"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setattr(notifications, "FIRST_PAUSE_SECONDS", 0.01)
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def test_every_failure_is_one_line_in_the_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record(home, MESSAGE)
    record(home, MESSAGE)
    lines = (tmp_path / "notifications.jsonl").read_text().splitlines()
    assert [json.loads(line)["title"] for line in lines] == ["daily failed", "daily failed"]


def test_the_message_is_escaped_for_slack(hook: Hook) -> None:
    post(hook.url, MESSAGE)
    assert hook.bodies == [{"text": "*daily failed*\n401 from &lt;Mixpanel&gt; &amp; co"}]


def test_a_server_error_is_tried_again(hook: Hook) -> None:
    hook.statuses = [503, 429, 200]
    post(hook.url, MESSAGE)
    assert len(hook.bodies) == 3


def test_a_refusal_is_not_tried_again(hook: Hook) -> None:
    hook.statuses = [404]
    with pytest.raises(NotificationError, match=r"status 404.*webhook_env"):
        post(hook.url, MESSAGE)
    assert len(hook.bodies) == 1


@pytest.mark.parametrize("broken", [[500], None])
def test_the_url_is_a_secret_and_stays_out_of_the_error(hook: Hook, broken: list[int] | None) -> None:
    url = hook.url
    if broken:
        hook.statuses = broken
    else:
        url = "http://127.0.0.1:9/services/SECRET"
    with pytest.raises(NotificationError) as caught:
        post(url, MESSAGE)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
