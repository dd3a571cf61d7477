"""Amplitude's identity: `amplitude_id`, with the merges that its export leaves out.

Amplitude gives an anonymous event the id of the last user of its device, so the id tells more than
the device does. Anonymous events of a second device keep an id of their own in the export; Amplitude
merges it into the user who signs in there, and so do we. Users never merge. Contract: Amplitude's
page on tracking unique users.
"""

import polars as pl


def resolve_by_vendor_id(sightings: pl.DataFrame) -> pl.DataFrame:
    """The mapping (columns of PERSONS, any order) of the ids of one source.

    In: sightings (source, user_id, device_id, distinct_id, since), where the distinct id is the
    vendor's own person id. Devices are mapped only where an anonymous event has no such id.
    """
    seen = sightings.lazy()
    users = (
        seen.drop_nulls("user_id")
        .group_by("source", "user_id")
        .agg(pl.col("since").min())
        .select(*row("user", pl.col("user_id"), pl.col("user_id"), pl.lit("user_id")), "since")
    )
    first_users = (
        seen.drop_nulls(["user_id", "device_id"])
        .sort("since", "user_id")
        .group_by("source", "device_id")
        .agg(pl.col("user_id").first().alias("device_user"))
    )
    by_id = (
        seen.drop_nulls("distinct_id")
        .sort("since", "user_id", "device_id", nulls_last=True)
        .group_by("source", "distinct_id", maintain_order=True)
        .agg(
            pl.col("since").first(),
            pl.col("user_id").drop_nulls().first(),
            pl.col("device_id").drop_nulls().first(),
        )
        .join(first_users, on=["source", "device_id"], how="left")
        .select(
            *row(
                "distinct",
                pl.col("distinct_id"),
                pl.coalesce(
                    "user_id",
                    "device_user",
                    pl.format("device:{}:{}", "source", "device_id"),
                    pl.format("distinct:{}:{}", "source", "distinct_id"),
                ),
                pl.when(pl.col("user_id").is_not_null())
                .then(pl.lit("vendor_id_of_user"))
                .when(pl.col("device_user").is_not_null())
                .then(pl.lit("first_user_on_device"))
                .when(pl.col("device_id").is_not_null())
                .then(pl.lit("anonymous_device"))
                .otherwise(pl.lit("distinct_id")),
            ),
            "since",
        )
    )
    devices = (
        seen.filter(
            pl.col("user_id").is_null() & pl.col("distinct_id").is_null() & pl.col("device_id").is_not_null()
        )
        .group_by("source", "device_id")
        .agg(pl.col("since").min())
        .join(first_users, on=["source", "device_id"], how="left")
        .select(
            *row(
                "device",
                pl.col("device_id"),
                pl.coalesce("device_user", pl.format("device:{}:{}", "source", "device_id")),
                pl.when(pl.col("device_user").is_null())
                .then(pl.lit("anonymous_device"))
                .otherwise(pl.lit("first_user_on_device")),
            ),
            "since",
        )
    )
    return pl.concat([users, by_id, devices]).collect()


def row(kind: str, identity: pl.Expr, person: pl.Expr, rule: pl.Expr) -> tuple[pl.Expr, ...]:
    """The columns of PERSONS but `since`."""
    return (
        pl.col("source"),
        pl.lit(kind).alias("id_kind"),
        identity.alias("id"),
        person.alias("person"),
        rule.alias("rule"),
    )
