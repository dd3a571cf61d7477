"""A second vendor, from the documents alone: what only our own simulator takes for granted shows here.

It shares no code with `opsanalytics.demo.simulator`. Each answer travels another way (announced, chunked,
HTTP/1.0 until the connection closes), with other spellings of header names, with and without gzip, and a
share of the requests meets a fault. `World` is the truth.
"""

import gzip
import io
import json
import random
import socket
import struct
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BROKEN = (b'{"event": "bro', b"\xff\xfe{}", b"null", b"[]", b'{"event":"no time","properties":{}}', b"\x80")
WITHOUT_BODY: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "429": (429, b'{"error":"Query rate limit exceeded for project_id: 1."}', {}),
    "429 and an odd pause": (429, b"", {"retry-after": "soon"}),
    "500": (500, b"<html>oops", {}),
    "503": (503, b"", {"RETRY-AFTER": "0"}),
    "504": (504, b"timeout", {}),
    "200 with an error": (200, b'{"error": "internal", "request": "/api"}\n', {}),
    "200 with a page": (200, b"<!DOCTYPE html>\n<html>Maintenance</html>\n", {}),
}
MIXPANEL_FAULTS = (
    *WITHOUT_BODY, "429 with a date", "reset", "garbage", "cut", "terminated", "terminated in a line",
    "ends between lines",
)  # fmt: skip
AMPLITUDE_FAULTS = (*WITHOUT_BODY, "429 with a date", "reset", "garbage", "cut", "damaged")


@dataclass(frozen=True)
class Happened:
    """One event of the truth."""

    number: int
    user: str
    device: str
    name: str
    ts: datetime
    uploaded: datetime


@dataclass
class World:
    """What really happened, and how it is exported."""

    events: list[Happened]
    chance: random.Random
    duplicates: float = 0.1
    broken: float = 0.05

    @classmethod
    def of(cls, seed: int, first: datetime, days: int = 5, each: int = 40) -> "World":
        """Some events a day, the first and last moments of the day among them."""
        chance = random.Random(seed)
        last = first + timedelta(days=days, microseconds=-1000)
        events = []
        for day in range(days):
            for number in range(each):
                second = {0: 0.0, 1: 86_399.999}.get(number, chance.randrange(86_400_000) / 1_000)
                ts = first + timedelta(days=day, seconds=second)
                user = chance.randrange(9)
                late = timedelta(hours=chance.choice([0, 0, 1, 30]), seconds=5)
                events.append(
                    Happened(
                        len(events), f"u{user}", f"d{user}-{chance.randrange(2)}",
                        chance.choice(["Visit", "Ünï €", "a\u2028b", "x\u0085y"]), ts, min(ts + late, last),
                    )
                )  # fmt: skip
        return cls(events, chance)

    def properties(self, event: Happened) -> dict[str, Any]:
        return {"n": event.number, "A": 1, "a": 2, "$b.c": "Å\u2028", 'q"': 2**62 + 1, "😀": [{"x": None}]}

    def mixpanel(self, first: str, last: str, names: Sequence[str] | None) -> bytes:
        """The export of some days, both inclusive; ids are re-keyed at will, order means nothing."""
        # the same question has the same answer: a body whose end nothing shows is asked for twice
        chance = random.Random(f"{first} {last} {names}")
        lines = []
        for event in self.events:
            if not first <= f"{event.ts:%Y-%m-%d}" <= last or (names is not None and event.name not in names):
                continue
            moment = round(event.ts.timestamp() * 1_000)
            for copy in range(1 + (chance.random() < self.duplicates)):
                own = self.properties(event) | {
                    "time": moment, "$insert_id": f"i{event.number}", "$device_id": event.device,
                    "$user_id": event.user, "mp_processing_time_ms": moment + copy,
                    "distinct_id": chance.choice([event.user, f"$device:{event.device}"]),
                    "$distinct_id_before_identity": f"$device:{event.device}",
                }  # fmt: skip
                lines.append(
                    json.dumps({"event": event.name, "properties": own}, ensure_ascii=False).encode()
                )
        lines += [chance.choice(BROKEN) for _ in lines if chance.random() < self.broken]
        chance.shuffle(lines)
        return b"".join(line + b"\n" for line in lines)

    def amplitude(self, first: datetime, last: datetime) -> bytes | None:
        """The archive of some hours of upload, both inclusive; None: there is nothing."""
        hours: dict[datetime, list[bytes]] = {}
        for event in self.events:
            hour = event.uploaded.replace(minute=0, second=0, microsecond=0)
            if first <= hour <= last:
                uploaded = f"{event.uploaded:%Y-%m-%d %H:%M:%S.%f}"
                record = {
                    "event_type": event.name,
                    "event_time": f"{event.ts:%Y-%m-%d %H:%M:%S.%f}",
                    "server_upload_time": uploaded,
                    "server_received_time": uploaded,
                    "uuid": f"uuid-{event.number}",
                    "$insert_id": f"i{event.number}",
                    "user_id": event.user,
                    "device_id": event.device,
                    "amplitude_id": 2**53 + 1 + int(event.user[1:]),
                    "session_id": -1,
                    "event_properties": self.properties(event),
                }
                line = json.dumps(record, ensure_ascii=False).encode()
                hours.setdefault(hour, []).extend([line] * (1 + (self.chance.random() < self.duplicates)))
        if not hours:
            return None
        content = io.BytesIO()
        with zipfile.ZipFile(
            content, "w", self.chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        ) as zipped:
            zipped.writestr("1/", b"")
            for hour, lines in hours.items():
                lines += [self.chance.choice(BROKEN) for _ in lines if self.chance.random() < self.broken]
                half = len(lines) // 2
                for part, some in enumerate((lines[:half], lines[half:])):
                    end = self.chance.choice([b"", b"\n", b"\n\n"])
                    name = f"1/1_{hour:%Y-%m-%d}_{hour.hour}#{part}.json.gz"
                    zipped.writestr(name, gzip.compress(b"\n".join(some) + end))
            zipped.writestr("1/1_complete", b"")
        return content.getvalue()


