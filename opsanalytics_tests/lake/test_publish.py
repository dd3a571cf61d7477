import stat
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from opsanalytics.lake.events import scan_events
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.locks import LockHeldError, exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.lake.publish import PublishError, export, publish
from opsanalytics.lake.schemas import EVENTS, PERSONS
from opsanalytics.lake.tables import Column, SchemaError, Table
from opsanalytics_tests.lake.processes import hear, python, tell
from opsanalytics_tests.samples import (
    MONDAY,
    event,
    feedback,
    frame,
    person,
    write_events,
    write_feedback,
    write_persons,
)

STEPS = Table(
    name="steps",
    description="Steps; it's a test.",
    order=("step",),
    columns=(
        Column("step", pl.Int32, "Number of the step.", True),
        Column("names", pl.List(pl.String), "Names."),
    ),
)


def steps(*numbers: int) -> tuple[Table, pl.DataFrame]:
    return STEPS, pl.DataFrame({"step": numbers, "names": [["a", "b"]] * len(numbers)}, schema=STEPS.schema)


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


def test_an_empty_home_publishes_an_events_view_that_can_be_queried(home: Home) -> None:
    publish(home, [])
    assert query(home.published, "SELECT count(*) FROM events") == [(0,)]


def test_the_events_view_has_the_declared_columns_and_types_without_any_event(home: Home) -> None:
    publish(home, [])
    described = query(home.published, "SELECT column_name, column_type FROM (DESCRIBE events)")
    assert [name for name, _ in described] == ["person", *EVENTS.names, "day"]
    assert ("ts", "TIMESTAMP WITH TIME ZONE") in described


def test_tables_hold_what_was_given_sorted(home: Home) -> None:
    publish(home, [steps(3, 1, 2)])
    assert query(home.published, "SELECT step, names FROM steps") == [(n, ["a", "b"]) for n in (1, 2, 3)]


def test_feedback_and_persons_come_from_the_lake(home: Home) -> None:
    write_feedback(home, [feedback("survey:1"), feedback("survey:2")])
    write_persons(home, [person("user", "ada", "p1")])
    report = publish(home, [])
    assert report.rows == {"feedback": 2, "persons": 1}
    assert query(home.published, "SELECT id, person FROM persons") == [("ada", "p1")]


def test_the_report_counts_rows(home: Home) -> None:
    report = publish(home, [steps(1, 2)])
    assert report.rows["steps"] == 2
    assert report.bytes == home.published.stat().st_size


def test_every_table_and_column_has_a_comment(home: Home) -> None:
    publish(home, [steps(1)])
    uncommented = query(
        home.published,
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL "
        "UNION ALL SELECT table_name, NULL FROM duckdb_tables() WHERE comment IS NULL "
        "UNION ALL SELECT view_name, NULL FROM duckdb_views() WHERE NOT internal AND comment IS NULL",
    )
    assert uncommented == []
    assert query(home.published, "SELECT comment FROM duckdb_tables() WHERE table_name = 'steps'") == [
        ("Steps; it's a test.",)
    ]


def test_the_view_gives_each_event_the_person_that_the_lake_gives_it(home: Home) -> None:
    write_events(
        home,
        [
            event("by user", user_id="ada", device_id="phone"),
            event("by device", user_id=None, device_id="phone"),
            event("by distinct id", user_id=None, distinct_id="anonymous"),
            event("of another source", source="app", user_id="ada"),
            event("by nobody", user_id=None, distinct_id="unknown"),
        ],
    )
    write_persons(
        home,
        [
            person("user", "ada", "p1"),
            person("device", "phone", "p2"),
            person("distinct", "anonymous", "p3"),
            person("user", "ada", "p4", source="app"),
        ],
    )
    publish(home, [])
    with duckdb.connect(str(home.published), read_only=True) as con:
        published = con.sql("SELECT * EXCLUDE (day) FROM events ORDER BY event_id").pl()
    lake = scan_events(home).sort("event_id").collect()
    assert lake["person"].to_list() == ["p2", "p3", None, "p1", "p4"]
    assert_frame_equal(published.cast(dict(lake.schema)), lake)


def test_a_new_event_day_shows_up_without_publishing_again(home: Home) -> None:
    publish(home, [])
    write_events(home, [event("1")])
    assert query(home.published, "SELECT event_id, day FROM events") == [("1", MONDAY)]


def test_a_filter_on_day_reads_the_files_of_that_day_only(home: Home) -> None:
    tuesday = date(2024, 1, 2)
    write_events(home, [event("1")])
    write_events(home, [event("2", tuesday)], tuesday)
    publish(home, [])
    (plan,) = query(home.published, "EXPLAIN ANALYZE SELECT event_id FROM events WHERE day = '2024-01-02'")
    assert "day=2024-01-02" in str(plan[1])
    assert "day=2024-01-01" not in str(plan[1])


def test_a_home_folder_with_glob_and_quote_characters_works(tmp_path: Path) -> None:
    home = Home(tmp_path / "we[i]rd* 'data'")
    write_events(home, [event("1")])
    publish(home, [])
    assert query(home.published, "SELECT event_id FROM events") == [("1",)]


def test_older_clients_can_open_the_file(home: Home) -> None:
    publish(home, [])
    ((tags,),) = query(
        home.published, "SELECT tags FROM duckdb_databases() WHERE NOT internal AND path <> ''"
    )
    assert tags == {"storage_version": "v1.4.0+"}


def test_the_published_file_is_read_only_and_alone(home: Home) -> None:
    publish(home, [])
    publish(home, [])
    assert stat.S_IMODE(home.published.stat().st_mode) == 0o444
    assert sorted(path.name for path in home.root.iterdir()) == ["lake", "locks", "opsanalytics.duckdb"]


