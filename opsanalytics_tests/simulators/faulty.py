"""Faults on top of the vendor simulator: which request gets which answer.

    faults = FaultSchedule()
    faults.on("mixpanel", 2, terminated_early())          # the 2nd export request
    faults.on("amplitude", [1, 2, 3], server_error(503))  # the first three
    faults.always("mixpanel", wrong_auth())
    with FaultySimulator(project, faults=faults) as simulator: ...

A fault is a function of the request and of the faithful answer (a callable, so that a fault that
replaces the answer leaves the vendor's limits uncounted).
"""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

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
    """429, with or without Retry-After (seconds)."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return _instead(Reply(429, b'{"error":"Query rate limit exceeded"}', "application/json", headers))


def server_error(status: int = 503) -> Fault:
    """A 5xx with an HTML body, as a proxy in front of the vendor sends."""
    return _instead(Reply(status, b"<html><body>upstream error</body></html>", "text/html"))


def wrong_auth(status: int = 401) -> Fault:
    """Refuse the credentials, whatever they are."""
    text = json.dumps({"error": "Unable to authenticate request"}).encode()
    return _instead(Reply(status, text, "application/json"))


def cut(at: int | float = 0.5, *, with_length: bool = True) -> Fault:
    """Drop the connection after `at` (bytes, or share of the body); without length nobody is told."""
    return lambda request, answer: replace(answer(), send_only=at, announce_length=with_length)


def slow(portion: int = 64, seconds: float = 0.02) -> Fault:
    """Deliver everything, `portion` bytes at a time with a pause after each."""
    return lambda request, answer: replace(answer(), pace=(portion, seconds))


def terminated_early(
    share: float = 0.5, *, text: bytes = b"terminated early", newline: bool = False
) -> Fault:
    """Mixpanel's partial result under status 200: a share of the lines, then `text` instead of the rest."""

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
        return replace(reply, body=_with_first_member(reply.body, edit))

    return fault


def broken_line(position: int = 0, line: bytes = b'{"event": "half of a li') -> Fault:
    """Insert a line that is not JSON."""
    return edited_lines(lambda lines: [*lines[:position], line, *lines[position:]])


def non_utf8_line(position: int = 0) -> Fault:
    """Insert a line that is JSON in Latin-1, not in UTF-8."""
    return broken_line(position, '{"event": "Käse", "properties": {}}'.encode("latin-1"))


def corrupt_zip() -> Fault:
    """Overwrite the end of the archive, where its directory is."""

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        return replace(reply, body=reply.body[:-40] + bytes(40))

    return fault


def _instead(reply: Reply) -> Fault:
    return lambda request, answer: reply


def _split(content: bytes) -> list[bytes]:
    return content.split(b"\n")[:-1]


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _with_first_member(archive: bytes, edit: LineEdit) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(output, "w") as new:
        for index, info in enumerate(old.infolist()):
            content = old.read(info)
            if index == 0:
                content = gzip_bytes(_joined(edit(_split(gzip.decompress(content)))))
            new.writestr(zipfile.ZipInfo(info.filename), content)
    return output.getvalue()
