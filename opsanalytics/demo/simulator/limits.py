"""Counting a vendor's rate limits on the server side, independent of any client's limiter."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """At most `requests` within any `seconds`."""

    requests: int
    seconds: float


class RollingWindows:
    """Rolling windows over the accepted requests of one project. Safe between threads.

    `timer` gives seconds and never runs backwards. `violations` counts requests beyond a limit,
    whether they were refused (`enforce`) or let through.
    """

    def __init__(
        self, limits: Sequence[Limit], *, enforce: bool = True, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = tuple(limits)
        self._enforce = enforce
        self._timer = timer
        self._lock = threading.Lock()
        self._accepted: deque[float] = deque(maxlen=max((limit.requests for limit in limits), default=0))
        self.violations = 0

    def admit(self) -> tuple[float, int] | None:
        """Count one request. None if it may pass, else seconds to wait and requests in the widest window."""
        with self._lock:
            now = self._timer()
            wait = max((self._wait(limit, now) for limit in self._limits), default=0.0)
            self.violations += wait > 0
            if wait > 0 and self._enforce:
                widest = max(limit.seconds for limit in self._limits)
                return wait, sum(moment > now - widest for moment in self._accepted)
            self._accepted.append(now)
            return None

    def _wait(self, limit: Limit, now: float) -> float:
        """Seconds until one more request fits into `limit`; 0 if it fits now."""
        if len(self._accepted) < limit.requests:
            return 0.0
        return max(0.0, self._accepted[-limit.requests] + limit.seconds - now)
