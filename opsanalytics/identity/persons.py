"""Who is one person, from the ids that events carry.

A signed-in event belongs to its user. An anonymous one belongs to the first user ever seen on its
device, else to the device itself; an event without user and device belongs to its distinct id. Two
users never become one because they shared a device: ids are not joined transitively. Vendors
resolve shared devices the same way (first user wins). That is the rule `devices`; sources whose vendor
says more follow it instead: identity events (`verbs`, see `clusters`), or the vendor's own person id
(`vendor_ids`).

The mapping is retroactive: a sign-in today gives yesterday's anonymous events to that user, and no
event file is rewritten.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from opsanalytics.identity.clusters import Join, resolve_by_verbs, stated_joins
from opsanalytics.identity.vendor_ids import resolve_by_vendor_id
from opsanalytics.lake.events import IDENTITY_RULES, event_days
from opsanalytics.lake.files import write_bytes, write_json
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS

FILES_AT_ONCE = 1_000
"""Days read together; bounds memory, changes no result."""
IDS = ("user_id", "device_id", "distinct_id")


@dataclass(frozen=True)
class IdentityReport:
    """The identity mapping after a rebuild."""

    changed: bool
    """Whether the mapping differs from before: then everything computed per person is stale."""
    persons: int
    users: int
    devices: int
    distinct_ids: int
    shared_devices: int
    """Devices on which more than one user was seen; their anonymous events go to the first."""
    unidentified: int
    """Events without any usable id; they belong to nobody."""


def rebuild(home: Home, sources: Sequence[str], rules: Mapping[str, str] | None = None) -> IdentityReport:
    """Rebuild `persons.parquet` (schema PERSONS) from all events of `sources`.

    `rules`: `sources.base.IdentityRules` of each source; `devices` if not given.

    Raises:
        LockHeldError: another process rebuilds it for more than ten minutes.
    """
    with exclusive(home, "identity"):
        joins: dict[str, list[Join]] = {}
        applied: dict[str, str] = {}
        for source in sorted(sources):
            rule = (rules or {}).get(source, "devices")
            if rule in ("verbs", "detect"):
                joins[source] = stated_joins(home, source)
            if rule in ("verbs", "vendor_ids"):
                applied[source] = rule
            elif joins.get(source):
                applied[source] = "verbs"
        sightings, unidentified = seen_ids(home, sources, every_id=list(applied))
        own = pl.col("source").is_in(list(applied))
        mappings = [resolve(sightings.filter(~own))]
        for source, rule in applied.items():
            seen = sightings.filter(pl.col("source") == source)
            mappings.append(
                resolve_by_vendor_id(seen) if rule == "vendor_ids" else resolve_by_verbs(seen, joins[source])
            )
        persons = PERSONS.conform(pl.concat(mappings))
        write_json(home.identity / IDENTITY_RULES, applied)
        content = io.BytesIO()
        persons.write_parquet(content, compression="zstd", statistics=True)
        changed = write_bytes(home.identity / "persons.parquet", content.getvalue())
    kinds = dict(persons["id_kind"].value_counts().iter_rows())
    users_on_device = (
        sightings.drop_nulls(["user_id", "device_id"]).group_by("source", "device_id").agg(pl.len())
    )
    return IdentityReport(
        changed=changed,
        persons=persons["person"].n_unique(),
        users=kinds.get("user", 0),
        devices=kinds.get("device", 0),
        distinct_ids=kinds.get("distinct", 0),
        shared_devices=users_on_device.filter(pl.col("len") > 1).height,
        unidentified=unidentified,
    )


def seen_ids(home: Home, sources: Sequence[str], every_id: Sequence[str] = ()) -> tuple[pl.DataFrame, int]:
    """Combinations of source and ids in the lake, each with its first time; and events without any.

    Distinct ids matter only where an event has neither user nor device, except in the sources `every_id`.
    """
    found = []
    unidentified = 0
    anonymous = pl.col("user_id").is_null() & pl.col("device_id").is_null()
    anonymous |= pl.col("source").is_in(list(every_id))
    for scan in scans(home, sources):
        combinations = (
            scan.select("source", *IDS, "ts")
            .with_columns(pl.when(anonymous).then("distinct_id").alias("distinct_id"))
            .group_by("source", *IDS)
            .agg(pl.col("ts").min().alias("since"), pl.len().alias("events"))
            .collect()
        )
        nobody = pl.all_horizontal(pl.col(name).is_null() for name in IDS)
        unidentified += int(combinations.filter(nobody)["events"].sum())
        found.append(combinations.filter(~nobody).drop("events"))
    if not found:
        return pl.DataFrame(
            schema={"source": pl.String, **dict.fromkeys(IDS, pl.String), "since": EVENTS.schema["ts"]}
        ), 0
    merged = pl.concat(found).group_by("source", *IDS).agg(pl.col("since").min())
    return merged.sort("source", *IDS), unidentified


def scans(home: Home, sources: Sequence[str]) -> Iterator[pl.LazyFrame]:
    files = [
        path
        for day in event_days(home)
        for source in sorted(sources)
        if (path := home.events_file(source, day)).exists()
    ]
    for start in range(0, len(files), FILES_AT_ONCE):
        yield pl.scan_parquet(files[start : start + FILES_AT_ONCE], hive_partitioning=False)


def resolve(sightings: pl.DataFrame) -> pl.DataFrame:
    """The mapping (schema PERSONS) from sightings: source, ids (null where unknown), since.

    The first user on a device is the one of the earliest event; of equally early ones the smaller id.
    """
    seen = sightings.lazy()
    users = (
        seen.drop_nulls("user_id")
        .group_by("source", "user_id")
        .agg(pl.col("since").min())
        .select(
            "source",
            pl.lit("user").alias("id_kind"),
            pl.col("user_id").alias("id"),
            pl.col("user_id").alias("person"),
            pl.lit("user_id").alias("rule"),
            "since",
        )
    )
    first_users = (
        seen.drop_nulls(["user_id", "device_id"])
        .sort("since", "user_id")
        .group_by("source", "device_id")
        .agg(pl.col("user_id").first(), pl.col("since").first().alias("signed_in"))
    )
    devices = (
        seen.drop_nulls("device_id")
        .group_by("source", "device_id")
        .agg(pl.col("since").min())
        .join(first_users, on=["source", "device_id"], how="left")
        .select(
            "source",
            pl.lit("device").alias("id_kind"),
            pl.col("device_id").alias("id"),
            pl.coalesce("user_id", pl.format("device:{}:{}", "source", "device_id")).alias("person"),
            pl.when(pl.col("user_id").is_null())
            .then(pl.lit("anonymous_device"))
            .otherwise(pl.lit("first_user_on_device"))
            .alias("rule"),
            pl.coalesce("signed_in", "since").alias("since"),
        )
    )
    known_users = users.select("source", pl.col("id").alias("distinct_id"), pl.col("person").alias("user"))
    distinct = (
        seen.drop_nulls("distinct_id")
        .group_by("source", "distinct_id")
        .agg(pl.col("since").min())
        .join(known_users, on=["source", "distinct_id"], how="left")
        .select(
            "source",
            pl.lit("distinct").alias("id_kind"),
            pl.col("distinct_id").alias("id"),
            # servers often send a user's id as the distinct id alone
            pl.coalesce("user", pl.format("distinct:{}:{}", "source", "distinct_id")).alias("person"),
            pl.when(pl.col("user").is_null())
            .then(pl.lit("distinct_id"))
            .otherwise(pl.lit("user_id"))
            .alias("rule"),
            "since",
        )
    )
    return PERSONS.conform(pl.concat([users, devices, distinct]).collect())
