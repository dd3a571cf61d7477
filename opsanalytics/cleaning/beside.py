"""Work beside the main thread, for what does not hold the interpreter's lock: decompression, encoding."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 2
"""So many items are held ahead or behind."""
SIDES = 2
"""So many calls run at once. Polars uses the other processors; more would take more memory."""


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Iterator[Item]:
    """The items, of which the next `depth` are made while one is used.

    What making them raises is raised here.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        made: deque[Future[tuple[Item, ...]]] = deque()
        for _ in range(depth):
            made.append(thread.submit(take, source))
        while taken := made.popleft().result():
            made.append(thread.submit(take, source))
            yield taken[0]


def take(source: Iterator[Item]) -> tuple[Item, ...]:
    """The next item, or nothing at the end."""
    for item in source:
        return (item,)
    return ()


def side_by_side(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """As `map`, two calls at a time. After an error no further call begins."""
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(SIDES, thread_name_prefix="side") as threads:
        try:
            for item in items:
                running.append(threads.submit(function, item))
                if len(running) >= SIDES:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


class Behind(Generic[Item]):
    """Calls a function with items, one after the other, while more items are made."""

    def __init__(self, function: Callable[[Item], object]) -> None:
        self._function = function
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._running: deque[Future[object]] = deque()

    def add(self, item: Item) -> None:
        """Waits while too many items are not done yet, and raises what the function raised."""
        self._running.append(self._thread.submit(self._function, item))
        while len(self._running) > DEPTH:
            self._running.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for done in self._running:
                done.result()
