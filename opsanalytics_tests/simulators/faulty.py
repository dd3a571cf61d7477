"""Faults on top of the vendor simulator: which request gets which answer.

    faults = FaultSchedule()
    faults.on("mixpanel", 2, terminated_early())          # the 2nd export request
    faults.on("amplitude", [1, 2, 3], server_error(503))  # the first three
    faults.always("mixpanel", wrong_auth())
    with FaultySimulator(project, faults=faults) as simulator: ...

A fault is a function of the request and of the faithful answer (a callable, so that a fault that
replaces the answer leaves the vendor's limits uncounted). The docstring of each says what it copies.
What belongs to the data and not to one answer (duplicates, late events, a project's clock, limits) is
a parameter of the simulated projects.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from opsanalytics.demo.simulator import Intercept, Reply, Request, VendorSimulator
from opsanalytics.demo.simulator.messages import Vendor, gzip_bytes

Fault = Intercept
LineEdit = Callable[[list[bytes]], Iterable[bytes]]


@dataclass
class FaultSchedule:
    """Faults by vendor and number of the request (from 1); `fired` lists those that were used."""

    planned: dict[tuple[str, int], Fault] = field(default_factory=dict)
    standing: dict[str, Fault] = field(default_factory=dict)
    fired: list[tuple[str, int]] = field(default_factory=list)

    def on(self, vendor: str, number: int | Sequence[int], fault: Fault) -> "FaultSchedule":
        """Answer these requests to `vendor` with `fault`."""
        for one in [number] if isinstance(number, int) else number:
            self.planned[vendor, one] = fault
        return self

    def always(self, vendor: str, fault: Fault) -> "FaultSchedule":
        """Answer every request to `vendor` that has no fault of its own with `fault`."""
        self.standing[vendor] = fault
        return self

    @property
    def unused(self) -> list[tuple[str, int]]:
        """Planned faults whose request never came: a test that leaves some proved nothing with them."""
        return sorted(set(self.planned) - set(self.fired))

    def __call__(self, request: Request, answer: Callable[[], Reply]) -> Reply:
        fault = self.planned.get((request.vendor, request.number), self.standing.get(request.vendor))
        if fault is None:
            return answer()
        self.fired.append((request.vendor, request.number))
        return fault(request, answer)


class FaultySimulator(VendorSimulator):
    """A vendor simulator with a fault schedule as its `faults`."""

    def __init__(
        self,
        *vendors: Vendor,
        faults: FaultSchedule | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.faults = faults or FaultSchedule()
        super().__init__(*vendors, clock=clock, intercept=self.faults)


def too_many_requests(retry_after: int | None = 1) -> Fault:
    """429, with or without Retry-After (seconds).

    Copies: Mixpanel's "Query rate limit exceeded for project_id" (Airbyte 7126, 9410), which other
    clients of the project can cause; the header is not always there.
    """
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return _instead(Reply(429, b'{"error":"Query rate limit exceeded"}', "application/json", headers))


def server_error(status: int = 503) -> Fault:
    """A 5xx with an HTML body.

    Copies: what a proxy in front of the vendor sends during a deployment; Amplitude's 504 also means
    that a range is too much.
    """
    return _instead(Reply(status, b"<html><body>upstream error</body></html>", "text/html"))


def error_page(body: bytes = b'{"error": "internal"}\n', content_type: str = "application/json") -> Fault:
    """Status 200, and an error (or the page of a proxy) instead of the export.

    Copies: gateways and sign-in pages in between; a client that counts it as an export without events
    loses the window.
    """
    return _instead(Reply(200, body, content_type))


def unavailable(retry_after: int) -> Fault:
    """503 with Retry-After.

    Copies: announced maintenance, where the header may name hours.
    """
    return _instead(Reply(503, b"maintenance", headers={"Retry-After": str(retry_after)}))


def wrong_auth(status: int = 401) -> Fault:
    """Refuse the credentials, whatever they are.

    Copies: a revoked service account; Mixpanel says so with 400 too (Airbyte's source).
    """
    text = json.dumps({"error": "Unable to authenticate request"}).encode()
    return _instead(Reply(status, text, "application/json"))


def cut(at: int | float = 0.5, *, with_length: bool = True) -> Fault:
    """Drop the connection after `at` (bytes, or share of the body); without length nobody is told.

    Copies: a load balancer that closes a long download. `requests` raises nothing where no length was
    announced (Singer's tap then emits the rows it has, and emits them again).
    """
    return lambda request, answer: replace(answer(), send_only=at, announce_length=with_length)


def slow(portion: int = 64, seconds: float = 0.02) -> Fault:
    """Deliver everything, `portion` bytes at a time with a pause after each.

    Copies: a congested link, and an export that the vendor reads from cold storage.
    """
    return lambda request, answer: replace(answer(), pace=(portion, seconds))


def terminated_early(
    share: float = 0.5, *, text: bytes = b"terminated early", newline: bool = False
) -> Fault:
    """Mixpanel's partial result under status 200: a share of the lines, then `text` instead of the rest.

    Copies: mixpanel-utils issue 5, mixpanel-data-export-js 31; Airbyte and Estuary keep what came.
    """

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        lines = _split(reply.body)
        kept = _joined(lines[: int(len(lines) * share)])
        return replace(reply, body=kept + text + (b"\n" if newline else b""))

    return fault


def edited_lines(edit: LineEdit) -> Fault:
    """Change the lines (without newline) of the body, or of the first member of a zip."""

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        if reply.content_type != "application/zip":
            return replace(reply, body=_joined(edit(_split(reply.body))))
        return replace(reply, body=_with_members(reply.body, edit, only_first=True))

    return fault


def broken_line(position: int = 0, line: bytes = b'{"event": "half of a li') -> Fault:
    """Insert a line that is not JSON.

    Copies: records that Airbyte found "split over lines" (11018), and half-written log lines.
    """
    return edited_lines(lambda lines: [*lines[:position], line, *lines[position:]])


def non_utf8_line(position: int = 0) -> Fault:
    """Insert a line that is JSON in Latin-1, not in UTF-8.

    Copies: servers that send events with texts in another encoding than they say.
    """
    return broken_line(position, '{"event": "Käse", "properties": {}}'.encode("latin-1"))


def corrupt_zip() -> Fault:
    """Overwrite the end of the archive, where its directory is.

    Copies: a damaged transfer; Airbyte swallowed the BadZipFile and went on without the day (13846).
    """

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        return replace(reply, body=reply.body[:-40] + bytes(40))

    return fault


def silent(seconds: float, at: int = 32) -> Fault:
    """Send `at` bytes, then nothing for so many seconds.

    Copies: large exports that take minutes before they go on (keolo/mixpanel_client 49), and
    connections that a firewall forgot: without a read timeout a client hangs for good.
    """
    return lambda request, answer: replace(answer(), pace=(at, seconds))


def wrong_length(by: int) -> Fault:
    """Claim a Content-Length that is wrong by so many bytes.

    Copies: proxies that change a body (compress, add) and leave the header as it was.
    """

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        body = gzip_bytes(reply.body) if reply.gzip_above is not None else reply.body
        headers = {**reply.headers, "Content-Encoding": "gzip"} if body is not reply.body else reply.headers
        return replace(
            reply, body=body, headers=headers, gzip_above=None, claimed_length=max(0, len(body) + by)
        )

    return fault


def gzip_cut(share: float = 0.5) -> Fault:
    """A gzip stream that ends before its end, with the right Content-Length for what is sent.

    Copies: an upstream that dies while a proxy has the length of what it got (or caches the half).
    """

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        body = gzip_bytes(reply.body)
        kept = body[: max(1, int(len(body) * share))]
        return replace(
            reply, body=kept, headers={**reply.headers, "Content-Encoding": "gzip"}, gzip_above=None
        )

    return fault


def too_many_rows(most: int) -> Fault:
    """Mixpanel gives up after so many rows, whatever is asked for.

    Copies: "terminated early" on days of large projects, which only a narrower request gets around.
    """

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        lines = _split(reply.body)
        if reply.status != 200 or len(lines) <= most:
            return reply
        return replace(reply, body=_joined(lines[:most]) + b"terminated early\n")

    return fault


def rekeyed(canonical: Callable[[str], str]) -> Fault:
    """Mixpanel's export after a merge: canonical ids, and the ingested ones beside.

    Copies: `$distinct_id_before_identity` and `$is_reshuffled` of exports after an identity merge; the
    four-part key of one event then differs between two fetches.
    """

    def edit(lines: list[bytes]) -> Iterable[bytes]:
        for line in lines:
            record = json.loads(line)
            properties = record["properties"]
            before = properties["distinct_id"]
            if canonical(before) != before:
                properties |= {
                    "distinct_id": canonical(before),
                    "$distinct_id_before_identity": before,
                    "$is_reshuffled": True,
                }
            yield json.dumps(record, ensure_ascii=False).encode()

    return edited_lines(edit)


def repeated_lines(share: float = 0.5) -> Fault:
    """Some lines come twice in one answer, byte for byte.

    Copies: the raw export, which is not deduplicated (Mixpanel's page on event deduplication; 565 rows
    for 562 sent in a probe).
    """
    return edited_lines(lambda lines: [*lines, *lines[: int(len(lines) * share)]])


def skewed_devices(skew: timedelta) -> Fault:
    """Amplitude events of devices whose clock is off: the client's times are, the event time is not.

    Copies: event_time = client_event_time + (server_received_time - client_upload_time); who takes the
    client's time puts events into other days.
    """

    def edit(lines: list[bytes]) -> Iterable[bytes]:
        for line in lines:
            record = json.loads(line)
            for name in ("client_event_time", "client_upload_time"):
                moment = datetime.fromisoformat(record[name]) + skew
                record[name] = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
            yield json.dumps(record, ensure_ascii=False).encode()

    return edited_members(edit)


def resent(days: int = 8) -> Fault:
    """Amplitude events that come again under a new uuid, uploaded so many days later.

    Copies: clients that resend after more than 7 days, where Amplitude's own deduplication ends: same
    device and `$insert_id`, another uuid.
    """

    def edit(lines: list[bytes]) -> Iterable[bytes]:
        yield from lines
        for line in lines:
            record = json.loads(line)
            record["uuid"] = "resent-" + record["uuid"]
            moment = datetime.fromisoformat(record["server_upload_time"]) + timedelta(days=days)
            record["server_upload_time"] = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
            yield json.dumps(record, ensure_ascii=False).encode()

    return edited_members(edit)


def edited_members(edit: LineEdit) -> Fault:
    """Change the lines of every member of an archive."""

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        if reply.status != 200:
            return reply
        return replace(reply, body=_with_members(reply.body, edit, only_first=False))

    return fault


def _instead(reply: Reply) -> Fault:
    return lambda request, answer: reply


def _split(content: bytes) -> list[bytes]:
    return content.split(b"\n")[:-1]


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _with_members(archive: bytes, edit: LineEdit, *, only_first: bool) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(output, "w") as new:
        for index, info in enumerate(old.infolist()):
            content = old.read(info)
            if index == 0 or not only_first:
                content = gzip_bytes(_joined(edit(_split(gzip.decompress(content)))))
            new.writestr(zipfile.ZipInfo(info.filename), content)
    return output.getvalue()
