"""HTTP as all API sources use it: one kind of session, answers streamed as they come over the wire."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3

from opsanalytics import __version__
from opsanalytics.sources.base import Request
from opsanalytics.sources.landing import IncompleteBodyError

CONNECT_TIMEOUT_SECONDS = 15.0
CHUNK_BYTES = 256 * 1024
GZIP_NAMES = ("gzip", "x-gzip")

TRANSPORT_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What a broken or silent connection raises, before and during the body."""


def new_session() -> requests.Session:
    """A session without automatic retries: what helps is decided per vendor, and each try is counted."""
    session = requests.Session()
    session.headers["User-Agent"] = f"opsanalytics/{__version__}"
    session.headers["Accept-Encoding"] = "gzip"
    return session


@contextmanager
def opened(
    session: requests.Session, request: Request, *, read_timeout: float
) -> Iterator[requests.Response]:
    """Send `request`; the body is not read yet.

    Redirects are not followed: credentials go to the configured host and to no other.
    """
    with session.request(
        "GET" if request.form is None else "POST",
        request.url,
        params=dict(request.params),
        data=None if request.form is None else dict(request.form),
        auth=request.auth,
        headers=dict(request.headers),
        stream=True,
        allow_redirects=False,
        timeout=(CONNECT_TIMEOUT_SECONDS, read_timeout),
    ) as response:
        yield response


def wire_chunks(response: requests.Response) -> Iterator[bytes]:
    """The body as received, not decoded. Raises one of `TRANSPORT_ERRORS` if it is cut short of its
    announced length.
    """
    while chunk := response.raw.read(CHUNK_BYTES, decode_content=False):
        yield chunk


def gzipped(response: requests.Response) -> bool:
    """Whether the body comes as gzip.

    Raises:
        IncompleteBodyError: it comes in another encoding, which was not asked for.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in (*GZIP_NAMES, "identity", ""):
        raise IncompleteBodyError(f"Content-Encoding {encoding!r} was not asked for")
    return encoding in GZIP_NAMES


def announced_bytes(response: requests.Response) -> int | None:
    """The length of the body as sent, if the answer announces it."""
    length = response.headers.get("Content-Length", "").strip()
    return int(length) if length.isascii() and length.isdigit() else None


def error_text(response: requests.Response, limit: int = 2_000) -> str:
    """Start of an error body as text, for messages; never longer than `limit` characters."""
    body: bytes = response.raw.read(limit, decode_content=True) or b""
    return body.decode("utf-8", errors="replace").strip()[:limit]
