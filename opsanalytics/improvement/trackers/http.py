"""One request to a tracker, and what its answer means: done, refused, asked too often, or nobody knows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from opsanalytics.improvement.trackers.errors import (
    IssueGoneError,
    TrackerError,
    UnavailableTrackerError,
    UnclearError,
)
from opsanalytics.improvement.trackers.settings import TrackerSettings
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import Answer
from opsanalytics.sources.download import retry_after
from opsanalytics.sources.http import new_session
from opsanalytics.sources.limiter import SharedLimiter

LONGEST_MESSAGE = 300
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Call:
    """One request. `once`: sending it twice would make two of something. `reads`: it changes nothing."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    once: bool = False
    reads: bool = False


class _AgainError(Exception):
    """Worth another attempt, after `pause` seconds if the tracker says so."""

    def __init__(self, told: str, pause: float | None = None) -> None:
        super().__init__(told)
        self.pause = pause


class Caller:
    """Sends requests of one tracker, within its limits and its settings' patience."""

    def __init__(
        self,
        settings: TrackerSettings,
        home: Home,
        base_url: str,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str],
        limited: Callable[[requests.Response], bool],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`limited` says whether an answer means that the tracker is asked too often."""
        self._settings = settings
        self._base_url = base_url
        self._session = new_session()
        self._session.headers.update(headers)
        self._session.auth = auth
        self._limited = limited
        self._sleep = sleep
        account = f"{base_url} {settings.project}"
        self._limiters = {
            reads: SharedLimiter(home, f"{settings.kind}_{'reads' if reads else 'writes'}", account, limits)
            for reads, limits in ((True, settings.read_limits), (False, settings.limits))
        }

    @property
    def sleep(self) -> Callable[[float], None]:
        return self._sleep

    def send(self, call: Call) -> Any:
        """What was answered, as parsed JSON; None if nothing was.

        Raises:
            UnclearError: of a `once` call nobody knows whether it was carried out.
            UnavailableTrackerError: no useful answer after all attempts; nothing was changed, or only what
                another attempt would change in the same way.
            IssueGoneError: 404 or 410.
            TrackerError: refused.
        """
        waited = 0.0

        def pause(state: RetryCallState) -> float:
            nonlocal waited
            error = state.outcome.exception() if state.outcome else None
            jittered = wait_exponential_jitter(
                multiplier=self._settings.backoff_seconds,
                max=LONGEST_PAUSE_SECONDS,
                jitter=self._settings.backoff_seconds,
            )(state)
            asked = error.pause if isinstance(error, _AgainError) and error.pause is not None else jittered
            waited += asked
            return asked

        def stop(state: RetryCallState) -> bool:
            enough: bool = stop_after_attempt(self._settings.attempts)(state)
            # Pauses are computed before this is asked.
            return enough or waited > self._settings.patience_seconds

        retrying = Retrying(
            stop=stop,
            wait=pause,
            retry=retry_if_exception_type(_AgainError),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    return self._once(call)
        except _AgainError as error:
            raise UnavailableTrackerError(
                f"tracker {self._settings.name}: {error}; try again later"
            ) from None
        raise AssertionError("Retrying returns or raises")

    def _once(self, call: Call) -> Any:
        self._limiters[call.reads].acquire()
        try:
            answer = self._session.request(
                call.method,
                f"{self._base_url}{call.path}",
                params=dict(call.params),
                json=call.json,
                timeout=(15.0, self._settings.timeout_seconds),
                allow_redirects=False,
            )
            text = answer.text
        except requests.RequestException as error:
            told = f"no answer ({type(error).__name__})"
            if call.once:
                raise UnclearError(f"tracker {self._settings.name}: {told}") from None
            raise _AgainError(told) from None
        if answer.status_code < 300:
            return self._parsed(call, answer)
        told = f"{call.method} {call.path} was answered with {answer.status_code}: {_short(text)}"
        if self._limited(answer):
            raise _AgainError(
                told, retry_after(Answer(answer.status_code, answer.headers, "")) or _reset(answer)
            )
        if answer.status_code >= 500:
            if call.once:
                raise UnclearError(f"tracker {self._settings.name}: {told}")
            raise _AgainError(told)
        message = f"tracker {self._settings.name}: {told}. {_advice(answer.status_code)}"
        raise (IssueGoneError if answer.status_code in (404, 410) else TrackerError)(message)

    def _parsed(self, call: Call, answer: requests.Response) -> Any:
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            told = f"{call.method} {call.path} was answered with something that is no JSON"
            message = f"tracker {self._settings.name}: {told}: is base_url right?"
            raise (UnclearError if call.once else TrackerError)(message) from None


def _reset(answer: requests.Response) -> float | None:
    """Seconds until GitHub's window begins anew, if it is used up."""
    if answer.headers.get("x-ratelimit-remaining") != "0":
        return None
    try:
        return max(float(answer.headers["x-ratelimit-reset"]) - time.time(), 1.0)
    except (KeyError, ValueError):
        return None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + "…"


def _advice(status: int) -> str:
    return {
        301: "The project was moved: write its new name in the configuration.",
        400: "Check the tracker's settings in opsanalytics.toml.",
        401: "Check the token in the variable that the tracker's settings name.",
        403: "The token may not do this: see docs/trackers.md for what it needs.",
        404: "It does not exist, or the token cannot see it.",
        410: "It was deleted, or issues are switched off.",
        422: "Check the labels and the project in opsanalytics.toml.",
    }.get(status, "Sending it again would not help.")
