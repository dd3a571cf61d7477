"""One page (or supplement) from a vendor to a temporary file, with as many attempts as can help."""

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep, time
from typing import IO

import requests
import tenacity
from requests.auth import AuthBase

from opsanalytics.sources.base import Answer, RetrySettings
from opsanalytics.sources.download import (
    RATE_LIMIT_PAUSE_SECONDS,
    AttemptError,
    asked,
    asks_to_wait,
    failure,
    retry_after,
)
from opsanalytics.sources.errors import (
    CredentialError,
    IncompleteExportError,
    LimitError,
    RequestError,
    SourceError,
    UnavailableError,
)
from opsanalytics.sources.http import (
    CONNECT_TIMEOUT_SECONDS,
    TRANSPORT_ERRORS,
    announced_bytes,
    error_text,
    gzipped,
    wire_chunks,
)
from opsanalytics.sources.landing import GzipStream, IncompleteBodyError, Received
from opsanalytics.sources.limiter import SharedLimiter
from opsanalytics.sources.paging import ApiFeedbackSourceSettings, PageRequest, Position

RESET_HEADER = "X-RateLimit-Reset"
LONGEST_RESET_SECONDS = 3_600.0


class ExpiredCursorError(Exception):
    """The vendor no longer knows the cursor; the walk has to begin anew."""


@dataclass(frozen=True)
class DownloadedPage:
    """A complete answer; `received` is None where the document no longer exists."""

    received: Received | None
    content: bytes
    """Decoded."""
    status: int
    attempts: int


