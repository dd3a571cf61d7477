"""Reading user profiles from the lake, as such and by person."""

import polars as pl

from opsanalytics.lake.events import read_persons
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import PROFILES

DEVICE_PREFIX = "$device:"


def read_profiles(home: Home) -> pl.DataFrame:
    """All profiles (schema PROFILES); empty if no source has any."""
    files = sorted(home.profiles_file("*").parent.glob("*.parquet"))
    frames = [pl.read_parquet(path, glob=False) for path in files]
    return PROFILES.conform(pl.concat(frames)) if frames else PROFILES.empty()


def person_properties(home: Home) -> pl.DataFrame:
    """`person`, `properties` (JSON object): what is known of each person, one row a person.

    A profile belongs to the person of its id, as events with that id do. Of several profiles of a person
    that of the user's id counts, else the one fetched last. Profiles of ids without any event are a
    person of their own name.
    """
    profiles = read_profiles(home)
    ids = read_persons(home).select("source", "id_kind", "id", "person")
    device = pl.col("distinct_id").str.starts_with(DEVICE_PREFIX)
    own = profiles.with_columns(
        pl.when(device).then(pl.col("distinct_id").str.strip_prefix(DEVICE_PREFIX)).alias("device")
    )
    for kind, column in (("user", "distinct_id"), ("device", "device"), ("distinct", "distinct_id")):
        matching = ids.filter(pl.col("id_kind") == kind).select(
            "source", pl.col("id").alias(column), pl.col("person").alias(f"by_{kind}")
        )
        own = own.join(matching, on=["source", column], how="left")
    return (
        own.with_columns(pl.coalesce("by_user", "by_device", "by_distinct", "distinct_id").alias("person"))
        .sort(
            "person",
            pl.col("person") != pl.col("distinct_id"),
            pl.col("fetched_at").dt.epoch("us") * -1,
            "source",
            "distinct_id",
        )
        .unique("person", keep="first", maintain_order=True)
        .select("person", "properties")
    )
