"""Other processes that parse, for deliveries that are worth their start.

Every worker is a fresh interpreter that reads calls from its standard input and writes results to its
standard output, both pickled. Unlike the pools of the standard library this does not import the user's
main module again (a script without a main guard would clean once more in every worker), works inside
daemonic processes, and leaves no orphans: a worker ends when its input does, however its parent died.
"""

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import IO, Any, Self, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_WORKERS = 4

logger = logging.getLogger(__name__)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Some worker processes, started at their first call and ended with the context."""

    def __init__(self, count: int | None = None) -> None:
        self._count = count or min(MOST_WORKERS, processors())
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="parse")
        self._local = threading.local()
        self._started: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=kind is None, cancel_futures=True)
        for worker in self._started:
            worker.end()
        self._threads.shutdown()

    def spread(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """As `map`, in the workers. Takes only a few items ahead of the results that were asked for.

        What `function` raises is raised here. `function`, items and results are pickled.
        """
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._threads.submit(self._call, function, item))
                if len(waiting) > 2 * self._count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _call(self, function: Callable[[Item], Result], item: Item) -> Result:
        """Runs in a thread that has one worker of its own."""
        worker: Worker | None = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = Worker()
            self._started.append(worker)
        if not worker.lost:
            try:
                return cast(Result, worker.call(function, item))
            except WorkerLostError as error:
                logger.warning("%s; its work is done in this process instead", error)
        return function(item)


class WorkerLostError(RuntimeError):
    """A worker process ended without an answer: killed, out of memory, or it could not start."""


class Worker:
    """One process that answers one call at a time."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "opsanalytics.cleaning.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.lost = False

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        """The result of `function(item)`. Raises what it raised, or `WorkerLostError`."""
        sender, receiver = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        try:
            pickle.dump((function, item), sender, protocol=pickle.HIGHEST_PROTOCOL)
            sender.flush()
            done, result = pickle.load(receiver)  # noqa: S301 - written by our own worker
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self.lost = True
            raise WorkerLostError(f"parsing process {self._process.pid} ended: {error!r}") from error
        if not done:
            raise result
        return result

    def end(self) -> None:
        """Close its input, which ends it."""
        for stream in (self._process.stdin, self._process.stdout):
            try:
                cast(IO[bytes], stream).close()
            except OSError:
                logger.debug("parsing process %d was gone already", self._process.pid)
        self._process.wait()


def answer_calls(receiver: IO[bytes], sender: IO[bytes]) -> None:
    """Answer calls until there are none any more."""
    while True:
        try:
            function, item = pickle.load(receiver)  # noqa: S301 - written by our own parent
        except EOFError:
            return
        try:
            answer = pickle.dumps((True, function(item)), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - it is raised in the parent
            answer = pickle.dumps((False, error), protocol=pickle.HIGHEST_PROTOCOL)
        sender.write(answer)
        sender.flush()


def main() -> None:
    # What a library prints must not get between the answers.
    sender = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answer_calls(sys.stdin.buffer, sender)


if __name__ == "__main__":
    main()
