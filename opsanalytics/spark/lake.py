"""The lake as a Spark DataFrame: events with their person, each counted once."""

import json
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

from opsanalytics.behavior.overlaps import Overlap
from opsanalytics.lake.events import DECIDING, IDENTITY_RULES
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS

BELOW = Home(Path())


def read_events(
    session: SparkSession, home: str, overlaps: Sequence[Overlap] = (), sources: Sequence[str] | None = None
) -> DataFrame:
    """All events of a lake with a column `person`, as `lake.events.scan_events` joins it.

    `home` is its home folder, by any address that Spark can read.
    `overlaps` are settled as `behavior.overlaps.counted_once` does, between `sources` where they are given.
    """
    events = session.read.parquet(f"{home}/{BELOW.events}/day=*/*.parquet")
    events = events.withColumns(_deciding(_rules(session, home)))
    persons = session.read.parquet(f"{home}/{BELOW.identity}/persons.parquet")
    persons = persons.select("source", "id_kind", "id", "person")
    joined = events.join(persons, ["source", "id_kind", "id"], "left").select("person", *EVENTS.names)
    for overlap in overlaps:
        names = overlap.among(sources)
        if len(names) > 1:
            joined = _once(joined, overlap, names)
    return joined


def _rules(session: SparkSession, home: str) -> dict[str, str]:
    # Through Spark, as the lake may lie where only Spark can read.
    files = session.read.format("binaryFile").option("pathGlobFilter", IDENTITY_RULES)
    found = files.load(f"{home}/{BELOW.identity}").collect()
    rules: dict[str, str] = json.loads(bytes(found[0]["content"])) if found else {}
    return rules


def _deciding(rules: dict[str, str]) -> dict[str, Column]:
    """`id_kind` and `id` of the id that decides whose an event is."""
    ids = {kind: F.col(f"{kind}_id") for kind in DECIDING["devices"]}
    kinds = {kind: F.when(value.isNotNull(), F.lit(kind)) for kind, value in ids.items()}

    def by_rule(values: dict[str, Column]) -> Column:
        usual = F.coalesce(*(values[kind] for kind in DECIDING["devices"]))
        for rule in sorted(set(rules.values())):
            sources = sorted(source for source, own in rules.items() if own == rule)
            own = F.coalesce(*(values[kind] for kind in DECIDING[rule]))
            usual = F.when(F.col("source").isin(sources), own).otherwise(usual)
        return usual

    return {"id_kind": by_rule(kinds), "id": by_rule(ids)}


def _once(events: DataFrame, overlap: Overlap, names: Sequence[str]) -> DataFrame:
    shared = F.col("source").isin(list(names))
    if overlap.events is not None:
        shared &= F.col("event").isin(list(overlap.events))
    ranks = reduce(
        lambda found, name: found.when(F.col("source") == name, F.lit(names.index(name))),
        names[1:],
        F.when(F.col("source") == names[0], F.lit(0)),
    )
    keys = ["_day", "event", *(["person"] if overlap.per == "person_day" else [])]
    # UTC days, whatever the zone of the session is.
    ranked = events.withColumns(
        {"_day": F.floor(F.unix_micros("ts") / F.lit(86_400_000_000)), "_rank": F.when(shared, ranks)}
    )
    best = ranked.where(F.col("_rank").isNotNull()).groupBy(*keys).agg(F.min("_rank").alias("_best"))
    joined = ranked.join(best, keys, "left")
    kept = F.col("_rank").isNull() | F.col("_best").isNull() | (F.col("_rank") == F.col("_best"))
    return joined.where(kept).select(*events.columns)
