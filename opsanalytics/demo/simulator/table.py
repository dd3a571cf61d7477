"""The event table that the simulator serves: checked, completed, with stable ids for every row."""

import hashlib
from collections.abc import Iterable

import duckdb
import numpy as np
import polars as pl

REQUIRED = ("user_id", "event", "ts", "properties")
OPTIONAL = ("device_id", "platform", "os", "browser", "app_version", "country", "url", "session_id")


class EventTableError(ValueError):
    """An event table that cannot be served; the message names the column and what to change."""


def event_table(frame: pl.DataFrame, *, taken_keys: Iterable[str] = ()) -> pl.DataFrame:
    """Check an event table and complete it.

    In: `user_id` (null while anonymous), `event`, `ts` (UTC, with zone or naive), `properties` (JSON
    object as text, null for none); optional columns as in `OPTIONAL`. `taken_keys` are property
    names the vendor uses itself.
    Out: the same rows in the same order, all columns present as strings, `ts` with zone; a row
    without device gets one derived from its user; `token` (32 hex digits) identifies the row by its
    content, and `draw_0` to `draw_2` are numbers from [0, 1) derived from it.
    Raises EventTableError.
    """
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise EventTableError(f"event table lacks column {', '.join(missing)}; it has {frame.columns}")
    if not isinstance(frame.schema["ts"], pl.Datetime):
        raise EventTableError(f"column ts is {frame.schema['ts']}; make it Datetime, UTC")
    stamps = pl.col("ts").cast(pl.Datetime("us", frame.schema["ts"].time_zone))
    in_utc = (
        stamps.dt.convert_time_zone("UTC")
        if frame.schema["ts"].time_zone
        else stamps.dt.replace_time_zone("UTC")
    )
    texts = [
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(pl.String).alias(name)
        for name in ("user_id", "event", *OPTIONAL)
    ]
    table = frame.select(
        *texts,
        in_utc.alias("ts"),
        pl.col("properties")
        .cast(pl.String)
        .fill_null("{}")
        .str.replace_all(r"[\r\n]", " ")
        .str.strip_chars(),
    )
    for name in ("event", "ts"):
        if table[name].null_count():
            raise EventTableError(
                f"column {name} has {table[name].null_count()} nulls; every event needs one"
            )
    nobody = table.filter(pl.col("user_id").is_null() & pl.col("device_id").is_null()).height
    if nobody:
        raise EventTableError(f"{nobody} rows have neither user_id nor device_id; give them one")
    _check_properties(table, set(taken_keys))
    return _with_tokens(_with_devices(table))


def _check_properties(table: pl.DataFrame, taken: set[str]) -> None:
    with duckdb.connect() as con:
        con.register("served", table.select("properties"))
        odd = con.sql(
            "SELECT properties FROM served"
            " WHERE NOT json_valid(properties) OR json_type(properties) <> 'OBJECT' LIMIT 1"
        ).pl()
        if odd.height:
            text = odd.item()[:80]
            raise EventTableError(f"column properties holds {text!r}; every value must be a JSON object")
        keys = con.sql("SELECT DISTINCT unnest(json_keys(properties)) AS key FROM served").pl()
    clashes = sorted(taken & set(keys["key"]))
    if clashes:
        raise EventTableError(f"properties use names the vendor writes itself: {clashes}; rename them")


def _with_devices(table: pl.DataFrame) -> pl.DataFrame:
    users = table.filter(pl.col("device_id").is_null())["user_id"].unique().to_list()
    if not users:
        return table
    derived = {
        user: hashlib.blake2b(user.encode(), digest_size=12, person=b"device").hexdigest() for user in users
    }
    own = pl.col("user_id").replace_strict(derived, default=None, return_dtype=pl.String)
    return table.with_columns(pl.coalesce("device_id", own).alias("device_id"))


def _with_tokens(table: pl.DataFrame) -> pl.DataFrame:
    # Equal rows are different events: they are told apart by their number among their equals.
    content = ["user_id", "device_id", "event", "ts", "properties"]
    number = pl.int_range(pl.len()).over(content)
    parts = [pl.col(name).fill_null("") for name in content if name != "ts"]
    keys = table.select(pl.concat_str([*parts, pl.col("ts").to_physical(), number], separator="\x1f"))
    digests = [hashlib.blake2b(key.encode(), digest_size=40).digest() for key in keys.to_series()]
    words = np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 5)
    return table.with_columns(
        pl.Series("token", [digest[:16].hex() for digest in digests], dtype=pl.String),
        *(pl.Series(f"draw_{k}", words[:, 2 + k] / 2.0**64, dtype=pl.Float64) for k in range(3)),
    )
