"""Numbers of persons in the behavior index, and which of them a new identity mapping concerns."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.lake.events import read_identity_rules, read_persons
from opsanalytics.lake.paths import Home

KEYS = ["source", "id_kind", "id"]
IDS = {"source": pl.String, "id_kind": pl.String, "id": pl.String, "number": pl.UInt32}
PERSONS = {"person": pl.String, "rank": pl.UInt32}


@dataclass(frozen=True, eq=False)
class Numbering:
    """Which number stands for the person of an id."""

    persons: pl.DataFrame
    """`person` and `rank` (place in the order of the names), one row a number. A person keeps the number as
    long as the index lives, so that segments stay what they are."""
    ids: pl.DataFrame
    """`source`, `id_kind`, `id`, `number`: the identity mapping."""
    rules: Mapping[str, str]
    """See `read_identity_rules`."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What another numbering means for segments of the one before."""

    everything: bool = False
    lost: npt.NDArray[np.bool_] | None = None
    """By number: persons that lost an id, so that events under their number may be somebody else's now."""
    gained: bool = False
    """Whether ids have a person that had none, so that events of nobody may be somebody's now."""

    def touch(self, person: npt.NDArray[np.uint32], known: int) -> bool:
        """Whether a segment may be out of date: its column `person`, and its rows that are not nobody's."""
        if self.everything or (self.gained and known < len(person)):
            return True
        return self.lost is not None and bool(self.lost[person[:known]].any())


def numbered(home: Home, before: Numbering | None) -> tuple[Numbering, Changes]:
    """Numbers by the lake's identity mapping as it is now, and what has changed since `before`."""
    mapping = read_persons(home).select(*KEYS, "person")
    rules = read_identity_rules(home)
    names = pl.Series("person", [], pl.String) if before is None else before.persons["person"]
    new = mapping.select("person").unique().join(names.to_frame(), on="person", how="anti").sort("person")
    names = pl.concat([names, new["person"]])
    persons = names.to_frame().with_columns(
        (pl.col("person").rank("ordinal") - 1).cast(pl.UInt32).alias("rank")
    )
    by_name = names.to_frame().with_row_index("number")
    ids = mapping.join(by_name, on="person", how="left").select(*KEYS, pl.col("number").cast(pl.UInt32))
    numbering = Numbering(persons, ids, rules)
    if before is None or before.rules != rules:
        return numbering, Changes(everything=True)
    gone = before.ids.join(ids, on=[*KEYS, "number"], how="anti")
    lost = np.zeros(len(names), np.bool_)
    lost[gone["number"].to_numpy()] = True
    gained = ids.join(before.ids, on=KEYS, how="anti").height > 0
    return numbering, Changes(lost=lost if gone.height else None, gained=gained)
