"""Whole-file writes that a reader sees either not at all or complete, and that survive `kill -9`."""

import fcntl
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success sync it and move it over `path`.

    On an exception the temporary file is removed and `path` stays as it was. What a killed process left
    of an earlier attempt at `path` is removed too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        _remove_abandoned(leftover)
    with _temporary_beside(path) as temporary:
        temporary.chmod(0o644)  # mkstemp makes it private; analysts read the lake too
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)


@contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """A new temporary file, locked as long as its process lives, so that others can tell."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if temporary.exists():  # else another process took it for abandoned before it was locked
            break
        os.close(handle)
    try:
        yield temporary
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


def _remove_abandoned(temporary: Path) -> bool:
    """Remove a temporary file unless a living process writes it."""
    try:
        with temporary.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink(missing_ok=True)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


def stamp(path: Path) -> str:
    """What tells a file from another one under its name without reading it: size, times, inode."""
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: Path, content: bytes) -> bool:
    """Replace `path` by `content`; leave it alone if it holds just that. Returns whether it changed."""
    if path.exists() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return True


def write_text(path: Path, content: str) -> bool:
    """As `write_bytes`, UTF-8."""
    return write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> bool:
    """As `write_bytes`, JSON with sorted keys, so that equal content is equal bytes."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, default=str)
    return write_text(path, text + "\n")


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Replace `path` by `frame` as Parquet (zstd, with statistics). Equal frames are equal bytes."""
    with replacing(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", statistics=True, row_group_size=128 * 1024)


def remove_leftovers(folder: Path) -> int:
    """Remove temporary files that killed processes left in `folder`. Returns how many."""
    return sum(_remove_abandoned(leftover) for leftover in list(folder.glob(".*.tmp")))
