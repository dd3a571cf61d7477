"""The HTTP server around the vendors' endpoints: request log, hook for faults, delivery of bytes."""

import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

from opsanalytics.demo.simulator.messages import Reply, Request, Vendor, gzip_bytes, json_reply

Intercept = Callable[[Request, Callable[[], Reply]], Reply]
"""Decides about one request: call the second argument for the faithful reply and pass it on, changed
or not, or reply otherwise. Not calling it leaves the vendor's limits uncounted."""

LOG_LENGTH = 100_000
PORTION = 64 * 1024


@dataclass(frozen=True)
class LoggedRequest:
    """One answered request. `time` is real time, UTC; credentials are not kept."""

    vendor: str
    method: str
    path: str
    query: dict[str, str]
    status: int
    time: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class VendorSimulator:
    """Serves vendors' export endpoints on 127.0.0.1, as a context manager or until `stop()`.

    `clock` is the simulator's idea of now (UTC, aware): it decides what is in the future and which
    hours are ready. `port` 0 takes a free one. `intercept` sees every request to a vendor before it
    is answered. The address is `url` once started.
    """

    def __init__(
        self,
        *vendors: Vendor,
        port: int = 0,
        clock: Callable[[], datetime] = _utc_now,
        intercept: Intercept | None = None,
    ) -> None:
        self.vendors = {vendor.path: vendor for vendor in vendors}
        self._port = port
        self._clock = clock
        self._intercept = intercept
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._too_many_open = 0
        self._log: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`, the base of every endpoint. Raises RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("the simulator is not running; call start() or use it in a with statement")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def log(self) -> list[LoggedRequest]:
        """The answered requests, oldest first (the last 100,000)."""
        with self._lock:
            return list(self._log)

    @property
    def limit_violations(self) -> int:
        """Requests beyond a vendor's rate or concurrency limit, over all vendors."""
        return self._too_many_open + sum(vendor.windows.violations for vendor in self.vendors.values())

    @contextmanager
    def opened(self, path: str) -> Iterator[None]:
        """A request is open until its answer is sent; more at once than a vendor allows are violations."""
        vendor = self.vendors.get(path)
        name = vendor.name if vendor else ""
        with self._lock:
            self._open[name] += 1
            if vendor is not None and vendor.concurrent is not None:
                self._too_many_open += self._open[name] > vendor.concurrent
        try:
            yield
        finally:
            with self._lock:
                self._open[name] -= 1

    def start(self) -> "VendorSimulator":
        """Listen and answer in background threads. Raises OSError if the port is taken."""
        if self._server is not None:
            raise RuntimeError("the simulator is already running")
        self._server = _Server(self, self._port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="vendor-simulator", daemon=True
        )
        self._thread.start()
        return self

    def wait(self) -> None:
        """Block until another thread calls `stop` (for a simulator that runs on its own)."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Stop listening and drop the connections that are open."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.drop_connections()
        self._server.server_close()
        self._server = self._thread = None

    def __enter__(self) -> "VendorSimulator":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def respond(
        self, method: str, target: str, headers: dict[str, str], body: bytes = b""
    ) -> tuple[Request, Reply]:
        """Decide the reply to a request (header names in lower case) and log it; sends nothing."""
        parts = urlsplit(target)
        vendor = self._vendor(parts.path)
        name = vendor.name if vendor else ""
        with self._lock:
            self._counts[name] += 1
            number = self._counts[name]
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(method, parts.path, target, query, headers, name, number, self._clock(), body)
        reply = self._decide(vendor, request)
        entry = LoggedRequest(name, method, parts.path, query, reply.status, _utc_now())
        with self._lock:
            self._log.append(entry)
        return request, reply

    def _vendor(self, path: str) -> Vendor | None:
        below = (
            vendor for start, vendor in self.vendors.items() if start.endswith("/") and path.startswith(start)
        )
        return self.vendors.get(path) or next(below, None)

    def _decide(self, vendor: Vendor | None, request: Request) -> Reply:
        if vendor is None:
            return json_reply(404, {"error": f"no such endpoint; there are {sorted(self.vendors)}"})
        if self._intercept is None:
            return _faithful(vendor, request)
        return self._intercept(request, lambda: _faithful(vendor, request))


def _faithful(vendor: Vendor, request: Request) -> Reply:
    if request.method not in vendor.methods:
        allowed = ", ".join(sorted(vendor.methods))
        return json_reply(405, {"error": f"use {allowed}"}, Allow=allowed)
    refusal = vendor.refuse(request)
    if refusal is not None:
        return refusal
    excess = vendor.windows.admit()
    return vendor.over_limit(request, *excess) if excess else vendor.answer(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, simulator: VendorSimulator, port: int) -> None:
        self.simulator = simulator
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def track(self, connection: socket.socket, *, is_open: bool) -> None:
        with self._open_lock:
            (self._open.add if is_open else self._open.discard)(connection)

    def drop_connections(self) -> None:
        with self._open_lock:
            for connection in self._open:
                _hang_up(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body leave in two writes; else the second waits for an answer
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.track(self.connection, is_open=True)

    def finish(self) -> None:
        self.server.track(self.connection, is_open=False)
        super().finish()

    def _respond(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = headers.get("content-length", "")
        body = self.rfile.read(int(length)) if length.isdigit() else b""
        if self.command != "GET" and not length.isdigit():
            self.close_connection = True  # a body that nobody reads would be taken for the next request
        simulator = self.server.simulator
        with simulator.opened(urlsplit(self.path).path):
            request, reply = simulator.respond(self.command, self.path, headers, body)
            try:
                self._send(request, reply)
            except ConnectionError:
                self.close_connection = True  # the client hung up, which is its right

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _respond  # noqa: N815 - names given by http.server

    def _send(self, request: Request, reply: Reply) -> None:
        body = reply.body
        accepted = request.headers.get("accept-encoding", "")
        compress = (
            reply.gzip_above is not None and len(body) > reply.gzip_above and "gzip" in accepted.lower()
        )
        if compress:
            body = gzip_bytes(body)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        if compress:
            self.send_header("Content-Encoding", "gzip")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.announce_length:
            claimed = len(body) if reply.claimed_length is None else reply.claimed_length
            self.send_header("Content-Length", str(claimed))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if request.method == "HEAD":
            return
        cut = reply.send_only
        sent = body if cut is None else body[: cut if isinstance(cut, int) else int(len(body) * cut)]
        size, pause = reply.pace or (PORTION, 0.0)
        for start in range(0, len(sent), size):
            self.wfile.write(sent[start : start + size])
            if pause:
                time.sleep(pause)
        if cut is not None or not reply.announce_length or reply.claimed_length is not None:
            self.close_connection = True
            _hang_up(self.connection)

    def log_message(self, *_: Sequence[object]) -> None:
        """Requests are kept in the simulator's log, not printed."""


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed already by the other side