def test_equal_content_has_an_equal_hash(home: Home) -> None:
    assert publish(home, [steps(1, 2)]).content_hash == publish(home, [steps(2, 1)]).content_hash


def test_other_content_has_another_hash(home: Home) -> None:
    assert publish(home, [steps(1, 2)]).content_hash != publish(home, [steps(1, 3)]).content_hash


def test_a_wal_left_beside_the_old_file_does_not_brick_the_new_one(home: Home) -> None:
    publish(home, [steps(1)])
    home.published.chmod(0o644)
    careless = """
import duckdb, os, sys
con = duckdb.connect(sys.argv[1])
con.execute("CREATE TABLE mine AS SELECT 1")
print("written", flush=True)
os.kill(os.getpid(), 9)
"""
    with python(careless, str(home.published)) as process:
        assert hear(process) == "written"
        process.wait()
    assert home.published.with_name("opsanalytics.duckdb.wal").exists()
    publish(home, [steps(1, 2)])
    assert query(home.published, "SELECT count(*) FROM steps") == [(2,)]


def test_a_reader_keeps_its_file_while_a_publish_replaces_it(home: Home) -> None:
    analyst = """
import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=True)
cursor = con.execute("SELECT a.step FROM steps a, range(100000) ORDER BY a.step")
print(cursor.fetchone()[0], flush=True)
sys.stdin.readline()
rest = cursor.fetchall()
print(len(rest) + 1, con.execute("SELECT max(step) FROM steps").fetchone()[0], flush=True)
"""
    publish(home, [steps(1, 2)])
    with python(analyst, str(home.published)) as process:
        assert hear(process) == "1"
        publish(home, [steps(1, 2, 3)])
        assert query(home.published, "SELECT max(step) FROM steps") == [(3,)]
        tell(process)
        assert hear(process) == "200000 2"


KILLED_WHEN_BUILT = """
import os, sys
from pathlib import Path
import opsanalytics.lake.publish as module
from opsanalytics.lake.paths import Home
module._verify = lambda path, rows: os.kill(os.getpid(), 9)
module.publish(Home(Path(sys.argv[1])), [])
"""


def test_a_killed_publish_leaves_the_old_file_and_the_next_one_cleans_up(home: Home) -> None:
    publish(home, [steps(1)])
    with python(KILLED_WHEN_BUILT, str(home.root)) as process:
        assert process.wait() == -9
    assert len(list(home.root.glob(".opsanalytics.duckdb.*.tmp/opsanalytics.duckdb"))) == 1
    assert query(home.published, "SELECT step FROM steps") == [(1,)]
    publish(home, [steps(2)], wait_seconds=5)
    assert query(home.published, "SELECT step FROM steps") == [(2,)]
    assert list(home.root.glob(".opsanalytics.duckdb.*")) == []


def test_two_publishes_do_not_run_at_once(home: Home) -> None:
    with exclusive(home, "publish"), pytest.raises(LockHeldError, match="pid"):
        publish(home, [], wait_seconds=0.05)


def test_a_frame_that_does_not_fit_its_table_leaves_the_old_file(home: Home) -> None:
    publish(home, [steps(1)])
    with pytest.raises(SchemaError, match="steps"):
        publish(home, [(STEPS, pl.DataFrame({"step": [9]}))])
    assert query(home.published, "SELECT step FROM steps") == [(1,)]


@pytest.mark.parametrize("name", ["steps", "events"])
def test_a_repeated_or_reserved_name_is_refused(home: Home, name: str) -> None:
    again = Table(name, STEPS.description, STEPS.columns, STEPS.order)
    with pytest.raises(PublishError, match=name):
        publish(home, [steps(1), (again, steps(1)[1])])


def test_an_id_of_two_persons_is_refused_since_it_would_repeat_events(home: Home) -> None:
    write_parquet(
        home.identity / "persons.parquet",
        frame(PERSONS, [person("user", "ada", "p1"), person("user", "ada", "p2")]),
    )
    with pytest.raises(PublishError, match=r"'ada'.*more than one person"):
        publish(home, [])


def test_an_export_needs_no_lake(home: Home, tmp_path: Path) -> None:
    write_events(home, [event("1"), event("2")])
    write_persons(home, [person("user", "ada", "p1")])
    publish(home, [steps(1)])
    copy = export(home, tmp_path / "copy.duckdb")
    home.events_file("web", MONDAY).unlink()
    assert query(copy, "SELECT event_id, person, day FROM events") == [
        ("1", "p1", MONDAY),
        ("2", "p1", MONDAY),
    ]
    assert query(copy, "SELECT step FROM steps") == [(1,)]


def test_an_export_keeps_all_comments(home: Home, tmp_path: Path) -> None:
    publish(home, [steps(1)])
    copy = export(home, tmp_path / "copy.duckdb")
    comments = "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
    assert query(copy, comments) == query(home.published, comments)


def test_an_export_works_while_the_file_is_open_in_the_same_process(home: Home, tmp_path: Path) -> None:
    publish(home, [steps(1)])
    with duckdb.connect(str(home.published), read_only=True) as con:
        export(home, tmp_path / "copy.duckdb")
        assert con.execute("SELECT step FROM steps").fetchall() == [(1,)]


def test_an_export_before_the_first_publish_says_what_to_do(home: Home, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the pipeline first"):
        export(home, tmp_path / "copy.duckdb")


def test_an_export_onto_the_published_file_is_refused(home: Home) -> None:
    publish(home, [])
    with pytest.raises(PublishError, match="choose another name"):
        export(home, home.published)
