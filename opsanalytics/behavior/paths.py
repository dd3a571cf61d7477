"""Paths: what people did next, or just before, and how often."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.funnel_rows import check_range
from opsanalytics.behavior.journey_spec import Paths, check_funnel
from opsanalytics.behavior.marts import mart_rows, nullable, with_provenance
from opsanalytics.behavior.path_rows import BEGAN, ENDED, NOTHING, OTHER, PathRows, path_rows
from opsanalytics.behavior.periods import zone
from opsanalytics.behavior.rows import Events, Int64, LeftOut, check_as_of
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import median_interval, wilson
from opsanalytics.behavior.subjects import of_members
from opsanalytics.behavior.tables import PROVENANCE
from opsanalytics.behavior.tables_journeys import PATHS

OWN = [name for name in PATHS.names if name not in {column.name for column in PROVENANCE}]
END_CODE, OTHER_CODE = -1, -2
"""In place of a label's code."""
SEQUENCES = pl.Schema(
    {
        "sequence": pl.List(pl.String()),
        "n": pl.Int64(),
        "count": pl.Int64(),
        "persons": pl.Int64(),
        "rate": pl.Float64(),
        "rate_low": pl.Float64(),
        "rate_high": pl.Float64(),
        "small": pl.Boolean(),
    }
)


@dataclass(frozen=True, eq=False)
class PathsResult:
    """Mature paths, step by step and as whole sequences."""

    definition: Paths
    as_of: datetime
    edges: pl.DataFrame
    """The columns of PATHS without `quality`."""
    sequences: pl.DataFrame
    """`sequence` (labels in order of time), `n` (all paths), `count`, `persons`, `rate` with interval,
    `small`; most frequent first, those of fewer persons than `min_persons` together as `(other)` last."""
    paths: int
    persons: int
    anchors: int
    """Mature anchors: more than `paths` where paths have to reach `end`."""
    open_anchors: int
    """Anchors so late that their path may still grow, and the funnel's open attempts."""
    left_out: LeftOut
    """Matching events without person or time, which count nowhere."""

    def to_polars(self) -> pl.DataFrame:
        return self.edges

    def reached(self) -> dict[str, Any]:
        """Of the anchors, how many paths reached the definition's `end`: `n`, `count`, `rate` and interval.

        Raises:
            ValueError: the definition has not both `start` and `end`.
        """
        if self.definition.start is None or self.definition.end is None:
            raise ValueError(f"{self.definition.name!r} does not lead from `start` to `end`")
        low, high = wilson([self.paths], [self.anchors])
        known = self.anchors > 0
        return {
            "n": self.anchors,
            "count": self.paths,
            "rate": self.paths / self.anchors if known else None,
            "rate_low": float(low[0]) if known else None,
            "rate_high": float(high[0]) if known else None,
        }

    def mart_rows(self, *, quality: str) -> pl.DataFrame:
        """Rows of the mart PATHS; `quality` is the state of the checks upstream."""
        return mart_rows(PATHS, [self.edges], quality=quality)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        both = self.definition.start is not None and self.definition.end is not None
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "paths": self.paths,
            "persons": self.persons,
            "open": self.open_anchors,
            **({"reached": self.reached()} if both else {}),
            "steps": self.edges.drop("paths", "definition_id", "as_of").to_dicts(),
            "sequences": self.sequences.to_dicts(),
            "left_out": {
                "without_person": self.left_out.without_person,
                "without_time": self.left_out.without_time,
            },
        }

    def __repr__(self) -> str:
        head = (
            f"{self.definition.label}: {self.paths} paths of {self.persons} persons by "
            f"{self.as_of.isoformat(timespec='minutes')}, {self.open_anchors} open"
        )
        return "\n".join([head, *(_line(row) for row in self.sequences.head(10).to_dicts())])


def paths(
    events: Events,
    definition: Paths,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
) -> PathsResult:
    """What people did after, or before, their anchors.

    Labels are grouped step by step: at each, the `limit` labels of most persons are shown, if at least
    `min_persons` were there; the others are `(other)`.

    Args:
        events: see `rows.Events`.
        definition: its docstring has the rules.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        first, last: local days, or times with a zone, that limit the anchors (the entries of a funnel),
            inclusive; all if not given.
        timezone: IANA zone of these days.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: `as_of`, `first`, `last` or `timezone` is wrong, or the funnel or cohort is only named.
    """
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    if isinstance(definition.funnel, str):
        raise ValueError(
            f"funnel: {definition.funnel!r} is only named here; give the Funnel itself, or put the "
            "definition into a configuration that has the funnel"
        )
    if isinstance(definition.funnel, Funnel):
        check_funnel(definition.funnel, definition)
    steps = [*definition.events, *(one for one in (definition.start, definition.end) if one is not None)]
    if isinstance(definition.funnel, Funnel):
        steps += definition.funnel.steps
    events = of_members(events, definition.among, steps, as_of=as_of, timezone=timezone)
    found = path_rows(events, definition, as_of=as_of, first=first, last=last, timezone=timezone)
    shown = _shown(found, definition)
    edges = _edges(found, shown, definition)
    return PathsResult(
        definition=definition,
        as_of=as_of,
        edges=with_provenance(edges, definition, as_of),
        sequences=_sequences(found, shown, definition),
        paths=len(found.person),
        persons=len(np.unique(found.person)),
        anchors=found.anchors,
        open_anchors=found.open_anchors,
        left_out=found.left_out,
    )