class PageDownload:
    """Downloads pages of one source; counts the requests it sends."""

    def __init__(
        self,
        settings: ApiFeedbackSourceSettings,
        session: requests.Session,
        limiter: SharedLimiter,
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._session = session
        self._limiter = limiter
        self._tell = tell
        self.requests = 0

    def run(
        self,
        what: str,
        make_request: Callable[[], PageRequest],
        position: Position,
        accept: Callable[[bytes], object],
        file: IO[bytes],
        path: Path,
    ) -> DownloadedPage:
        """Download one document into `file`, which lies at `path`.

        Args:
            what: names the document in messages.
            make_request: called for each attempt, because tokens expire.
            accept: raises `ValueError` unless the decoded content is the document asked for.

        Raises:
            ExpiredCursorError: begin the walk anew.
            SourceError: no attempt can help, or enough were made.
        """
        return _Attempts(self, what, make_request, position, accept).run(file, path)

    def send_one(self, request: PageRequest, file: IO[bytes], path: Path) -> tuple[Received, bytes] | Answer:
        """One attempt: a whole body in `file`, or the answer that is not 200."""
        self._limiter.acquire(lambda pause: self._tell(f"waiting {pause:.0f} s for the vendor's rate limit"))
        self.requests += 1
        file.seek(0)
        file.truncate()
        with opened_page(
            self._session, request, read_timeout=self._settings.read_timeout_seconds
        ) as response:
            if response.status_code == 200:
                return receive_document(response, file, path)
            return Answer(
                response.status_code, response.headers, public(error_text(response), request.secrets)
            )

    @property
    def settings(self) -> ApiFeedbackSourceSettings:
        return self._settings

    def tell(self, message: str) -> None:
        self._tell(message)


class _Attempts:
    """All attempts at one document."""

    def __init__(
        self,
        download: PageDownload,
        what: str,
        make_request: Callable[[], PageRequest],
        position: Position,
        accept: Callable[[bytes], object],
    ) -> None:
        self._download = download
        self._settings = download.settings
        self._retry: RetrySettings = download.settings.retry
        self._what = what
        self._make_request = make_request
        self._position = position
        self._accept = accept
        self._waited = 0.0
        self._limited = 0
        self._failed = 0
        self._attempts = 0

    def run(self, file: IO[bytes], path: Path) -> DownloadedPage:
        retrying = tenacity.Retrying(
            retry=self._counted,
            wait=self._pause,
            stop=self._enough,
            before_sleep=self._announce,
            sleep=sleep,
            reraise=True,
        )
        try:
            done: DownloadedPage = retrying(self._attempt, file, path)
        except AttemptError as error:
            raise self._final(error) from error
        return done

    def _attempt(self, file: IO[bytes], path: Path) -> DownloadedPage:
        self._attempts += 1
        request = self._make_request()
        try:
            found = self._download.send_one(request, file, path)
        except IncompleteBodyError as error:
            raise AttemptError("cut", str(error)) from error
        except requests.ConnectionError as error:
            raise AttemptError("network", public(str(error), request.secrets)) from error
        except TRANSPORT_ERRORS as error:
            raise AttemptError(
                "cut", public(f"the connection broke during the answer: {error}", request.secrets)
            ) from error
        if isinstance(found, Answer):
            return self._judge(found)
        received, content = found
        try:
            self._accept(content)
        except ValueError as error:
            raise AttemptError("cut", public(str(error), request.secrets)) from error
        return DownloadedPage(received, content, 200, self._attempts)

    def _judge(self, answer: Answer) -> DownloadedPage:
        verdict = self._settings.verdict(answer, self._position)
        said = f"HTTP {answer.status}" + (f" ({answer.text[:300]})" if answer.text else "")
        if verdict == "gone":
            return DownloadedPage(None, b"", answer.status, self._attempts)
        if verdict == "restart":
            raise ExpiredCursorError(said)
        if verdict == "wait":
            raise AttemptError("limit", said, asked_pause(answer))
        if verdict == "retry":
            raise AttemptError("server", said, asked_pause(answer))
        kind = CredentialError if verdict == "credentials" else RequestError
        raise kind(self._message(f"{said}. {self._settings.advice(answer)}"))

    def _counted(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(error, AttemptError):
            return False
        if error.cause == "limit":
            self._limited += 1
        else:
            self._failed += 1
        return True

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = failure(state)
        retry = self._retry
        step, count = retry.backoff_seconds, self._failed
        if error.cause == "limit":
            step = max(step, min(RATE_LIMIT_PAUSE_SECONDS, retry.longest_backoff_seconds))
            count = self._limited
        backoff = min(retry.longest_backoff_seconds, step * 2.0 ** min(count - 1, 20))
        jittered = backoff * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        return jittered if error.retry_after is None else error.retry_after + 0.1 * jittered

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        error = failure(state)
        if asks_to_wait(error) and (
            self._waited + state.upcoming_sleep > self._retry.rate_limit_patience_seconds
        ):
            return True
        return error.cause != "limit" and self._failed >= self._retry.attempts

    def _announce(self, state: tenacity.RetryCallState) -> None:
        error = failure(state)
        if asks_to_wait(error):
            self._waited += state.upcoming_sleep
        self._download.tell(f"{self._what}: {error}; next attempt in {state.upcoming_sleep:.0f} s")

    def _final(self, error: AttemptError) -> SourceError:
        times = f"after {self._attempts} attempts"
        kept = "what was landed is kept, and the next run goes on there"
        if error.cause == "limit":
            return LimitError(
                self._message(
                    f"still rate limited {times} and {self._waited:.0f} s of waiting: {error}. Other clients "
                    f"may use up the account's quota; run again later, {kept}."
                )
            )
        if error.cause == "cut":
            return IncompleteExportError(
                self._message(f"no complete answer {times}: {error}. Run again later; {kept}.")
            )
        return UnavailableError(
            self._message(
                f"no answer {times}: {error}{asked(error)}. Check the connection and the vendor's status "
                f"page, then run again; {kept}."
            )
        )

    def _message(self, text: str) -> str:
        return f"source {self._settings.name}: {self._what}: {text}"


class _Authorization(AuthBase):
    """Sets the header after `requests` looked for credentials of its own (.netrc), so that ours counts."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


@contextmanager
def opened_page(
    session: requests.Session, request: PageRequest, *, read_timeout: float
) -> Iterator[requests.Response]:
    """Send `request`; the body is not read yet. Redirects are not followed: credentials go to the
    configured host and to no other.
    """
    with session.request(
        "GET" if request.json is None else "POST",
        request.url,
        params=dict(request.params),
        json=request.json,
        auth=_Authorization(request.authorization),
        headers=dict(request.headers),
        stream=True,
        allow_redirects=False,
        timeout=(CONNECT_TIMEOUT_SECONDS, read_timeout),
    ) as response:
        yield response


def receive_document(response: requests.Response, file: IO[bytes], path: Path) -> tuple[Received, bytes]:
    """Write the body to `file` as it came and prove that it is one whole JSON document.

    Returns it with its decoded content.

    Raises:
        IncompleteBodyError: cut, or no JSON.
    """
    decoder = GzipStream() if gzipped(response) else None
    wire = hashlib.sha256()
    total = 0
    decoded = []
    for chunk in wire_chunks(response):
        file.write(chunk)
        wire.update(chunk)
        total += len(chunk)
        decoded.append(decoder.feed(chunk) if decoder else chunk)
    file.flush()
    os.fsync(file.fileno())
    length = announced_bytes(response)
    if length is not None and length != total:
        raise IncompleteBodyError(f"{total} of {length} announced bytes came")
    if decoder is not None and total:
        decoder.finish()
    content = b"".join(decoded)
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IncompleteBodyError(f"the answer is no whole JSON document: {error}") from error
    suffix = ".json.gz" if decoder else ".json"
    digest = hashlib.sha256(content).hexdigest()
    return Received(path, suffix, total, wire.hexdigest(), digest, 0), content


def asked_pause(answer: Answer) -> float | None:
    """Seconds that the answer asks us to wait: Retry-After, else when its window begins anew."""
    asked = retry_after(answer) if answer.headers.get("Retry-After") else None
    if asked is not None:
        return asked
    reset = answer.headers.get(RESET_HEADER, "")
    if not reset.isdigit():
        return None
    # some vendors give the moment, some the seconds until then
    seconds = int(reset) - time() if int(reset) > 1_000_000_000 else float(reset)
    return min(max(seconds, 0.0), LONGEST_RESET_SECONDS)


def public(text: str, secrets: tuple[str, ...]) -> str:
    """`text` without anything of the credentials, should the vendor echo them."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > 2:
            text = text.replace(secret, "***")
    return text
