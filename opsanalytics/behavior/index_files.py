"""Files of the behavior index: uncompressed Arrow IPC, one batch each, so that they can be mapped.

A file is never replaced: other content gets another name, and the manifest says which names count. So a
reader never sees a file change under its feet.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Fingerprint = list[list[Any]]
SYNCS = 16


def fingerprint_of(file: Path | os.DirEntry[str]) -> list[Any]:
    """What tells a file from another one under its name without reading it.

    Raises:
        FileNotFoundError: it is gone.
    """
    stat = file.stat()
    return [file.name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def fingerprint(paths: Sequence[Path]) -> Fingerprint:
    """Of those of the files that exist."""
    found = []
    for path in paths:
        try:
            found.append(fingerprint_of(path))
        except FileNotFoundError:
            continue
    return found


class Writer:
    """Writes files under temporary names; `publish` gives them theirs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: list[tuple[Path, Path]] = []

    def arrays(self, stem: str, columns: Mapping[str, npt.NDArray[Any]]) -> str:
        """Write columns of plain numbers. Returns the name that the file will have."""
        batch = pa.record_batch({name: pa.array(column) for name, column in columns.items()})
        return self.batch(stem, batch)

    def frame(self, stem: str, frame: pl.DataFrame) -> str:
        """Write a table. Returns the name that the file will have."""
        table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
        empty = pa.RecordBatch.from_pylist([], schema=table.schema)
        return self.batch(stem, next(iter(table.to_batches()), empty))

    def batch(self, stem: str, batch: pa.RecordBatch) -> str:
        """Write a batch. Returns the name that the file will have."""
        path = self._folder / f"{stem}.{secrets.token_hex(8)}.arrow"
        temporary = path.with_name(f".{path.name}.tmp")
        write_batch(temporary, batch)
        self._written.append((temporary, path))
        return path.name

    def publish(self) -> None:
        """Bring everything to the disk, then to its name."""
        # The disk takes many files at once about as fast as one.
        with ThreadPoolExecutor(SYNCS) as pool:
            list(pool.map(_moved, self._written))
        self._written.clear()


def dictionary(texts: pl.Series) -> tuple[list[str], npt.NDArray[np.uint32]]:
    """The different texts, in any order, and the place among them of each from 1 on; 0 for null."""
    coded: Any = texts.rechunk().cast(pl.Categorical(pl.Categories.random())).to_arrow()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    places = pl.Series(coded.indices).cast(pl.UInt32) + 1
    return coded.dictionary.to_pylist(), places.fill_null(0).to_numpy()


def write_batch(path: Path, batch: pa.RecordBatch) -> None:
    """Write a file of one batch, where nobody reads it yet."""
    with path.open("wb") as opened, pa.ipc.new_file(opened, batch.schema) as written:
        written.write_batch(batch)


def mapped(path: Path) -> pa.RecordBatch:
    """A file, mapped: it stays readable when its name is gone.

    Raises:
        FileNotFoundError: it is gone already.
    """
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).get_batch(0)


def column(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    """A column of plain numbers over the mapped file."""
    return numbers(batch.column(name))


def numbers(array: pa.Array) -> npt.NDArray[Any]:
    """Numbers without nulls, not copied. Arrow's own `to_numpy` imports pandas."""
    found: npt.NDArray[Any] = np.frombuffer(array.buffers()[1], array.type.to_pandas_dtype())
    return found[array.offset : array.offset + len(array)]


def _moved(names: tuple[Path, Path]) -> None:
    temporary, path = names
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
