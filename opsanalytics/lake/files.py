"""Whole-file writes that a reader sees either not at all or complete, and that survive `kill -9`."""

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

    On an exception the temporary file is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(0o644)  # mkstemp makes it private; analysts read the lake too
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    """Remove temporary files that a killed process left in `folder`. Returns how many.

    Only call it while holding the lock of whatever writes there.
    """
    leftovers = list(folder.glob(".*.tmp")) if folder.is_dir() else []
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)
