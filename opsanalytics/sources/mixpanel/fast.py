"""Mixpanel's usual export lines, many at a time.

Knows the shapes that nearly all lines have and computes for them exactly what `rows.read_line` does.
Every line that is not surely of these shapes (broken, not UTF-8, unusual types, lone surrogates,
huge numbers, deep nesting) is left to the careful reader. The tests compare the two on hostile lines.
"""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from opsanalytics.sources.base import ROWS, ParsedLines
from opsanalytics.sources.mixpanel.rows import DEVICE_PREFIX, LIBRARY_PLATFORMS, from_project_clock
from opsanalytics.sources.values import FIRST_MOMENT, LAST_MOMENT, NO_ID, digest, id_of, lower

Careful: TypeAlias = Callable[[Sequence[bytes]], ParsedLines]

SURE_BYTES = 1_500
"""Shorter lines can neither nest too deep for Python's JSON reader nor hold a number too long for it."""
SURE_BRACKETS = 300
LONG_NUMBER = re.compile(rb"[0-9]{4000}")

FIRST_SECOND, LAST_SECOND = round(FIRST_MOMENT.timestamp()), round(LAST_MOMENT.timestamp())
LEAST_MILLISECONDS, LAST_MILLISECOND = 100_000_000_000, LAST_SECOND * 1_000

Scalar: TypeAlias = str | int | None
Milliseconds = Annotated[int, msgspec.Meta(ge=LEAST_MILLISECONDS, lt=LAST_MILLISECOND)]
ABSENT = 0

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# An id can only stand for nobody if this finds something in it.
DOUBTFUL_ID = "[^!-~]|(?i:" + "|".join(re.escape(word) for word in sorted(NO_ID) if word) + ")"


class ExportLine(msgspec.Struct, gc=False):
    """One line; `properties` stays the bytes it is."""

    event: Annotated[str, msgspec.Meta(min_length=1)]
    properties: msgspec.Raw


def named(name: str) -> Any:
    """A member whose name is no Python name; null and absent are the same."""
    return msgspec.field(name=name, default=None)


class Known(msgspec.Struct, gc=False):
    """The members that columns are read from. Types it does not list make a line unusual."""

    time: Annotated[int, msgspec.Meta(ge=FIRST_SECOND, lt=LAST_MILLISECOND)]
    insert_id: Scalar = named("$insert_id")
    distinct_id: Scalar = None
    distinct_id_before: Scalar = named("$distinct_id_before_identity")
    user_id: Scalar = named("$user_id")
    device_id: Scalar = named("$device_id")
    received: Milliseconds = msgspec.field(name="$mp_api_timestamp_ms", default=ABSENT)
    processed: Milliseconds = msgspec.field(name="mp_processing_time_ms", default=ABSENT)
    session: Scalar = named("$session_id")
    own_session: Scalar = named("session_id")
    platform: Scalar = None
    vendor_platform: Scalar = named("$platform")
    library: Scalar = named("mp_lib")
    os: Scalar = named("$os")
    browser: Scalar = named("$browser")
    version_name: Scalar = named("$app_version_string")
    version: Scalar = named("$app_version")
    own_version: Scalar = named("app_version")
    build: Scalar = named("$app_build_number")
    country: Scalar = named("mp_country_code")
    page: Scalar = named("$current_url")
    path: Scalar = named("current_url_path")
    screen: Scalar = named("$screen_name")
    # Rare: a value in one of these makes a line unusual.
    original_event: None = named("mp_original_event_name")
    original_id: None = named("mp_original_distinct_id")
    vendor_id: None = named("$distinct_id")


read_export_line = msgspec.json.Decoder(ExportLine).decode
read_known = msgspec.json.Decoder(Known).decode


def parse_records(source: str, zone: ZoneInfo, records: Sequence[bytes], careful: Careful) -> ParsedLines:
    """Rows and rejects of records as landed; `careful` reads the unusual ones."""
    lines, unusual = usual_lines(records)
    rows = to_rows(source, zone, lines)
    if not unusual:
        return ParsedLines(rows, [])
    others = placed(careful([records[position] for position in unusual]), unusual)
    if others.rows.is_empty():
        return ParsedLines(rows, others.rejected)
    return ParsedLines(pl.concat([rows, others.rows]).sort("position"), others.rejected)


class UsualLines(NamedTuple):
    """Lines of known shapes, column by column."""

    positions: Sequence[int]
    export: list[ExportLine]
    known: list[Known]


def usual_lines(records: Sequence[bytes]) -> tuple[UsualLines, list[int]]:
    """The lines that are surely of known shapes, and the positions of the others."""
    try:
        export = [read_export_line(record) for record in records]
        known = [read_known(line.properties) for line in export]
    except UNREADABLE:
        return usual_among(records)
    times = np.array([line.time for line in known], dtype=np.int64)
    sure = (
        are_text(records) and bool(np.all(in_range(times))) and max(map(len, records), default=0) < SURE_BYTES
    )
    return (UsualLines(range(len(records)), export, known), []) if sure else usual_among(records)


