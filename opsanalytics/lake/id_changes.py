"""Which events another identity mapping gives to somebody else.

New people come every day, so the mapping is another one every day; the events of the days before mostly
stay whose they are. What was computed by person from those is still right.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from opsanalytics.lake.events import (
    ID_KEY,
    IDENTITY_RULES,
    read_identity_rules,
    scan_raw_events,
    with_deciding_id,
)
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import PERSONS

_KEPT = [*ID_KEY, "person"]


@dataclass(frozen=True, eq=False)
class Identity:
    """An identity mapping, and a name that no other has."""

    rules: str
    content: str
    mapping: pl.DataFrame
    """`source`, `id_kind`, `id`, `person`."""

    @classmethod
    def of(cls, home: Home) -> "Identity":
        """The mapping of the lake as it is."""
        persons, rules = home.identity / "persons.parquet", home.identity / IDENTITY_RULES
        content = persons.read_bytes() if persons.exists() else b""
        mapping = pl.read_parquet(io.BytesIO(content)) if content else PERSONS.empty()
        told = rules.read_bytes() if rules.exists() else b""
        return cls(_digest(told), _digest(content), mapping.select(_KEPT))

    @property
    def name(self) -> str:
        return f"{self.rules}-{self.content}"

    def keep(self, home: Home) -> None:
        """Remember the mapping, in place of any other, to compare the next one with it."""
        path = _kept(home, self.name)
        for other in home.fingerprints.glob("persons.*.parquet"):
            if other != path:
                other.unlink(missing_ok=True)
        if not path.exists():
            write_parquet(path, self.mapping)


def with_unmoved(home: Home, prints: pl.DataFrame, identity: Identity) -> pl.DataFrame:
    """Prints with the name of this identity where no event of the day file changed hands since.

    In: `source`, `day`, `identity` (name of the one they were taken with), `unowned` (events with an id that
    was nobody's). Prints that nothing is known about stay as they are.
    """
    parts = [prints.filter(pl.col("identity") == identity.name)]
    for (name,), taken in prints.filter(pl.col("identity") != identity.name).group_by("identity"):
        before = _kept(home, str(name))
        if not str(name).startswith(f"{identity.rules}-") or not before.exists():
            parts.append(taken)
            continue
        mapping = pl.read_parquet(before, glob=False)
        lost = mapping.join(identity.mapping, on=_KEPT, how="anti").select(ID_KEY)
        moved = _days_with(home, lost)
        unmoved = taken.join(moved, on=["source", "day"], how="anti")
        if identity.mapping.join(mapping, on=list(ID_KEY), how="anti").height:
            unmoved = unmoved.filter(pl.col("unowned") == 0)
        parts.append(unmoved.with_columns(pl.lit(identity.name).alias("identity")))
        parts.append(taken.join(unmoved, on=["source", "day"], how="anti"))
    return pl.concat(parts)


def _days_with(home: Home, ids: pl.DataFrame) -> pl.DataFrame:
    """`source` and `day` of events whose person these ids tell."""
    if ids.is_empty():
        return pl.DataFrame(schema={"source": pl.String, "day": pl.Date})
    # Whether an id is there at all is asked first, of few columns: mostly it is not.
    holding = pl.any_horizontal(
        pl.col(f"{kind}_id").is_in(some["id"].implode()) for (kind,), some in ids.group_by("id_kind")
    )
    events = with_deciding_id(scan_raw_events(home).filter(holding), read_identity_rules(home))
    return (
        events.select(*ID_KEY, pl.col("ts").dt.date().alias("day"))
        .join(ids.lazy(), on=list(ID_KEY), how="semi")
        .select("source", "day")
        .unique()
        .collect(engine="streaming")
    )


def _kept(home: Home, name: str) -> Path:
    return home.fingerprints / f"persons.{name}.parquet"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]
