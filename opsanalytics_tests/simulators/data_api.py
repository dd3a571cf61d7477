"""Google's token endpoint and the Data API's `runReport`, as much as asking for totals needs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "token-of-the-simulator"


@dataclass
class DataApi:
    """What the vendor counts, what it answers before, and what it was asked."""

    rows: list[tuple[str, str, int]]
    """(YYYYMMDD, event name, count)."""
    url: str = ""
    failures: list[int] = field(default_factory=list)
    """Status codes of the next answers."""
    metadata: dict[str, Any] = field(default_factory=dict)
    page_rows: int = 2
    asked: list[dict[str, Any]] = field(default_factory=list)

    def key_file(self, path: Path) -> Path:
        """The key file of a service account that gets its tokens here."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {"type": "service_account", "client_email": "x@y.example", "private_key": key.decode(),
                   "private_key_id": "1", "token_uri": f"{self.url}/token"}  # fmt: skip
        path.write_text(json.dumps(account), encoding="utf-8")
        return path

    def answer(self, path: str, body: bytes, token: str) -> tuple[int, dict[str, Any]]:
        if path == "/token":
            return 200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        if self.failures:
            return self.failures.pop(0), {"error": {"message": "not now"}}
        if token != f"Bearer {TOKEN}" or path != "/v1beta/properties/42:runReport":
            return 403, {"error": {"message": "no access"}}
        asked = json.loads(body)
        self.asked.append(asked)
        (period,) = asked["dateRanges"]
        first, last = (period[name].replace("-", "") for name in ("startDate", "endDate"))
        found = [row for row in self.rows if first <= row[0] <= last]
        start = int(asked["offset"])
        rows = [
            {"dimensionValues": [{"value": day}, {"value": event}], "metricValues": [{"value": str(count)}]}
            for day, event, count in found[start : start + self.page_rows]
        ]
        return 200, {"rows": rows, "rowCount": len(found), "metadata": self.metadata}


@contextmanager
def serve_data_api(api: DataApi) -> Iterator[DataApi]:
    """The API on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Nobody reads it."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = api.answer(self.path, body, self.headers.get("Authorization", ""))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
