"""Work beside the main thread, for what does not hold the interpreter's lock: decompression, encoding."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

DEPTH = 2
"""So many items are held ahead or behind."""


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, of which the next are made while one is used. What making them raises is raised here."""
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        made: deque[Future[tuple[Item, ...]]] = deque()
        for _ in range(DEPTH):
            made.append(thread.submit(take, source))
        while taken := made.popleft().result():
            made.append(thread.submit(take, source))
            yield taken[0]


def take(source: Iterator[Item]) -> tuple[Item, ...]:
    """The next item, or nothing at the end."""
    for item in source:
        return (item,)
    return ()


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