@dataclass
class PlainVendor:
    """Both vendors at one address."""

    world: World
    faults: Sequence[str]
    rate: float
    chance: random.Random
    met: Counter[str] = field(default_factory=Counter)
    in_a_row: int = 0

    def next_fault(self) -> str | None:
        """Never more than three in a row: nobody could work with that."""
        if self.in_a_row == 3 or self.chance.random() >= self.rate:
            self.in_a_row = 0
            return None
        self.in_a_row += 1
        fault = self.chance.choice(self.faults)
        self.met[fault] += 1
        return fault

    @contextmanager
    def served(self) -> Iterator[str]:
        """Its address, as long as it listens."""
        server = _Server(("127.0.0.1", 0), _Handler)
        server.vendor = self
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    vendor: PlainVendor

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may hang up whenever it likes."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        vendor = self.server.vendor
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        fault = vendor.next_fault()
        if not (self.headers.get("authorization") or "").startswith("Basic "):
            self._answer(401, b"who are you?", {})
        elif fault in WITHOUT_BODY:
            self._answer(*WITHOUT_BODY[fault])
        elif fault == "429 with a date":
            self._answer(429, b"", {"Retry-After": formatdate(time.time() - 1, usegmt=True)})
        elif fault == "garbage":
            self.wfile.write(b"\x00\x01\x02 no HTTP at all\r\n\r\n")
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif parts.path == "/api/2.0/export":
            names = json.loads(query["event"]) if "event" in query else None
            body = vendor.world.mixpanel(query["from_date"], query["to_date"], names)
            self._export(body, fault, "text/plain")
        elif parts.path == "/api/2/export":
            first, last = (
                datetime.strptime(query[name], "%Y%m%dT%H").replace(tzinfo=UTC) for name in ("start", "end")
            )
            archive = vendor.world.amplitude(first, last)
            if archive is None:
                self._answer(404, b"Raw data files were not found.", {})
            else:
                self._export(archive, fault, "application/zip")
        else:
            self._answer(404, b"nothing here", {})

    def _export(self, body: bytes, fault: str | None, kind: str) -> None:
        chance = self.server.vendor.chance
        headers = {"content-TYPE": kind}
        before = body.rfind(b"\n", 0, max(1, chance.randrange(len(body) + 1))) + 1
        if fault == "terminated":
            body = body[:before] + chance.choice([b"terminated early", b"Export terminated early\r\n\n"])
        elif fault == "terminated in a line":
            body = body[: len(body) // 2] + b"terminated early\n"
        elif fault == "ends between lines":
            # nothing in the answer tells
            self._answer(200, body[:before], headers, way="until it closes")
            return
        elif fault == "damaged":
            damaged = bytearray(body)
            for _ in range(5):
                damaged[chance.randrange(len(damaged))] ^= 0xFF
            body = bytes(damaged)
        elif self._may_pack(kind, body) and chance.random() < 0.7:
            headers["CONTENT-encoding"] = chance.choice(["gzip", "GZIP", "x-gzip"])
            middle = len(body) // 2
            body = gzip.compress(body[:middle]) + gzip.compress(body[middle:])
        self._answer(200, body, headers, cut=chance.randrange(max(1, len(body))) if fault == "cut" else None)

    def _may_pack(self, kind: str, body: bytes) -> bool:
        accepted = self.headers.get("Accept-Encoding", "")
        return kind == "text/plain" and len(body) > 1_400 and "gzip" in accepted

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        way: str | None = None,
        cut: int | None = None,
    ) -> None:
        chance = self.server.vendor.chance
        way = way or chance.choice(["announced", "chunked", "until it closes"])
        version = "1.0" if way == "until it closes" else "1.1"
        framing = {
            "announced": f"content-length: {len(body)}\r\n",
            "chunked": "Transfer-encoding: Chunked\r\n",
        }
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/{version} {status} whatever\r\n{told}{framing.get(way, '')}Connection: close\r\n\r\n"
        self.wfile.write(head.encode())
        sent = body if cut is None else body[:cut]
        if way == "chunked":
            for start in range(0, len(sent), 5_000):
                portion = sent[start : start + 5_000]
                self.wfile.write(b"%X\r\n%s\r\n" % (len(portion), portion))
            sent = b"0\r\n\r\n" if cut is None else b""
        self.wfile.write(sent)
        self.close_connection = True
