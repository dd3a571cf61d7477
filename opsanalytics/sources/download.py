"""One window from the vendor to a temporary file, with as many attempts as can help."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import sleep
from typing import IO, Literal

import requests
import tenacity
import urllib3

from opsanalytics.sources.base import Answer, EventApiSettings, Request
from opsanalytics.sources.errors import (
    CredentialError,
    IncompleteExportError,
    LimitError,
    RequestError,
    UnavailableError,
)
from opsanalytics.sources.http import (
    TRANSPORT_ERRORS,
    announced_bytes,
    error_text,
    gzipped,
    opened,
    wire_chunks,
)
from opsanalytics.sources.landing import (
    Body,
    DoubtfulBodyError,
    EarlyEndError,
    IncompleteBodyError,
    NoExportError,
    Received,
    receive,
)
from opsanalytics.sources.limiter import SharedLimiter
from opsanalytics.sources.windows import Window

GIVE_UP_ATTEMPTS = 2
"""So often a vendor may give up on a window before a smaller one is tried."""
RATE_LIMIT_PAUSE_SECONDS = 10.0
"""First pause after a 429 that does not say how long to wait; doubles each time."""

TOLD_BYTES = 16_000_000
"""A long download is reported in steps of this size."""

Cause = Literal["limit", "server", "network", "gave_up", "cut"]
HALVABLE: frozenset[Cause] = frozenset({"gave_up", "cut"})


class TooLargeError(Exception):
    """The vendor cannot deliver this window in one answer, but it may deliver a smaller one."""


class NotYetError(Exception):
    """The vendor has no data for this window, and it is too early to conclude that there are none."""


class AttemptError(Exception):
    """One attempt failed in a way that another one can help."""

    def __init__(self, cause: Cause, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.retry_after = retry_after


@dataclass(frozen=True)
class Downloaded:
    """A complete answer; `received` is None where the vendor says that there are no data."""

    received: Received | None
    status: int
    attempts: int


class WindowDownload:
    """All attempts at one window."""

    def __init__(
        self,
        settings: EventApiSettings,
        session: requests.Session,
        limiter: SharedLimiter,
        request: Request,
        window: Window,
        now: datetime,
        tell: Callable[[str], None],
        *,
        can_shrink: bool | None = None,
        partial: Callable[[Path], None] | None = None,
        sent: Callable[[], None] | None = None,
        body: Body | None = None,
    ) -> None:
        """`can_shrink`: whether less can be asked for (if not given: the window is not the smallest).
        `partial` is shown the file of each answer that the vendor ended early, `sent` called at each request.
        `body` is the shape of a complete answer where it is not that of the source's export.
        """
        self._settings = settings
        self._session = session
        self._limiter = limiter
        self._request = request
        self._window = window
        self._now = now
        self._tell = tell
        self._smallest = window.length <= settings.unit
        self._can_shrink = not self._smallest if can_shrink is None else can_shrink
        self._partial = partial
        self._sent = sent
        self._body = body or settings.body
        self._believed: str | None = None
        self._waited = 0.0
        self._told_bytes = 0
        self._failures: dict[Cause, int] = {}
        self.attempts = 0

    def run(self, file: IO[bytes], path: Path) -> Downloaded:
        """Download into `file`, which lies at `path`.

        Raises:
            TooLargeError: ask for a smaller window.
            NotYetError: ask again later.
            SourceError: no attempt can help, or enough were made.
        """
        retrying = tenacity.Retrying(
            retry=self._counted,
            wait=self._pause,
            stop=self._enough,
            before_sleep=self._announce,
            sleep=sleep,
            reraise=True,
        )
        try:
            received, status = retrying(self._attempt, file, path)
        except AttemptError as error:
            raise self._final(error) from error
        return Downloaded(received, status, self.attempts)

    def _attempt(self, file: IO[bytes], path: Path) -> tuple[Received | None, int]:
        self._limiter.acquire(lambda pause: self._tell(f"waiting {pause:.0f} s for the vendor's rate limit"))
        self.attempts += 1
        if self._sent is not None:
            self._sent()
        self._told_bytes = 0
        file.seek(0)
        file.truncate()
        try:
            with opened(
                self._session, self._request, read_timeout=self._settings.read_timeout_seconds
            ) as response:
                if response.status_code == 200:
                    return self._receive(response, file, path), 200
                answer = Answer(response.status_code, response.headers, self._public(error_text(response)))
        except DoubtfulBodyError as error:
            self._believed = error.content_sha256
            raise AttemptError("cut", str(error)) from error
        except EarlyEndError as error:
            if self._partial is not None:
                self._partial(path)
            raise AttemptError("gave_up", str(error)) from error
        except NoExportError as error:
            raise AttemptError("server", self._public(str(error))) from error
        except IncompleteBodyError as error:
            raise AttemptError("cut", str(error)) from error
        except TRANSPORT_ERRORS as error:
            raise self._transport_error(error) from error
        return self._judge(answer)

    def _receive(self, response: requests.Response, file: IO[bytes], path: Path) -> Received:
        return receive(
            wire_chunks(response),
            file,
            path,
            body=self._body,
            gzipped=gzipped(response),
            expected_bytes=announced_bytes(response),
            framed="chunked" in response.headers.get("Transfer-Encoding", "").lower(),
            believed=self._believed,
            member=self._settings.record_member,
            progress=self._received,
        )

    def _received(self, total: int) -> None:
        """Tell the bytes of a long download now and then."""
        if total - self._told_bytes >= TOLD_BYTES:
            self._told_bytes = total
            self._tell(f"{self._window}: {total / 1e6:.0f} MB")

    def _transport_error(self, error: Exception) -> AttemptError:
        """A connection that broke or fell silent after it was made is a cut download."""
        if isinstance(error, requests.ConnectTimeout):
            return AttemptError("network", self._public(str(error)))
        if isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
            return AttemptError(
                "gave_up",
                f"no byte came for {self._settings.read_timeout_seconds:g} s (read_timeout_seconds)",
            )
        if isinstance(error, requests.ConnectionError):
            return AttemptError("network", self._public(str(error)))
        return AttemptError("cut", self._public(f"the connection broke during the download: {error}"))

    def _judge(self, answer: Answer) -> tuple[Received | None, int]:
        verdict = self._settings.verdict(answer, self._window)
        said = f"HTTP {answer.status}" + (f" ({answer.text[:300]})" if answer.text else "")
        if verdict == "empty":
            if self._window.end > self._settings.certain_until(self._now):
                raise NotYetError(said)
            return None, answer.status
        if verdict == "smaller":
            if self._can_shrink and not self._smallest:
                raise TooLargeError(said)
            if self._can_shrink:
                raise AttemptError("gave_up", said)
            verdict = "retry" if answer.status >= 500 else "refused"
        if verdict == "wait":
            raise AttemptError("limit", said, retry_after(answer))
        if verdict == "retry":
            raise AttemptError("server", said, retry_after(answer))
        kind = CredentialError if verdict == "credentials" else RequestError
        raise kind(self._message(f"{said}. {self._settings.advice(answer)}"))

    def _counted(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(error, AttemptError):
            return False
        self._failures[error.cause] = self._failures.get(error.cause, 0) + 1
        return True

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = failure(state)
        retry = self._settings.retry
        step = retry.backoff_seconds
        if error.cause == "limit":
            step = max(step, min(RATE_LIMIT_PAUSE_SECONDS, retry.longest_backoff_seconds))
        doublings = min(self._failures[error.cause] - 1, 20)
        backoff = min(retry.longest_backoff_seconds, step * 2.0**doublings)
        jittered = backoff * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        return jittered if error.retry_after is None else error.retry_after + 0.1 * jittered

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        error = failure(state)
        patience = self._settings.retry.rate_limit_patience_seconds
        if asks_to_wait(error) and self._waited + state.upcoming_sleep > patience:
            return True
        if error.cause == "limit":
            return False
        if error.cause == "gave_up" and self._can_shrink:
            return self._failures["gave_up"] >= GIVE_UP_ATTEMPTS
        others = sum(count for cause, count in self._failures.items() if cause != "limit")
        return others >= self._settings.retry.attempts

    def _announce(self, state: tenacity.RetryCallState) -> None:
        error = failure(state)
        if asks_to_wait(error):
            self._waited += state.upcoming_sleep
        self._tell(f"{self._window}: {error}; next attempt in {state.upcoming_sleep:.0f} s")

    def _final(self, error: AttemptError) -> Exception:
        if error.cause in HALVABLE and self._can_shrink:
            return TooLargeError(str(error))
        times = f"after {self.attempts} attempts"
        if error.cause == "limit":
            return LimitError(
                self._message(
                    f"still rate limited {times} and {self._waited:.0f} s of waiting: {error}. Other clients "
                    "may use up the project's quota; run again later, what was landed is kept."
                )
            )
        if error.cause in HALVABLE:
            return IncompleteExportError(
                self._message(
                    f"no complete answer {times}, and there is no smaller window: {error}. Nothing of it was "
                    "kept; run again later, what was landed before is kept."
                )
            )
        return UnavailableError(
            self._message(
                f"no answer {times}: {error}{asked(error)}. Check the connection and the vendor's status "
                "page, then run again; what was landed is kept."
            )
        )

    def _message(self, text: str) -> str:
        return f"source {self._settings.name}: {self._window}: {text}"

    def _public(self, text: str) -> str:
        """`text` without anything of the credentials, should the vendor echo them."""
        for secret in self._request.auth:
            if len(secret) > 2:
                text = text.replace(secret, "***")
        return text


def asks_to_wait(error: AttemptError) -> bool:
    """Whether the vendor, and not our own caution, decides how long the pause is."""
    return error.cause == "limit" or error.retry_after is not None


def asked(error: AttemptError) -> str:
    """For messages: how long the vendor wants us to wait."""
    return "" if error.retry_after is None else f"; it asks to wait {error.retry_after:.0f} s"


def failure(state: tenacity.RetryCallState) -> AttemptError:
    """The error of the attempt that just ended."""
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, AttemptError):
        raise TypeError(f"unexpected outcome {error!r}")
    return error


def retry_after(answer: Answer) -> float | None:
    """Seconds that the answer asks us to wait: a number or an HTTP date."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
