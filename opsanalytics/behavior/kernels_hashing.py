"""A table of 64-bit hashes with open addressing, for looking up many ids at once. Compiled by Numba."""

from typing import Any

import numpy as np

from opsanalytics.compilation import compiled


@compiled
def fill_table(hashes: Any, keys: Any, places: Any, none: int) -> bool:
    """Put hash i under place i; False if two are equal. `places` is `none` where nothing is; its length is a
    power of two, larger than that of `hashes`."""
    within = np.uint64(len(keys) - 1)
    for i in range(len(hashes)):
        at = hashes[i] & within
        while places[at] != none:
            if keys[at] == hashes[i]:
                return False
            at = (at + np.uint64(1)) & within
        keys[at] = hashes[i]
        places[at] = i
    return True


@compiled
def look_up(hashes: Any, keys: Any, places: Any, none: int, found: Any) -> None:
    """The place of every hash, `none` of those that are not in the table."""
    within = np.uint64(len(keys) - 1)
    for i in range(len(hashes)):
        key = hashes[i]
        at = key & within
        while places[at] != none and keys[at] != key:
            at = (at + np.uint64(1)) & within
        found[i] = places[at]
