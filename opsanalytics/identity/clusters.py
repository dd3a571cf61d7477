"""Mixpanel's original identity: ids that its own identity events joined, and nothing else.

`$identify` joins an anonymous id to a user, `$create_alias` an alias to an id, `$merge` two ids. Joining
is transitive. Events that the vendor refused (`$failure_reason`) join nothing. An anonymous id that
belongs to one user already is never joined to another by `$identify`: the vendor refuses that too,
and people who share a device would become one person. Contract: Mixpanel's page on the original ID
merge, and its reserved properties.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
from scipy.cluster.hierarchy import DisjointSet

from opsanalytics.lake.events import event_days
from opsanalytics.lake.paths import Home

VERBS = ("$identify", "$create_alias", "$merge")
FILES_AT_ONCE = 1_000
"""Days read together, oldest first; bounds memory, changes no result."""


@dataclass(frozen=True)
class Join:
    """Two ids that one identity event declares the same."""

    verb: str
    left: str
    """The user's id for `$identify`, the id for `$create_alias`."""
    right: str
    """The anonymous id for `$identify`, the alias for `$create_alias`."""


def stated_joins(home: Home, source: str) -> list[Join]:
    """What the identity events of a source in the lake state, in the order in which they happened."""
    joins: list[Join] = []
    files = [path for day in event_days(home) if (path := home.events_file(source, day)).exists()]
    for start in range(0, len(files), FILES_AT_ONCE):
        verbs = (
            pl.scan_parquet(files[start : start + FILES_AT_ONCE], glob=False, hive_partitioning=False)
            .filter(pl.col("source_event").is_in(VERBS))
            .select("ts", "event_id", "source_event", "distinct_id", "properties")
            .collect()
            .sort("ts", "event_id")
        )
        for verb, distinct_id, text in verbs.select("source_event", "distinct_id", "properties").iter_rows():
            joins.extend(joins_of(verb, distinct_id, json.loads(text)))
    return joins


def joins_of(verb: str, distinct_id: str | None, properties: dict[str, Any]) -> Iterator[Join]:
    """The joins of one identity event; none if the vendor refused it or ids are missing."""
    if properties.get("$failure_reason"):
        return
    pair: list[Any] = []
    if verb == "$identify":
        pair = [properties.get("$identified_id"), properties.get("$anon_id")]
    elif verb == "$create_alias":
        pair = [distinct_id, properties.get("alias")]
    elif verb == "$merge":
        ids = properties.get("$distinct_ids")
        pair = ids if isinstance(ids, list) else []
    if len(pair) == 2 and all(isinstance(each, str) and each for each in pair) and pair[0] != pair[1]:
        yield Join(verb, pair[0], pair[1])


def clusters(joins: Iterable[Join]) -> dict[str, str]:
    """Every id that was joined, with the id that stands for its cluster.

    That is the first that was identified as a user's; without one the smallest id of the cluster.
    """
    joined: DisjointSet = DisjointSet()
    identified: dict[str, int] = {}
    known_user: dict[str, str] = {}
    for number, join in enumerate(joins):
        for each in (join.left, join.right):
            joined.add(each)
        if join.verb == "$identify":
            owner = known_user.setdefault(join.right, join.left)
            if owner != join.left and not joined.connected(owner, join.left):
                continue
            identified.setdefault(join.left, number)
        joined.merge(join.left, join.right)
    standing: dict[str, str] = {}
    for members in joined.subsets():
        users = [each for each in members if each in identified]
        chosen = min(users, key=lambda each: (identified[each], each)) if users else min(members)
        standing |= dict.fromkeys(members, chosen)
    return standing


def resolve_by_verbs(sightings: pl.DataFrame, joins: Iterable[Join]) -> pl.DataFrame:
    """The mapping (columns of PERSONS, any order) of the distinct ids of one source.

    In: sightings (source, user_id, device_id, distinct_id, since) with every distinct id. An id that
    was never joined is its own person: a user's if an event says that it is its `$user_id`.
    """
    joins = list(joins)
    standing = clusters(joins)
    users = {join.left for join in joins if join.verb == "$identify"}
    ids = (
        sightings.drop_nulls("distinct_id")
        .group_by("source", "distinct_id")
        .agg(
            pl.col("since").min(),
            (pl.col("user_id") == pl.col("distinct_id")).fill_null(value=False).any().alias("is_user"),
        )
    )
    cluster = [standing.get(each) for each in ids["distinct_id"].to_list()]
    return (
        ids.with_columns(pl.Series("cluster", cluster, dtype=pl.String))
        .with_columns(pl.col("cluster").is_in(list(users)).fill_null(value=False).alias("of_user"))
        .select(
            "source",
            pl.lit("distinct").alias("id_kind"),
            pl.col("distinct_id").alias("id"),
            pl.when("of_user")
            .then("cluster")
            .when("is_user")
            .then("distinct_id")
            .otherwise(pl.format("distinct:{}:{}", "source", pl.coalesce("cluster", "distinct_id")))
            .alias("person"),
            pl.when(pl.col("cluster").is_not_null())
            .then(pl.lit("vendor_merge"))
            .when("is_user")
            .then(pl.lit("user_id"))
            .otherwise(pl.lit("distinct_id"))
            .alias("rule"),
            "since",
        )
    )
