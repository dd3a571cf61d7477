"""Locks between processes that the operating system frees when their holder dies.

Dagster's pools keep a slot claimed after `kill -9`, and the next run hangs; a file lock does not.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from opsanalytics.lake.paths import Home


class LockHeldError(RuntimeError):
    """Another process holds the lock for longer than we wait."""


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
    try:
        lock.acquire(timeout=wait_seconds)
    except Timeout:
        by = holder.read_text() if holder.exists() else "an unknown process"
        raise LockHeldError(
            f"{path} is held by {by} for more than {wait_seconds:g} s. "
            "Wait for that process, or stop it if it hangs; the lock is freed when it ends."
        ) from None
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
