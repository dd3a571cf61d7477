"""From ids to numbers of persons, for many events at once."""

import numpy as np
import numpy.typing as npt
import polars as pl

NONE = (1 << 32) - 1


class Ids:
    """Different ids, none null, and a number for each. Exact: what a hash finds is compared by its text."""

    def __init__(self, ids: pl.Series, numbers: npt.NDArray[np.uint32], nobody: int) -> None:
        """`nobody` is the number of what is not among `ids`."""
        from opsanalytics.behavior.kernels_hashing import fill_table

        size = 1 << max(4, (2 * len(ids)).bit_length())
        self._seed = 0
        while True:
            self._keys = np.zeros(size, np.uint64)
            self._places = np.full(size, NONE, np.uint32)
            if fill_table(self._hashed(ids), self._keys, self._places, NONE):
                break
            self._seed += 1
        self._ids = ids
        self._numbers = numbers
        self._nobody = np.uint32(nobody)

    def numbers(self, ids: pl.Series) -> npt.NDArray[np.uint32]:
        """The number of each."""
        from opsanalytics.behavior.kernels_hashing import look_up

        if not len(self._ids):
            return np.full(len(ids), self._nobody)
        places = np.empty(len(ids), np.uint32)
        look_up(self._hashed(ids), self._keys, self._places, NONE, places)
        lost = places == NONE
        places[lost] = 0
        lost |= ~(self._ids.gather(places) == ids).fill_null(False).to_numpy()
        found: npt.NDArray[np.uint32] = self._numbers[places]
        found[lost] = self._nobody
        return found

    def _hashed(self, ids: pl.Series) -> npt.NDArray[np.uint64]:
        return ids.hash(self._seed).to_numpy()