def usual_among(records: Sequence[bytes]) -> tuple[UsualLines, list[int]]:
    """As `usual_lines`, one line after the other."""
    all_text = are_text(records)
    lines = UsualLines([], [], [])
    positions: list[int] = []
    unusual: list[int] = []
    for position, record in enumerate(records):
        try:
            line = read_export_line(record)
            known = read_known(line.properties)
        except UNREADABLE:
            unusual.append(position)
            continue
        if (
            in_range(known.time)
            and (len(record) < SURE_BYTES or surely_bounded(record))
            and (all_text or record.isascii() or is_text(record))
        ):
            positions.append(position)
            lines.export.append(line)
            lines.known.append(known)
        else:
            unusual.append(position)
    return lines._replace(positions=positions), unusual


def in_range(time: Any) -> Any:
    """Whether a time is seconds before 2200 or milliseconds; of a number or an array."""
    return (time >= LEAST_MILLISECONDS) | (time < LAST_SECOND)


def placed(parsed: ParsedLines, positions: Sequence[int]) -> ParsedLines:
    """What was parsed of some records, at their positions among all."""
    return ParsedLines(
        parsed.rows.with_columns(
            pl.Series(positions, dtype=pl.Int64).gather(parsed.rows["position"]).alias("position")
        ),
        [(positions[position], reason, detail, day) for position, reason, detail, day in parsed.rejected],
    )


def are_text(records: Sequence[bytes]) -> bool:
    """Whether all of it is UTF-8; members that are skipped are not checked otherwise."""
    try:
        pl.Series([b"\n".join(records)], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True


def is_text(record: bytes) -> bool:
    """As `are_text`, for one record."""
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True


def surely_bounded(record: bytes) -> bool:
    """Whether Python's JSON reader, which bounds depth and digits, would read it too."""
    return record.count(b"[") + record.count(b"{") < SURE_BRACKETS and (
        len(record) < 2 * SURE_BYTES or LONG_NUMBER.search(record) is None
    )


def to_rows(
    source: str,
    zone: ZoneInfo,
    lines: UsualLines,
) -> pl.DataFrame:
    """Columns of `ROWS`."""
    found = lines.known
    number = pl.Series([known.time for known in found], dtype=pl.Int64)
    wall = pl.select(
        (pl.when(number >= LEAST_MILLISECONDS).then(number * 1_000).otherwise(number * 1_000_000))
        .cast(pl.Datetime("us"))
        .alias("wall")
    ).to_series()
    properties = joined_text([line.properties for line in lines.export])
    frame = pl.DataFrame(
        {
            "event": pl.Series([line.event for line in lines.export], dtype=pl.String),
            "wall": wall,
            "ts": to_utc(wall, zone),
            "received": milliseconds([known.received for known in found]),
            "processed": milliseconds([known.processed for known in found]),
            "insert_id": text([known.insert_id for known in found]),
            "own_distinct_id": text([known.distinct_id for known in found]),
            "distinct_id_before": text([known.distinct_id_before for known in found]),
            "user_id": text([known.user_id for known in found]),
            "device_id": text([known.device_id for known in found]),
            "session": text([known.session for known in found]),
            "own_session": text([known.own_session for known in found]),
            "platform": text([known.platform for known in found]),
            "vendor_platform": text([known.vendor_platform for known in found]),
            "library": text([known.library for known in found]),
            "os": text([known.os for known in found]),
            "browser": text([known.browser for known in found]),
            "version_name": text([known.version_name for known in found]),
            "version": text([known.version for known in found]),
            "own_version": text([known.own_version for known in found]),
            "build": text([known.build for known in found]),
            "country": text([known.country for known in found]),
            "page": text([known.page for known in found]),
            "path": text([known.path for known in found]),
            "screen": text([known.screen for known in found]),
            "properties": properties,
        }
    ).with_columns(pl.coalesce("distinct_id_before", "own_distinct_id").alias("distinct_id"))
    device = pl.col("distinct_id").str.strip_prefix(DEVICE_PREFIX)
    behind_prefix = frame.select(
        pl.when(pl.col("distinct_id").str.starts_with(DEVICE_PREFIX)).then(device)
    ).to_series()
    return frame.select(
        pl.Series("position", lines.positions, dtype=pl.Int64),
        event_ids(source, frame),
        pl.col("event").alias("source_event"),
        "ts",
        pl.coalesce("received", "processed").alias("received_at"),
        ids(frame["distinct_id"]).alias("distinct_id"),
        ids(frame["user_id"]).alias("user_id"),
        pl.coalesce(ids(frame["device_id"]), ids(behind_prefix)).alias("device_id"),
        pl.coalesce("session", "own_session").alias("session_id"),
        pl.coalesce(
            lowered(frame.select(pl.coalesce("platform", "vendor_platform")).to_series(), {}),
            lowered(frame["library"], LIBRARY_PLATFORMS),
        ).alias("platform"),
        "os",
        "browser",
        pl.coalesce("version_name", "version", "own_version", "build").alias("app_version"),
        "country",
        pl.coalesce("page", "path", "screen").alias("url"),
        "properties",
        pl.col("wall").dt.date().alias("vendor_day"),
        pl.lit(None, dtype=pl.String).alias("second_key"),
        pl.col("processed").dt.epoch("ms").fill_null(0).alias("preference"),
    ).select(pl.col(name).cast(dtype) for name, dtype in ROWS.items())


def text(values: list[Scalar]) -> pl.Series:
    """As `text_of`: numbers in full, empty text as null."""
    try:
        column = pl.Series(values, dtype=pl.String)
    except (TypeError, OverflowError):  # numbers among them
        column = pl.Series(
            [str(value) if isinstance(value, int) else value for value in values], dtype=pl.String
        )
    return column.replace("", None) if (column == "").any() else column


def joined_text(texts: Sequence[msgspec.Raw]) -> pl.Series:
    """UTF-8 bytes as one text column, without an object for each."""
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))]
    return pl.Series(pa.Array.from_buffers(pa.large_string(), len(texts), buffers))


