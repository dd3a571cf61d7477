"""Rows of events while they are generated, and their final form for the two vendors."""

from typing import Any

import numpy as np
import polars as pl

from opsanalytics.demo.product.catalogue import COUNTRIES, END, EVENT_NAMES, PLATFORMS
from opsanalytics.demo.product.people import Ints, People, micros, version_at
from opsanalytics.demo.simulator.lines import json_field

SESSION_GAP = 30 * 60 * 1_000_000
SITE = "https://app.pennyleaf.example"
PROPERTIES: dict[str, pl.DataType | type[pl.DataType]] = {
    "page": pl.String,
    "code": pl.String,
    "ms": pl.Int64,
    "results": pl.Int64,
    "amount": pl.Float64,
    "currency": pl.String,
    "plan": pl.String,
}
"""Event properties, in the order in which they are written; null means the event has none."""


def rows(event: str, person: Ints, ts: Ints, platform: Ints, **properties: Any) -> pl.DataFrame:
    """Rows of one event: `person` and `platform` by number, `ts` in µs; properties as arrays or scalars."""
    frame = pl.DataFrame(
        {"person": person, "ts": ts, "platform": platform},
        schema={"person": pl.Int64, "ts": pl.Int64, "platform": pl.Int64},
    )
    columns = [
        pl.Series(name, np.broadcast_to(np.asarray(value), person.shape).tolist(), dtype=PROPERTIES[name])
        for name, value in properties.items()
    ]
    return frame.with_columns(pl.lit(event).alias("event"), *columns)


def finish(parts: list[pl.DataFrame], people: People, signed_up: Ints, purchased: Ints) -> pl.DataFrame:
    """All rows as an event table (`simulator.table`) with canonical event names, in time order.

    `signed_up` and `purchased` hold each person's moment in µs, beyond END if it never came. The
    user is unknown before signing up. Sessions end after 30 minutes without an event on the device.
    """
    table = (
        pl.concat(parts, how="diagonal")
        .filter(pl.col("ts") < micros(END))
        .sort("ts", "person", "event", maintain_order=True)
    )
    person, platform, ts = (table[name].to_numpy() for name in ("person", "platform", "ts"))
    web = platform == 0
    known = ts >= signed_up[person]
    paying = ts >= purchased[person]
    codes = np.array([country.code for country in COUNTRIES], dtype=object)
    mobile_os = np.array([None, "Android", "iOS"], dtype=object)[platform]
    nothing = np.full(len(person), None, dtype=object)
    texts = {
        "user_id": np.where(known, people.user_id[person], nothing),
        "device_id": np.where(web, people.web_device[person], people.mobile_device[person]),
        "app_version": version_at(people, person, platform, ts),
        "country": codes[people.country[person]],
        "os": np.where(web, people.web_os[person], mobile_os),
        "browser": np.where(web, people.browser[person], nothing),
        "plan": np.where(known, np.where(paying, people.plan[person], "free"), nothing),
        "platform": np.array(PLATFORMS, dtype=object)[platform],
    }
    columns = [pl.Series(name, values.tolist(), dtype=pl.String) for name, values in texts.items()]
    return (
        table.with_columns(columns)
        .with_columns(
            pl.when(pl.col("platform") == "web").then(pl.concat_str(pl.lit(SITE), "page")).alias("url"),
            _properties().alias("properties"),
            _session().alias("session_id"),
        )
        .with_columns(pl.from_epoch("ts", time_unit="us").dt.replace_time_zone("UTC"))
        .select(
            "user_id", "device_id", "event", "ts", "properties", "platform", "os", "browser",
            "app_version", "country", "url", "session_id",
        )
    )  # fmt: skip


def vendor_table(table: pl.DataFrame, *, vendor: int) -> pl.DataFrame:
    """The rows that go to Mixpanel (0, web) or Amplitude (1, mobile), with that vendor's event names."""
    names = {canonical: both[vendor] for canonical, both in EVENT_NAMES.items()}
    web = pl.col("platform") == "web"
    return table.filter(~web if vendor else web).with_columns(pl.col("event").replace_strict(names))


def _properties() -> pl.Expr:
    fields = pl.concat_str(
        [json_field(name, pl.col(name)) for name in PROPERTIES], separator=",", ignore_nulls=True
    )
    return pl.concat_str([pl.lit("{"), fields, pl.lit("}")])


def _session() -> pl.Expr:
    starts = pl.col("ts").diff().fill_null(SESSION_GAP + 1) > SESSION_GAP
    start = pl.when(starts).then(pl.col("ts")).forward_fill().over("device_id")
    return (start // 1000).cast(pl.String)
