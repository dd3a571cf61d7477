"""Records of a landed file as bytes that lie one after the other, without an object for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

LINE_FEED = 10
LARGEST_SPACE = 32
LOOKED_AT = 256 * 1024
"""So many bytes are compared at once: what stays in the processor's cache takes a third of the time."""


def line_feeds(content: bytes) -> NDArray[np.int64]:
    """Where the line feeds of `content` are, ascending."""
    bytes_ = np.frombuffer(content, np.uint8)
    found = [
        np.flatnonzero(bytes_[begin : begin + LOOKED_AT] == LINE_FEED) + begin
        for begin in range(0, len(bytes_), LOOKED_AT)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class RawLines(Sequence[bytes]):
    """Lines cut at the line feed and nowhere else; `lines[n]` copies one."""

    content: bytes
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[bytes]) -> "RawLines":
        """Records as lines, in their order. None of them holds a line feed."""
        if isinstance(records, RawLines):
            return records
        ends = np.cumsum(np.fromiter(map(len, records), np.int64, len(records)) + 1) - 1
        return cls(b"\n".join(records), np.concatenate(([0], ends[:-1] + 1))[: len(records)], ends)

    @classmethod
    def cut(cls, content: bytes, ends: NDArray[np.int64] | None = None) -> "RawLines":
        """All lines of `content`, which has no line feed at its end; `ends` are its line feeds if known."""
        if ends is None:
            ends = line_feeds(content)
        return cls(content, np.append(0, ends + 1), np.append(ends, len(content)))

    def blank(self) -> NDArray[np.int64]:
        """Positions of the lines that hold nothing but white space."""
        filled = np.flatnonzero(self.begins < self.ends)
        starts = np.frombuffer(self.content, np.uint8)[self.begins[filled]]
        empty = np.flatnonzero(self.begins >= self.ends)
        doubtful = np.sort(np.concatenate((empty, filled[starts <= LARGEST_SPACE])))
        return np.array([at for at in doubtful if not self[int(at)].strip()], np.int64)

    def only(self, positions: Sequence[int] | NDArray[np.int64]) -> "RawLines":
        """The lines at `positions`."""
        return RawLines(self.content, self.begins[positions], self.ends[positions])

    def __len__(self) -> int:
        return len(self.begins)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> "RawLines": ...
    def __getitem__(self, index: int | slice) -> "bytes | RawLines":
        if isinstance(index, slice):
            return RawLines(self.content, self.begins[index], self.ends[index])
        return self.content[self.begins[index] : self.ends[index]]