def milliseconds(values: list[int]) -> pl.Series:
    column = pl.Series(values, dtype=pl.Int64)
    return pl.select(
        pl.when(column != ABSENT).then(column * 1_000).cast(pl.Datetime("us", "UTC"))
    ).to_series()


def to_utc(wall: pl.Series, zone: ZoneInfo) -> pl.Series:
    """As `from_project_clock`, by the minute, and one by one in minutes in which the clock jumps."""
    utc = wall.dt.replace_time_zone("UTC")
    if zone.key == "UTC":
        return utc
    minute = utc.dt.truncate("1m")
    shifts: list[timedelta | None] = []
    minutes = minute.unique()
    for first in minutes.to_list():
        last = first + timedelta(seconds=59, microseconds=999_999)
        shift = from_project_clock(first, zone) - first
        shifts.append(shift if from_project_clock(last, zone) - last == shift else None)
    shift_of = pl.DataFrame({"minute": minutes, "shift": pl.Series(shifts, dtype=pl.Duration("us"))})
    shifted = (
        pl.DataFrame({"utc": utc, "minute": minute})
        .join(shift_of, on="minute", how="left", maintain_order="left")
        .select(pl.col("utc") + pl.col("shift"))
        .to_series()
    )
    if shifted.null_count():
        single = [
            from_project_clock(moment, zone) if known is None else known
            for moment, known in zip(utc.to_list(), shifted.to_list(), strict=True)
        ]
        return pl.Series(single, dtype=pl.Datetime("us", "UTC"))
    return shifted


def ids(column: pl.Series) -> pl.Series:
    """As `id_of`; only what may be a word for nobody is looked at one by one."""
    doubtful = column.str.contains(DOUBTFUL_ID).fill_null(value=False)
    if not doubtful.any():
        return column
    nobody = [value for value in column.filter(doubtful).unique().to_list() if id_of(value) is None]
    return column.replace(nobody, None) if nobody else column


def lowered(column: pl.Series, names: dict[str, str]) -> pl.Series:
    """In lower case (as Python does it), then renamed."""
    values = column.unique().drop_nulls().to_list()
    lows = [lower(value) or "" for value in values]
    return column.replace(values, [names.get(low, low) for low in lows])


def event_ids(source: str, frame: pl.DataFrame) -> pl.Series:
    """As `rows.read_line` derives them."""
    start = f"{len(source)}:{source}"
    wall = pl.col("wall")
    moment = (
        pl.when(wall.dt.microsecond() == 0)
        .then(wall.dt.strftime("25:%Y-%m-%dT%H:%M:%S+00:00"))
        .otherwise(wall.dt.strftime("32:%Y-%m-%dT%H:%M:%S%.6f+00:00"))
    )
    distinct_id = pl.col("distinct_id").fill_null("")
    keys = frame.select(
        pl.concat_str(
            pl.lit(start),
            *counted(pl.col("event")),
            *counted(distinct_id),
            moment,
            *counted(pl.col("insert_id")),
        ).cast(pl.Binary)
    ).to_series()
    digests = [sha256(key).digest() if key is not None else b"" for key in keys.to_list()]
    if not keys.null_count():
        return pl.Series("event_id", hexadecimal(digests))
    return pl.Series(
        "event_id",
        [
            known.hex()[:32] if known else digest(source, "content", event, properties)
            for known, event, properties in zip(
                digests, frame["event"].to_list(), frame["properties"].to_list(), strict=True
            )
        ],
    )


def hexadecimal(digests: Sequence[bytes]) -> pl.Series:
    """The first 16 bytes of each SHA-256 as 32 digits."""
    halves = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)[:, :16]
    offsets = np.arange(0, 32 * len(digests) + 1, 32, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(halves.tobytes().hex().encode())]
    return pl.Series(pa.Array.from_buffers(pa.large_string(), len(digests), buffers))


def counted(part: pl.Expr) -> tuple[pl.Expr, ...]:
    return part.str.len_chars().cast(pl.String), pl.lit(":"), part
