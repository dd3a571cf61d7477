"""Numbers of ids are those of a plain dictionary."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.behavior.index_ids import NONE, Ids

TEXT = st.text(max_size=30)


def numbers(known: dict[str, int], asked: list[str | None]) -> list[int]:
    table = Ids(pl.Series(list(known), dtype=pl.String), np.array(list(known.values()), np.uint32), NONE)
    return table.numbers(pl.Series(asked, dtype=pl.String)).tolist()


@settings(deadline=None)  # the first call compiles
@given(st.dictionaries(TEXT, st.integers(0, 1 << 20), max_size=40), st.lists(st.none() | TEXT, max_size=40))
def test_every_id_has_its_number_and_others_none(known: dict[str, int], others: list[str | None]) -> None:
    asked = [*others, *known, *others]
    assert numbers(known, asked) == [NONE if one is None else known.get(one, NONE) for one in asked]


def test_ids_of_equal_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = Ids._hashed

    def poor(self: Ids, ids: pl.Series) -> Any:
        return hashed(self, ids) & np.uint64(0xFF if self._seed < 3 else 0xFFFFFF)

    monkeypatch.setattr(Ids, "_hashed", poor)
    known = {f"id {number}": number for number in range(200)}
    assert numbers(known, [*known, "id 200"]) == [*known.values(), NONE]
    # What is not known and has the hash of one that is, is still not known.
    few = {"a": 7, "b": 8}
    strangers = [str(number) for number in range(2_000)]
    assert numbers(few, strangers) == [NONE] * len(strangers)
