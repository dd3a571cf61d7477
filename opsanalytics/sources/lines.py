"""Records of a landed file as bytes that lie one after the other, without an object for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

LINE_FEED = 10
LARGEST_SPACE = 32


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
    def cut(cls, content: bytes) -> "RawLines":
        """All lines of `content`, which has no line feed at its end."""
        ends = np.flatnonzero(np.frombuffer(content, np.uint8) == LINE_FEED)
        return cls(content, np.append(0, ends + 1), np.append(ends, len(content)))

    def blank(self) -> NDArray[np.int64]:
        """Positions of the lines that hold nothing but white space."""
        bytes_ = np.frombuffer(self.content + b" ", np.uint8)
        doubtful = np.flatnonzero(bytes_[self.begins] <= LARGEST_SPACE)
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
