"""Locks between processes that the operating system frees when their holder dies.

Dagster's pools keep a slot claimed after `kill -9`, and the next run hangs; a file lock does not.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from opsanalytics.lake.paths import Home


class LockHeldError(RuntimeError):
    """Another process holds the lock for longer than we wait."""


ALONE = "alone"
_ALONE_IN: set[Path] = set()
"""Home folders in which this process is alone."""


def acquire(path: Path, lock: FileLock, deadline: float, wait_seconds: float) -> None:
    try:
        lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
    except Timeout:
        holder = path.with_suffix(".holder.json")
        by = holder.read_text() if holder.exists() else "an unknown process"
        raise LockHeldError(
            f"{path} is held by {by} for more than {wait_seconds:g} s. "
            "Wait for that process, or stop it if it hangs; the lock is freed when it ends."
        ) from None


def other_is_alone(home: Home) -> bool:
    """Whether another process holds this home for itself."""
    path = home.locks / f"{ALONE}.lock"
    if not path.exists() or home.locks.resolve() in _ALONE_IN:
        return False
    gate = FileLock(path)
    try:
        gate.acquire(timeout=0)
    except Timeout:
        return True
    gate.release()
    return False


@contextmanager
def alone(home: Home, *, wait_seconds: float = 60.0) -> Iterator[None]:
    """Be the only process that changes this home: all locks are free, and others get none meanwhile.

    Raises:
        LockHeldError: another process still works in it after the wait.
    """
    deadline = time.monotonic() + wait_seconds
    with exclusive(home, ALONE, wait_seconds=wait_seconds):
        mark = home.locks.resolve()
        _ALONE_IN.add(mark)
        try:
            for path in sorted(home.locks.glob("*.lock")):
                if path.stem != ALONE:
                    lock = FileLock(path)
                    acquire(path, lock, deadline, wait_seconds)
                    lock.release()
            yield
        finally:
            _ALONE_IN.discard(mark)


@contextmanager
def exclusive(home: Home, name: str, *, wait_seconds: float = 600.0) -> Iterator[None]:
    """Hold the lock `name` of this home folder, waiting at most `wait_seconds`.

    Raises:
        LockHeldError: still held after the wait; the message names the holder's process id.
    """
    home.locks.mkdir(parents=True, exist_ok=True)
    path = home.locks / f"{name}.lock"
    holder = home.locks / f"{name}.holder.json"
    lock = FileLock(path)
    deadline = time.monotonic() + wait_seconds
    acquire(path, lock, deadline, wait_seconds)
    while name != ALONE and other_is_alone(home):
        # Whoever wants to be alone waits for us: let go first, then wait.
        lock.release()
        alone_path = home.locks / f"{ALONE}.lock"
        gate = FileLock(alone_path)
        acquire(alone_path, gate, deadline, wait_seconds)
        gate.release()
        acquire(path, lock, deadline, wait_seconds)
    try:
        holder.write_text(
            json.dumps(
                {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "since": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )
        )
        yield
    finally:
        try:
            holder.unlink(missing_ok=True)
        finally:
            lock.release()
