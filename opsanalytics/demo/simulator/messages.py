"""What the vendors and the server hand each other: a parsed request and a reply to send."""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from opsanalytics.demo.simulator.limits import RollingWindows


@dataclass(frozen=True)
class Request:
    """One request of a client.

    `number` counts the requests to the same vendor from 1. `now` is the simulator's clock, UTC.
    Header names are lower case; of a repeated query key the last value counts.
    """

    method: str
    path: str
    target: str
    """Path and query as sent."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    vendor: str
    """`mixpanel`, `amplitude`, or empty for an unknown path."""
    number: int
    now: datetime
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """A reply, and how its bytes travel. The defaults are an orderly delivery."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)
    gzip_above: int | None = None
    """Compress a longer body if the client accepts gzip; never if None."""
    claimed_length: int | None = None
    """Content-Length to claim instead of the true one."""
    announce_length: bool = True
    """Without it the body ends where the connection does."""
    send_only: int | float | None = None
    """Drop the connection after so many bytes (int) or such a share (float) of the body as sent."""
    pace: tuple[int, float] | None = None
    """Send so many bytes, then wait so many seconds, and so on."""


class Vendor(Protocol):
    """One vendor's export endpoint, or, if `path` ends in a slash, all its endpoints below that."""

    name: str
    path: str
    methods: frozenset[str]
    """Those that are answered."""
    concurrent: int | None
    """So many requests may be open at once; None: any number."""
    windows: RollingWindows

    def refuse(self, request: Request) -> Reply | None:
        """The reply to a request that is not authenticated; None if it is."""
        ...

    def over_limit(self, request: Request, retry_after: float, used: int) -> Reply:
        """The reply to a request beyond the rate limit."""
        ...

    def answer(self, request: Request) -> Reply:
        """The reply to an authenticated request within the limit."""
        ...


def json_reply(status: int, content: Any, **headers: str) -> Reply:
    """A reply with a JSON body; underscores in header names become hyphens."""
    return Reply(
        status,
        json.dumps(content).encode(),
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """User and password of a `Basic` Authorization header, in base64 or (as Mixpanel allows) plain."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or not value:
        return None
    if ":" in value:  # never occurs in base64
        text = value
    else:
        try:
            text = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


def gzip_bytes(content: bytes) -> bytes:
    """One gzip member without name and time, so that equal content is equal bytes."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    return compressor.compress(content) + compressor.flush()
