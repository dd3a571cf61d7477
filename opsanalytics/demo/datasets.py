"""Reading a folder of real data (events, and feedback if there is any) to replay it."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

EVENTS_FILE = "events.parquet"
FEEDBACK_FILE = "feedback.csv"
EVENT_COLUMNS = ("user_id", "event", "ts", "properties")
FEEDBACK_COLUMNS = ("id", "created_at")
TEXT_COLUMNS = ("text", "comment")


class DatasetError(ValueError):
    """A folder that cannot be replayed; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Dataset:
    """`events` as `simulator.table.event_table` takes them, `ts` in UTC; `feedback` all as text."""

    events: pl.DataFrame
    feedback: pl.DataFrame | None


def read_dataset(folder: Path) -> Dataset:
    """Read `events.parquet` and, if it is there, `feedback.csv` of a folder.

    Events need the columns `user_id`, `event`, `ts` (time without zone counts as UTC) and
    `properties` (JSON object); others are passed on. Feedback needs `id`, `created_at` (ISO 8601) and
    `text` or `comment`, in UTF-8. Raises DatasetError.
    """
    path = folder / EVENTS_FILE
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; name a folder that has {EVENTS_FILE} in it")
    try:
        events = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"{path}: cannot be read as Parquet: {error}") from error
    _require(path, events, EVENT_COLUMNS)
    ts = events.schema["ts"]
    if not isinstance(ts, pl.Datetime):
        raise DatasetError(f"{path}: column ts is {ts}; store it as a timestamp in UTC")
    if events.is_empty():
        raise DatasetError(f"{path}: holds no events; there is nothing to replay")
    stamp = pl.col("ts").cast(pl.Datetime("us", ts.time_zone))
    in_utc = stamp.dt.convert_time_zone("UTC") if ts.time_zone else stamp.dt.replace_time_zone("UTC")
    return Dataset(
        events=events.with_columns(in_utc, pl.col("user_id", "event", "properties").cast(pl.String)),
        feedback=_read_feedback(folder / FEEDBACK_FILE),
    )


def _read_feedback(path: Path) -> pl.DataFrame | None:
    if not path.exists():
        return None
    try:
        feedback = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error
    _require(path, feedback, FEEDBACK_COLUMNS)
    if not set(TEXT_COLUMNS) & set(feedback.columns):
        raise DatasetError(f"{path}: lacks a column {' or '.join(TEXT_COLUMNS)}; it has {feedback.columns}")
    dated = feedback["created_at"].str.contains(r"^\d{4}-\d{2}-\d{2}").fill_null(value=False)
    if not dated.all():
        row = dated.arg_min() or 0
        value = feedback["created_at"][row]
        raise DatasetError(f"{path}, row {row + 1}: created_at is {value!r}; write it as ISO 8601")
    return feedback


def _require(path: Path, frame: pl.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise DatasetError(f"{path}: lacks column {', '.join(missing)}; it has {frame.columns}")
