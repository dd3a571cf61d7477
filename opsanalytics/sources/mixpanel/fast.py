"""Mixpanel's usual export lines, many at a time.

Knows the shape that nearly all lines have and computes for them exactly what `rows.read_line` does.
Every line that is not surely of this shape (broken, not UTF-8, unusual types, lone surrogates,
huge numbers, deep nesting) is left to the careful reader. The tests compare the two on hostile lines.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from opsanalytics.sources.base import ROWS, ParsedLines
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.mixpanel.rows import DEVICE_PREFIX, LIBRARY_PLATFORMS, from_project_clock
from opsanalytics.sources.values import FIRST_MOMENT, LAST_MOMENT, NO_ID, digest, id_of, lower

Careful: TypeAlias = Callable[[RawLines], ParsedLines]

MANY_BYTES = 64 * 1024
"""Fewer are read by the careful reader alone: faster than loading the compiled one."""

FIRST_SECOND, LAST_SECOND = round(FIRST_MOMENT.timestamp()), round(LAST_MOMENT.timestamp())
LEAST_MILLISECONDS, LAST_MILLISECOND = 100_000_000_000, LAST_SECOND * 1_000

# An id can only stand for nobody if this finds something in it.
DOUBTFUL_ID = "[^!-~]|(?i:" + "|".join(re.escape(word) for word in sorted(NO_ID) if word) + ")"

ENVELOPE = {"event": "event", "properties": "properties"}
TEXTS = {
    "$insert_id": "insert_id",
    "distinct_id": "own_distinct_id",
    "$distinct_id_before_identity": "distinct_id_before",
    "$user_id": "user_id",
    "$device_id": "device_id",
    "$session_id": "session",
    "session_id": "own_session",
    "platform": "platform",
    "$platform": "vendor_platform",
    "mp_lib": "library",
    "$os": "os",
    "$browser": "browser",
    "$app_version_string": "version_name",
    "$app_version": "version",
    "app_version": "own_version",
    "$app_build_number": "build",
    "mp_country_code": "country",
    "$current_url": "page",
    "current_url_path": "path",
    "$screen_name": "screen",
}
"""Member of `properties` -> column that it is read into."""
NUMBERS = {"time": "time", "$mp_api_timestamp_ms": "received", "mp_processing_time_ms": "processed"}
RARE = ("mp_original_event_name", "mp_original_distinct_id", "$distinct_id")
"""A value in one of these makes a line unusual."""
MEMBERS = (*TEXTS, *NUMBERS, *RARE)
COLUMNS = (*ENVELOPE.values(), *TEXTS.values())
ABSENT = 0


def parse_records(source: str, zone: ZoneInfo, records: RawLines, careful: Careful) -> ParsedLines:
    """Rows and rejects of records as landed; `careful` reads the unusual ones."""
    lines, unusual = usual_lines(records)
    rows = to_rows(source, zone, lines)
    if not len(unusual):
        return ParsedLines(rows, [])
    others = placed(careful(records.only(unusual)), unusual.tolist())
    if others.rows.is_empty():
        return ParsedLines(rows, others.rejected)
    return ParsedLines(pl.concat([rows, others.rows]).sort("position"), others.rejected)


@dataclass(frozen=True, eq=False)
class UsualLines:
    """Lines of the known shape, column by column."""

    positions: NDArray[np.int64]
    texts: pl.DataFrame
    """`COLUMNS`; empty text is null."""
    numbers: dict[str, NDArray[np.int64]]
    """By the names of `NUMBERS`; 0 where there is none."""


@dataclass(frozen=True, eq=False)
class Names:
    """The members to look for, as `kernels_lines` wants them."""

    letters: NDArray[np.uint8]
    starts: NDArray[np.int32]
    candidates: NDArray[np.int32]
    roles: NDArray[np.uint8]
    slots: NDArray[np.int32]


def to_names() -> Names:
    from opsanalytics.sources.mixpanel.kernels_lines import NUMBER, TEXT, UNEXPECTED

    # The envelope's come first, for they are asked for by number; inside `properties` they mean nothing.
    names = [name.encode() for name in (*ENVELOPE, *MEMBERS)]
    candidates = np.full((max(map(len, names)) + 1, len(names) + 1), -1, np.int32)
    for number in range(len(ENVELOPE), len(names)):
        row = candidates[len(names[number])]
        row[np.flatnonzero(row < 0)[0]] = number
    slots = [*range(len(COLUMNS)), *range(len(NUMBERS)), *[0] * len(RARE)]
    roles = [TEXT] * len(COLUMNS) + [NUMBER] * len(NUMBERS) + [UNEXPECTED] * len(RARE)
    return Names(
        letters=np.frombuffer(b"".join(names), np.uint8),
        starts=np.cumsum([0, *map(len, names)]).astype(np.int32),
        candidates=candidates,
        roles=np.array(roles, np.uint8),
        slots=np.array(slots, np.int32),
    )


def usual_lines(records: RawLines) -> tuple[UsualLines, NDArray[np.int64]]:
    """The lines that are surely of the known shape, and the positions of the others."""
    from opsanalytics.sources.mixpanel.kernels_lines import read_lines

    count, names = len(records), to_names()
    content = np.frombuffer(records.content, np.uint8)
    kinds = np.zeros((len(COLUMNS), count), np.uint8)
    begins, lengths = np.zeros((2, len(COLUMNS), count), np.int32)
    numbers = np.zeros((len(NUMBERS), count), np.int64)
    usual = np.zeros(count, np.uint8)
    read_lines(
        content, records.begins, records.ends,
        names.letters, names.starts, names.candidates, names.roles, names.slots,
        kinds, begins, lengths, numbers, usual,
    )  # fmt: skip
    time, received, processed = numbers
    sure = (usual == 1) & (((time >= FIRST_SECOND) & (time < LAST_SECOND)) | in_milliseconds(time))
    for stamp in (received, processed):
        sure &= (stamp == ABSENT) | in_milliseconds(stamp)
    if not is_text(records.content):
        sure &= [is_text(record) for record in records]
    positions = np.flatnonzero(sure)
    texts = pl.DataFrame(
        {
            name: text_column(records.content, positions, kinds[slot], begins[slot], lengths[slot])
            for slot, name in enumerate(COLUMNS)
        }
    )
    found = {name: numbers[slot][positions] for slot, name in enumerate(NUMBERS.values())}
    return UsualLines(positions, texts, found), np.flatnonzero(~sure)


def in_milliseconds(stamps: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (stamps >= LEAST_MILLISECONDS) & (stamps < LAST_MILLISECOND)


def text_column(
    content: bytes,
    rows: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    begins: NDArray[np.int32],
    lengths: NDArray[np.int32],
) -> pl.Series:
    """One member of the lines `rows` as text that stays where it is in `content`."""
    from opsanalytics.sources.mixpanel.kernels_lines import ESCAPED, write_views

    views = np.zeros((len(rows), 4), np.int32)
    present = np.zeros(len(rows), np.uint8)
    side = np.zeros(int(lengths[kinds == ESCAPED].sum()), np.uint8)
    write_views(
        np.frombuffer(content, np.uint8), rows, kinds, begins, lengths,
        views, views.view(np.uint8), present, side,
    )  # fmt: skip
    buffers = [np.packbits(present, bitorder="little"), views, content, side]
    array = pa.Array.from_buffers(pa.string_view(), len(rows), [pa.py_buffer(buffer) for buffer in buffers])
    return pl.DataFrame({"text": array}).to_series()


def placed(parsed: ParsedLines, positions: Sequence[int]) -> ParsedLines:
    """What was parsed of some records, at their positions among all."""
    return ParsedLines(
        parsed.rows.with_columns(
            pl.Series(positions, dtype=pl.Int64).gather(parsed.rows["position"]).alias("position")
        ),
        [(positions[position], reason, detail, day) for position, reason, detail, day in parsed.rejected],
    )


def is_text(content: bytes) -> bool:
    """Whether all of it is UTF-8."""
    try:
        pl.Series([content], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True


def to_rows(
    source: str,
    zone: ZoneInfo,
    lines: UsualLines,
) -> pl.DataFrame:
    """Columns of `ROWS`."""
    number = pl.Series(lines.numbers["time"])
    wall = pl.select(
        (pl.when(number >= LEAST_MILLISECONDS).then(number * 1_000).otherwise(number * 1_000_000))
        .cast(pl.Datetime("us"))
        .alias("wall")
    ).to_series()
    frame = lines.texts.with_columns(
        wall,
        to_utc(wall, zone).alias("ts"),
        milliseconds(lines.numbers["received"]).alias("received"),
        milliseconds(lines.numbers["processed"]).alias("processed"),
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


def milliseconds(values: NDArray[np.int64]) -> pl.Series:
    column = pl.Series(values)
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
