"""Reading events from the lake, joined to persons."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS

IDENTITY_RULES = "rules.json"
"""File beside the mapping: sources of which another id than usual decides, with their rule."""
DECIDING: Mapping[str, tuple[str, ...]] = {
    "devices": ("user", "device", "distinct"),
    "vendor_ids": ("user", "distinct", "device"),
    "verbs": ("distinct",),
}
"""Kinds of ids by rule; the first that an event has decides whose it is."""
ID_KEY = ("source", "id_kind", "id")
"""What the identity mapping is looked up by."""


def event_days(home: Home) -> list[date]:
    """UTC days that have at least one event file, ascending."""
    return sorted(
        date.fromisoformat(folder.name.removeprefix("day="))
        for folder in home.events.glob("day=*")
        if any(folder.glob("*.parquet"))
    )


def scan_raw_events(home: Home, *, first: date | None = None, last: date | None = None) -> pl.LazyFrame:
    """Scan canonical events of the UTC days `first` to `last`, inclusive, without persons."""
    return scan_files(
        path
        for day in event_days(home)
        if (first is None or day >= first) and (last is None or day <= last)
        for path in sorted((home.events / f"day={day.isoformat()}").glob("*.parquet"))
    )


def scan_files(paths: Iterable[Path]) -> pl.LazyFrame:
    """Scan the canonical events of some files alone, in this order: a lake may have thousands of others."""
    files = list(paths)
    if not files:
        return EVENTS.empty().lazy()
    # A home folder may have brackets or stars in its name.
    return pl.scan_parquet(files, glob=False, hive_partitioning=False)


def read_persons(home: Home) -> pl.DataFrame:
    """The identity mapping; empty before it was first built."""
    path = home.identity / "persons.parquet"
    return pl.read_parquet(path, glob=False) if path.exists() else PERSONS.empty()


def read_identity_rules(home: Home) -> dict[str, str]:
    """Rule (a key of `DECIDING`) of each source that has another one than `devices`."""
    path = home.identity / IDENTITY_RULES
    rules: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return rules


def by_rule(rules: Mapping[str, str], values: Mapping[str, pl.Expr]) -> pl.Expr:
    """Of each event the value of the id that decides; `values` by kind, each null without that id."""
    usual = pl.coalesce(*(values[kind] for kind in DECIDING["devices"]))
    for rule in sorted(set(rules.values())):
        sources = sorted(source for source, own in rules.items() if own == rule)
        own = pl.coalesce(*(values[kind] for kind in DECIDING[rule]))
        usual = pl.when(pl.col("source").is_in(sources)).then(own).otherwise(usual)
    return usual


def scan_events(
    home: Home,
    *,
    first: date | None = None,
    last: date | None = None,
    sources: Sequence[str] | None = None,
) -> pl.LazyFrame:
    """Scan canonical events with a `person` column in front.

    An event belongs to the person of its user id; without one to the person of its device; without
    a device to that of its distinct id (in the sources of `read_identity_rules` as `DECIDING` says).
    Without any id, or before the mapping was rebuilt with it, `person` is null: the event belongs to
    nobody. Rows are not sorted.
    """
    events = scan_raw_events(home, first=first, last=last)
    if sources is not None:
        events = events.filter(pl.col("source").is_in(list(sources)))
    persons = read_persons(home).lazy().select(*ID_KEY, "person")
    # one join: which id decides does not depend on the mapping
    deciding = with_deciding_id(events, read_identity_rules(home))
    return deciding.join(persons, on=list(ID_KEY), how="left").select("person", *EVENTS.names)


def with_deciding_id(events: pl.LazyFrame, rules: Mapping[str, str]) -> pl.LazyFrame:
    """Canonical events with the `id_kind` and `id` that tell their person; null without any id."""
    ids = {kind: pl.col(f"{kind}_id") for kind in DECIDING["devices"]}
    kinds = {kind: pl.when(value.is_not_null()).then(pl.lit(kind)) for kind, value in ids.items()}
    return events.with_columns(by_rule(rules, kinds).alias("id_kind"), by_rule(rules, ids).alias("id"))
