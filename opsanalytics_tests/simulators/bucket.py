"""A bucket over HTTP as S3 and Google Cloud Storage serve it; as much as reading needs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}


@dataclass
class Bucket:
    """Objects by key, each with its content and time."""

    url: str = ""
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    """Keys whose content was asked for, in order."""

    def put(self, key: str, content: bytes, at: datetime = datetime(2026, 3, 10, 11, tzinfo=UTC)) -> None:
        self.objects[key] = content, at

    def uri(self, folder: str, scheme: str) -> str:
        """What a user configures for this bucket, with the address of this server."""
        server = f"scheme=http&endpoint_override={urlsplit(self.url).netloc}"
        if scheme == "gs":
            return f"gs://anonymous@events/{folder}?{server}&retry_limit_seconds=5"
        return f"s3://events/{folder}?{server}&region=us-east-1"


@contextmanager
def serve_bucket() -> Iterator[Bucket]:
    """A bucket `events` on a port of this machine."""
    bucket = Bucket()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Nobody reads it."""

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            parts = urlsplit(self.path)
            if parts.path.startswith(GOOGLE):
                key = unquote(parts.path.removeprefix(GOOGLE)).lstrip("/")
                status, content = google(bucket, key, parse_qs(parts.query))
                self.reply(status, content, {"Content-Type": "application/json", "x-goog-generation": "1"})
                return
            _, _, key = unquote(parts.path).lstrip("/").partition("/")
            if not key:
                self.reply(200, listing(bucket, parse_qs(parts.query)), {"Content-Type": "application/xml"})
            elif key not in bucket.objects:
                self.reply(404, NOT_FOUND if body else b"", {"Content-Type": "application/xml"})
            else:
                content, at = bucket.objects[key]
                headers = {"Last-Modified": format_datetime(at, usegmt=True), "ETag": f'"{hash(content)}"'}
                if not body:
                    self.reply(200, content, headers, body=False)
                    return
                bucket.read.append(key)
                asked = self.headers.get("Range")
                if asked is None:
                    self.reply(200, content, headers)
                    return
                first, _, last = asked.removeprefix("bytes=").partition("-")
                part = content[int(first) : int(last) + 1 if last else None]
                headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
                self.reply(206, part, headers)

        def reply(self, status: int, content: bytes, headers: dict[str, str], *, body: bool = True) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


NOT_FOUND = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code><Message>no</Message></Error>'
)


GOOGLE = "/storage/v1/b/events/o"


def google(bucket: Bucket, key: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
    """What the JSON API answers: a listing, an object's description, or its content."""
    if not key:
        prefix = query.get("prefix", [""])[0]
        items = [described(bucket, each) for each in sorted(bucket.objects) if each.startswith(prefix)]
        return 200, json.dumps({"kind": "storage#objects", "items": items}).encode()
    if key not in bucket.objects:
        return 404, json.dumps({"error": {"code": 404, "message": "no such object"}}).encode()
    if query.get("alt") == ["media"]:
        bucket.read.append(key)
        return 200, bucket.objects[key][0]
    return 200, json.dumps(described(bucket, key)).encode()


def described(bucket: Bucket, key: str) -> dict[str, str]:
    content, at = bucket.objects[key]
    time = f"{at:%Y-%m-%dT%H:%M:%S.000Z}"
    return {
        "kind": "storage#object", "id": f"events/{key}", "name": key, "bucket": "events",
        "size": str(len(content)), "generation": "1", "metageneration": "1", "storageClass": "STANDARD",
        "updated": time, "timeCreated": time,
    }  # fmt: skip


def listing(bucket: Bucket, query: dict[str, list[str]]) -> bytes:
    """The answer to ListObjectsV2."""
    prefix = query.get("prefix", [""])[0]
    found = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
        f"<LastModified>{at:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
        for key, (content, at) in sorted(bucket.objects.items())
        if key.startswith(prefix)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>events</Name>'
        f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{found.count('<Key>')}</KeyCount>"
        f"<IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
    )
    return text.encode()