def _shown(found: PathRows, definition: Paths) -> Int64:
    """Codes by path and level, with those of few persons as OTHER_CODE."""
    shown = found.codes.astype(np.int64)
    for level in range(shown.shape[1]):
        column = pl.DataFrame({"code": shown[:, level], "person": found.person})
        ranked = (
            column.filter(pl.col("code") != NOTHING)
            .group_by("code")
            .agg(pl.col("person").n_unique().alias("persons"))
            .filter(pl.col("persons") >= definition.min_persons)
            .sort("persons", "code", descending=[True, False])
            .head(definition.limit)
        )
        kept = np.append(ranked["code"].to_numpy(), NOTHING)
        shown[:, level] = np.where(np.isin(shown[:, level], kept), shown[:, level], OTHER_CODE)
    return shown


def _edges(found: PathRows, shown: Int64, definition: Paths) -> pl.DataFrame:
    frames = []
    sign = -1 if definition.backwards else 1
    for level in range(1, shown.shape[1]):
        going = (found.codes[:, level - 1] != NOTHING) & (found.stops != level - 1)
        gap = np.abs(found.ts[:, level] - found.ts[:, level - 1]) / 1e6
        edges = pl.DataFrame(
            {
                "from": shown[going, level - 1],
                "to": shown[going, level],
                "person": found.person[going],
                "seconds": pl.Series(gap[going], dtype=pl.Float64),
            }
        )
        counted = edges.group_by("from", "to").agg(
            pl.len().cast(pl.Int64).alias("count"),
            pl.col("person").n_unique().cast(pl.Int64).alias("persons"),
            pl.col("seconds"),
        )
        frames.append(counted.with_columns(pl.lit(sign * level, pl.Int32).alias("step")))
    table = pl.concat(frames)
    known = [
        seconds if to != END_CODE else pl.Series([], dtype=pl.Float64)
        for to, seconds in zip(table["to"], table["seconds"], strict=True)
    ]
    intervals = [median_interval(seconds.sort().to_numpy()) for seconds in known]
    table = table.with_columns(
        pl.lit(definition.name).alias("paths"),
        _named("from", found, definition).alias("from_event"),
        _named("to", found, definition).alias("to_event"),
        pl.col("count").sum().over("step", "from").alias("n"),
        pl.Series("median_seconds", [seconds.median() for seconds in known], dtype=pl.Float64),
        nullable([low for low, _ in intervals], "median_low"),
        nullable([high for _, high in intervals], "median_high"),
    )
    low, high = wilson(table["count"].to_numpy(), table["n"].to_numpy())
    return (
        table.with_columns(
            (pl.col("count") / pl.col("n")).alias("rate"),
            nullable(low, "rate_low"),
            nullable(high, "rate_high"),
            (pl.col("n") < definition.min_n).alias("small"),
        )
        .select(OWN)
        .sort(pl.col("step").abs(), "from_event", "to_event")
    )


def _named(column: str, found: PathRows, definition: Paths) -> pl.Expr:
    over = BEGAN if definition.backwards else ENDED
    names = {END_CODE: over, OTHER_CODE: OTHER} | dict(enumerate(found.labels))
    return pl.col(column).replace_strict(names, return_dtype=pl.String)


def _sequences(found: PathRows, shown: Int64, definition: Paths) -> pl.DataFrame:
    if not len(found.person):
        return pl.DataFrame(schema=SEQUENCES)
    levels = [f"level_{level}" for level in range(shown.shape[1])]
    frame = pl.DataFrame(shown, schema=dict.fromkeys(levels, pl.Int64)).with_columns(
        pl.Series("person", found.person), pl.Series("stop", found.stops)
    )
    counted = frame.group_by(levels).agg(
        pl.len().cast(pl.Int64).alias("count"), pl.col("person").unique(), pl.col("stop").max()
    )
    few = pl.col("person").list.len() < definition.min_persons
    rare = counted.filter(few)
    rows = [
        {
            "sequence": _sequence(row, levels, found, definition),
            "count": row["count"],
            "persons": len(row["person"]),
        }
        for row in counted.filter(~few).to_dicts()
    ]
    rows.sort(key=lambda row: (-row["count"], row["sequence"]))
    if rare.height:
        persons = rare["person"].explode().n_unique()
        rows.append({"sequence": [OTHER], "count": int(rare["count"].sum()), "persons": persons})
    table = pl.DataFrame(rows, schema={name: SEQUENCES[name] for name in ("sequence", "count", "persons")})
    n = np.full(table.height, len(found.person))
    low, high = wilson(table["count"].to_numpy(), n)
    return table.with_columns(
        pl.Series("n", n, dtype=pl.Int64),
        pl.Series("rate", table["count"].to_numpy() / n),
        nullable(low, "rate_low"),
        nullable(high, "rate_high"),
        pl.lit(len(found.person) < definition.min_n).alias("small"),
    ).select(SEQUENCES.names())


def _sequence(row: dict[str, Any], levels: list[str], found: PathRows, definition: Paths) -> list[str]:
    """Labels in order of time, with an end where the path is shorter than it might be."""
    codes = [row[level] for level in levels if row[level] != END_CODE]
    labels = [OTHER if code == OTHER_CODE else found.labels[code] for code in codes]
    if len(codes) < len(levels) and row["stop"] < 0:
        labels.append(BEGAN if definition.backwards else ENDED)
    return labels[::-1] if definition.backwards else labels


def _line(row: dict[str, Any]) -> str:
    interval = f"{row['rate_low']:.1%} to {row['rate_high']:.1%}"
    few = ", few" if row["small"] else ""
    return (
        f"  {' > '.join(row['sequence'])}: {row['count']} of {row['n']}, {row['rate']:.1%} ({interval}){few}"
    )
