"""Real data sets: reading them, clear errors, and every event served exactly once."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.demo.datasets import DatasetError, read_dataset
from opsanalytics.demo.simulator import AmplitudeProject, MixpanelProject, VendorSimulator
from opsanalytics_tests.conftest import real
from opsanalytics_tests.simulators.clients import amplitude_get, json_lines, mixpanel_get, zip_members

ROOT = Path(__file__).parents[2]
EVENTS = pl.DataFrame(
    {
        "user_id": ["a", "b"],
        "event": ["x", "y"],
        "ts": [datetime(2020, 1, 1), datetime(2020, 1, 2, 3, 4, 5)],  # noqa: DTZ001 - naive is UTC here
        "properties": ["{}", '{"k": 1}'],
    }
)
FEEDBACK = pl.DataFrame({"id": ["1"], "created_at": ["2020-01-01T00:00:00"], "text": ["good"]})


def write(folder: Path, events: pl.DataFrame = EVENTS, feedback: pl.DataFrame | None = None) -> Path:
    events.write_parquet(folder / "events.parquet")
    if feedback is not None:
        feedback.write_csv(folder / "feedback.csv")
    return folder


def test_times_without_zone_are_utc(tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path, feedback=FEEDBACK))
    assert dataset.events["ts"].to_list() == [stamp.replace(tzinfo=UTC) for stamp in EVENTS["ts"]]
    assert dataset.feedback is not None
    assert dataset.feedback.equals(FEEDBACK)


def test_feedback_is_optional(tmp_path: Path) -> None:
    assert read_dataset(write(tmp_path)).feedback is None


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        (EVENTS.drop("event", "ts"), "events.parquet: lacks column event, ts"),
        (EVENTS.with_columns(pl.lit("2020").alias("ts")), "column ts is String"),
        (EVENTS.clear(), "holds no events"),
    ],
)
def test_events_that_cannot_be_used_are_named(tmp_path: Path, events: pl.DataFrame, complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        read_dataset(write(tmp_path, events))


@pytest.mark.parametrize(
    ("feedback", "complaint"),
    [
        (FEEDBACK.drop("id"), "feedback.csv: lacks column id"),
        (FEEDBACK.drop("text"), "lacks a column text or comment"),
        (pl.concat([FEEDBACK, FEEDBACK.with_columns(created_at=pl.lit("1.2.2020"))]), "row 2: created_at"),
    ],
)
def test_feedback_that_cannot_be_used_is_named(
    tmp_path: Path, feedback: pl.DataFrame, complaint: str
) -> None:
    with pytest.raises(DatasetError, match=complaint):
        read_dataset(write(tmp_path, feedback=feedback))


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"events\.parquet: no such file"):
        read_dataset(tmp_path)
    (tmp_path / "events.parquet").write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="cannot be read as Parquet"):
        read_dataset(tmp_path)
    write(tmp_path)
    (tmp_path / "feedback.csv").write_bytes("id,created_at,text\n1,2020-01-01,schön\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="cannot be read as CSV in UTF-8"):
        read_dataset(tmp_path)


def test_mixpanel_serves_a_real_product_exactly_once() -> None:
    events = read_dataset(real("stackexchange_history_meta")).events
    project = MixpanelProject(events, limits=(), duplicate_share=0.0)
    served: list[tuple[str, str, int]] = []
    day = date(2011, 1, 1)
    with VendorSimulator(project) as simulator:
        while day < date(2024, 1, 1):
            following = day + timedelta(days=97)
            rows = json_lines(mixpanel_get(simulator, project, day, following - timedelta(days=1)).content)
            served += [(r["properties"]["distinct_id"], r["event"], r["properties"]["time"]) for r in rows]
            day = following
    expected = events.select("user_id", "event", pl.col("ts").dt.timestamp("ms")).rows()
    assert sorted(served) == sorted(expected)


def test_amplitude_serves_a_real_product_exactly_once() -> None:
    events = read_dataset(real("stackexchange_history_meta")).events
    project = AmplitudeProject(events)
    served: list[tuple[str, str, str]] = []
    identities: set[str] = set()
    hour = datetime(2011, 1, 1, tzinfo=UTC)
    with VendorSimulator(project) as simulator:
        while hour < datetime(2024, 1, 1, tzinfo=UTC):
            following = hour + timedelta(hours=8001)
            answer = amplitude_get(simulator, project, hour, following - timedelta(hours=1))
            for row in [row for rows in zip_members(answer.content).values() for row in rows]:
                served.append((row["user_id"], row["event_type"], row["event_time"]))
                identities.add(row["uuid"])
            hour = following
    times = pl.col("ts").dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    assert sorted(served) == sorted(events.select("user_id", "event", times).rows())
    assert len(identities) == events.height


def test_feedback_of_a_real_product_is_read() -> None:
    feedback = read_dataset(real("stackexchange_history_meta")).feedback
    assert feedback is not None
    assert feedback.height == 730
    assert feedback["text"].null_count() == 0
