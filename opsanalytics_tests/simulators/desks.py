"""What the simulated help desks, stores and forms have in common: records that change, and their truth."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from opsanalytics.demo.simulator import Reply, Request
from opsanalytics.demo.simulator.limits import Limit, RollingWindows
from opsanalytics.demo.simulator.messages import basic_credentials, json_reply
from opsanalytics_tests.simulators.faulty import Fault

SPRING = datetime(2026, 3, 1, tzinfo=UTC)
GZIP_ABOVE = 1_000


@dataclass(frozen=True)
class Said:
    """What must arrive of one record."""

    text: str | None
    rating: float | None = None
    resolved: bool | None = None


class Desk:
    """Base of the simulated vendors: limits, and replies as JSON."""

    name: str
    path: str
    methods = frozenset({"GET"})
    concurrent: int | None = None

    def __init__(self, limits: Sequence[Limit], *, enforce: bool = True) -> None:
        self.windows = RollingWindows(limits, enforce=enforce)

    def over_limit(self, request: Request, retry_after: float, used: int) -> Reply:
        return json_reply(429, {"error": "too many requests"}, Retry_After=str(int(-(-retry_after // 1))))


def page(content: Any) -> Reply:
    """A page as vendors send it: JSON, compressed where it is long."""
    body = json.dumps(content).encode()
    return Reply(200, body, content_type="application/json", gzip_above=GZIP_ABOVE)


def bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else None


def basic(request: Request) -> tuple[str, str] | None:
    return basic_credentials(request)


def moment(index: int, step: timedelta = timedelta(minutes=7)) -> datetime:
    """Time of the `index`-th record."""
    return SPRING + index * step


def doing(change: Callable[[], None]) -> Fault:
    """Not a fault: something happens at the vendor just before it answers."""

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        change()
        return answer()

    return fault


def repeating(earlier: list[Reply]) -> Fault:
    """Send the page before this one once more, as a stale cache does."""

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        answer()
        return earlier[-1]

    return fault


def remembering(kept: list[Reply]) -> Fault:
    """Answer faithfully and keep the reply."""

    def fault(request: Request, answer: Callable[[], Reply]) -> Reply:
        kept.append(answer())
        return kept[-1]

    return fault
