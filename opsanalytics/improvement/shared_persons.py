"""Persons who are affected by several pain points: how many, and what is lost without counting them twice."""

from collections.abc import Mapping, Sequence

import polars as pl

from opsanalytics.improvement.tables import PAIN_POINT_OVERLAPS


def overlaps(persons: pl.DataFrame) -> pl.DataFrame:
    """Pairs of pain points that some person is affected by both, as PAIN_POINT_OVERLAPS.

    Args:
        persons: item_id, person: once each.
    """
    sizes = persons.group_by("item_id").agg(persons=pl.len().cast(pl.Int64))
    pairs = (
        persons.join(persons, on="person", suffix="_other")
        .filter(pl.col("item_id") != pl.col("item_id_other"))
        .group_by("item_id", other_id="item_id_other")
        .agg(shared=pl.len().cast(pl.Int64))
        .join(sizes, on="item_id")
        .with_columns(share=pl.col("shared") / pl.col("persons"))
    )
    return PAIN_POINT_OVERLAPS.conform(pairs.select(PAIN_POINT_OVERLAPS.names))


def counted_once(
    persons: pl.DataFrame, losses: Mapping[str, float], order: Sequence[str]
) -> dict[str, float]:
    """What each pain point loses a week by persons for whom it is the costliest: these add up.

    What a person brings cannot be regained twice. Whoever is affected by several counts with the one that
    costs most an affected person; with equal costs, with the first of `order`.

    Args:
        persons: item_id, person: once each.
        losses: conversions lost a week by item, over all its persons.
        order: items.
    """
    sizes = dict(persons.group_by("item_id").len().iter_rows())
    rank = sorted((item for item in order if sizes.get(item)), key=lambda item: -losses[item] / sizes[item])
    number = pl.col("item_id").replace_strict(rank, list(range(len(rank))), return_dtype=pl.Int32)
    own = (
        persons.filter(pl.col("item_id").is_in(rank))
        .with_columns(at=number)
        .group_by("person")
        .agg(pl.col("at").min())
        .group_by("at")
        .len()
    ) if rank else pl.DataFrame(schema={"at": pl.Int32, "len": pl.UInt32})  # fmt: skip
    counted = dict(own.iter_rows())
    return {item: losses[item] * counted.get(at, 0) / sizes[item] for at, item in enumerate(rank)}
