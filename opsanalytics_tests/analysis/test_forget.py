"""A forgotten person is in no file any more, everybody else is as before, and nobody brings them back."""

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from opsanalytics.analysis import forget as steps
from opsanalytics.analysis.forget import (
    AmbiguousPersonError,
    Erased,
    UnknownPersonError,
    forget,
    plan,
    resume,
    was_forgotten,
)
from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.improvement.tables import PAIN_POINT_PERSONS
from opsanalytics.lake.erasures import read_audit, read_tombstones, read_unfinished
from opsanalytics.lake.events import read_persons, scan_events, scan_raw_events
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.locks import LockHeldError
from opsanalytics.lake.manifests import deliveries
from opsanalytics_tests.analysis.conftest import (
    ADDRESS,
    ANN,
    BOB,
    KEY,
    LAPTOP,
    PHONE,
    SHARED,
    World,
    app_lines,
    configured,
    survey_lines,
    web_lines,
)
from opsanalytics_tests.lake.processes import hear, python, tell
from opsanalytics_tests.sources.support import tree

AT = datetime(2026, 4, 1, tzinfo=UTC)
HERS = (ANN, PHONE, "tablet-of-ann", "900100200", ADDRESS, ADDRESS.upper(), "Ann@Example.org")


def erase(world: World, who: str = ANN, environ: dict[str, str] | None = None) -> Erased:
    return forget(world.settings, plan(world.settings, who, environ or {}), environ or {}, at=AT)


def content(path: Path) -> Iterator[bytes]:
    """All that a file says, unpacked."""
    if path.suffix == ".parquet":
        yield str(pl.read_parquet(path, glob=False).rows()).encode()
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as con:
            for (name,) in con.execute("SELECT table_name FROM information_schema.tables").fetchall():
                yield str(con.execute(f'FROM "{name}"').fetchall()).encode()
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            yield from (gzip.decompress(archive.read(name)) for name in archive.namelist())
    elif path.suffix == ".gz":
        yield gzip.decompress(path.read_bytes())
    yield path.read_bytes()


def naming(world: World, *texts: str) -> list[str]:
    """Files of the home folder that hold one of the texts."""
    return sorted(
        str(path.relative_to(world.home.root))
        for path in world.home.root.rglob("*")
        if path.is_file() and any(text.encode() in said for said in content(path) for text in texts)
    )


def landed(world: World, source: str) -> list[bytes]:
    """Lines of the landed files of a source."""
    return [
        line
        for path in sorted((world.home.landing / source).rglob("events-*"))
        for line in next(content(path)).splitlines(keepends=True)
    ]


def events(world: World) -> list[tuple[Any, ...]]:
    columns = ("source", "event", "ts", "user_id", "device_id", "distinct_id")
    return sorted(scan_raw_events(world.home).select(columns).collect().iter_rows(), key=str)


def test_no_file_names_a_forgotten_person(world: World) -> None:
    world.publish()
    assert "opsanalytics.duckdb" in naming(world, *HERS)
    done = erase(world)
    assert done.left == ()
    assert world.home.published.exists()
    assert naming(world, *HERS) == []


@pytest.mark.parametrize("identifier", [ANN, PHONE, "tablet-of-ann", ADDRESS])
def test_any_id_finds_the_same_person(world: World, identifier: str) -> None:
    erase(world, identifier)
    assert naming(world, *HERS) == []


def test_the_others_are_as_before(world: World) -> None:
    before = [row for row in events(world) if row[3] == BOB]
    erase(world)
    assert events(world) == before
    assert pl.read_parquet(world.home.feedback_file("survey"))["user_id"].to_list() == [BOB]


def test_lines_of_others_keep_their_bytes(world: World) -> None:
    before = [line for line in landed(world, "web") if ANN.encode() not in line and b"device-" in line]
    kept = [line for line in before if BOB.encode() in line]
    erase(world)
    left = landed(world, "web")
    assert [line for line in left if b"invited_by" not in line and b"nobody" not in line] == kept
    assert kept


def test_a_mention_in_a_record_of_somebody_else_is_blanked(world: World) -> None:
    erase(world)
    (line,) = [json.loads(line) for line in landed(world, "web") if b"invited_by" in line]
    assert line["properties"]["invited_by"] is None
    assert line["properties"]["page"] == "/people/[erased]/edit"


def test_what_is_anonymous_on_a_shared_device_goes_and_the_other_user_stays(world: World) -> None:
    assert plan(world.settings, ANN, {}).shared == (("web", SHARED),)
    erase(world)
    rows = scan_events(world.home).filter(pl.col("device_id") == SHARED).collect()
    assert rows["person"].to_list() == [BOB]


def test_a_record_that_cannot_be_read_goes_if_it_names_the_person(world: World) -> None:
    erase(world)
    records = pl.concat(pl.read_parquet(path) for path in world.home.quarantine("web").glob("*.parquet"))
    assert records["raw"].to_list() == [b'{"event": 1, "properties": {"distinct_id": "nobody"}}']


def test_rows_of_a_table_keep_their_bytes(world: World) -> None:
    erase(world)
    (path,) = (world.home.landing / "survey").rglob("feedback-*.csv")
    lines = survey_lines().split(b"\r\n")
    kept = b"\r\n".join([lines[0], lines[2], lines[3].replace(ANN.encode(), b"[erased]"), lines[5], b""])
    assert path.read_bytes() == kept


def test_the_inbox_loses_the_person_too(world: World) -> None:
    erase(world)
    (path,) = (world.home.landing / "survey").rglob("feedback-*.csv")
    assert world.home.inbox("survey").joinpath("dump.csv").read_bytes() == path.read_bytes()


def test_an_archive_keeps_the_members_that_lose_nothing(world: World, tmp_path: Path) -> None:
    (path,) = (world.home.landing / "app").rglob("events-*.zip")
    other = gzip.compress(app_lines()[2] + b"\n", mtime=7)
    archive = io.BytesIO()
    with zipfile.ZipFile(path) as was, zipfile.ZipFile(archive, "w") as members:
        for name in was.namelist():
            members.writestr(name, was.read(name))
        members.writestr("1/1_2026-03-02_14#0.json.gz", other)
        members.writestr("1/_complete", b"")
    path.write_bytes(archive.getvalue())
    erase(world)
    (path,) = (world.home.landing / "app").rglob("events-*.zip")
    with zipfile.ZipFile(path) as left:
        assert left.read("1/1_2026-03-02_14#0.json.gz") == other
        assert left.namelist()[-1] == "1/_complete"


def test_the_books_balance_and_manifests_say_what_was_taken(world: World) -> None:
    done = erase(world)
    assert world.balances()
    notes = [note for each in deliveries(world.home, "web") for note in each.erasures]
    assert [(note.audit, note.at, note.records, note.mentions) for note in notes] == [
        (done.entry.audit, AT, 5, 1)
    ]


def test_manifests_describe_the_files_as_they_are(world: World) -> None:
    erase(world)
    before = tree(world.home.landing)
    for manifest in deliveries(world.home, "web"):
        path = world.home.delivery("web", manifest.delivery) / manifest.files[0].name
        assert manifest.files[0].bytes == path.stat().st_size
        assert manifest.sha256[:12] in path.name
    world.refresh()
    assert tree(world.home.landing) == before


def test_fetched_again_the_person_does_not_come_back(world: World) -> None:
    erase(world)
    lake, landing = tree(world.home.events), tree(world.home.landing / "web")
    world.land_web()
    world.refresh()
    assert naming(world, *HERS) == []
    assert tree(world.home.events) == lake
    assert tree(world.home.landing / "web").keys() == landing.keys()
    assert world.balances()


@pytest.mark.parametrize("name", ["dump.csv", "another.csv"])
def test_delivered_again_the_person_does_not_come_back(world: World, name: str) -> None:
    erase(world)
    world.deliver(name)
    world.refresh()
    assert naming(world, *HERS) == []
    assert world.balances()
    after = tree(world.home.landing / "survey")
    world.refresh()
    assert tree(world.home.landing / "survey") == after


def test_what_was_made_of_the_lake_loses_the_person(world: World) -> None:
    row = {"item_id": "i", "person": ANN, "reached_ts": AT, "first_ts": AT, "passed": False}
    columns = {each.name: [row.get(each.name), row.get(each.name)] for each in PAIN_POINT_PERSONS.columns}
    affected = pl.DataFrame(columns | {"person": [ANN, BOB]}, schema=PAIN_POINT_PERSONS.schema)
    write_parquet(world.home.marts / "pain_point_persons.parquet", affected)
    page = world.home.reports / "weekly" / "2026-03-02" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f"<p>for example {ANN}</p>")
    world.home.index.mkdir(parents=True)
    (world.home.index / "persons.arrow").write_bytes(ANN.encode())
    vectors = world.home.embeddings_file("0" * 64)
    write_parquet(vectors, pl.DataFrame({"text": ["hash of what she wrote"], "vector": [[0.5]]}))
    (world.home.root / "notifications.jsonl").write_text(json.dumps({"text": f"{ANN} failed"}) + "\n")
    erase(world)
    assert naming(world, *HERS) == []
    assert pl.read_parquet(world.home.marts / "pain_point_persons.parquet")["person"].to_list() == [BOB]
    assert not vectors.exists()
    assert "[erased] failed" in (world.home.root / "notifications.jsonl").read_text()


def test_logs_of_dagster_lose_the_person(world: World) -> None:
    world.home.dagster.mkdir(parents=True)
    path = world.home.dagster / "runs.db"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE events (id INTEGER, body TEXT)")
        con.execute("INSERT INTO events VALUES (1, ?)", (f"person {ANN} met it",))
    con.close()
    erase(world)
    assert naming(world, *HERS) == []


def test_a_file_that_nothing_can_be_taken_out_of_is_told(world: World) -> None:
    notes = world.home.root / "my notes.docx"
    notes.write_text(f"Ask {ANN}")
    assert erase(world).left == (notes,)


def test_the_record_tells_who_when_and_how_much_without_the_ids(world: World) -> None:
    done = erase(world)
    (entry,) = read_audit(world.home)
    assert entry == done.entry
    assert (entry.requested_at, entry.counts["events"], entry.counts["messages"]) == (AT, 6, 2)
    assert "@" in entry.by
    stones = read_tombstones(world.home)
    assert stones is not None
    assert entry.person == stones.hash_of("mention", ANN)
    assert set(entry.ids) == set(stones.persons[0].hashes)


def test_who_was_forgotten_is_known_as_such(world: World) -> None:
    erase(world)
    with pytest.raises(UnknownPersonError):
        plan(world.settings, ANN, {})
    assert was_forgotten(world.settings, ANN) == AT
    assert was_forgotten(world.settings, BOB) is None


def test_two_persons_can_be_forgotten(world: World) -> None:
    erase(world)
    erase(world, BOB)
    assert naming(world, *HERS, BOB, LAPTOP) == []
    assert len(read_audit(world.home)) == 2
    world.land_web()
    world.land_app()
    world.deliver()
    world.refresh()
    assert naming(world, *HERS, BOB, LAPTOP) == []
    assert world.balances()


def test_planning_changes_nothing(world: World) -> None:
    before = tree(world.home.root)
    plan(world.settings, ANN, {})
    assert tree(world.home.root) == before


def test_nobody_is_told_apart_from_somebody(world: World) -> None:
    with pytest.raises(UnknownPersonError):
        plan(world.settings, "no-such-person", {})


def test_an_id_of_several_persons_is_refused(world: World) -> None:
    persons = read_persons(world.home)
    again = persons.filter(pl.col("id") == "tablet-of-ann").with_columns(
        source=pl.lit("web"), person=pl.lit("x")
    )
    write_parquet(world.home.identity / "persons.parquet", pl.concat([persons, again]))
    with pytest.raises(AmbiguousPersonError, match=ANN):
        plan(world.settings, "tablet-of-ann", {})


def test_ids_that_the_lake_has_as_hashes_are_erased_where_they_are_clear(tmp_path: Path) -> None:
    names = ["$user_id", "distinct_id", "$device_id", "user_id", "device_id", "user"]
    world = World(configured(tmp_path, {"hash": names, "key_env": "PRIVACY_KEY"}))
    world.land_web()
    world.land_app()
    world.deliver()
    world.refresh(KEY)
    assert ANN not in set(scan_raw_events(world.home).collect()["user_id"])
    erase(world, ANN, KEY)
    assert naming(world, *HERS) == []
    world.land_web()
    world.deliver()
    world.refresh(KEY)
    assert naming(world, *HERS) == []
    assert world.balances()


STEPS = [
    "bury",
    "scrub_source",
    "clean_events",
    "clean_feedback",
    "rebuild",
    "drop_remade",
    "traces",
    "publish",
    "finish",
]


class KilledError(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_killed_erasure_is_finished_by_the_next(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    real: Callable[..., Any] = getattr(steps, step)

    def killed(*arguments: Any, **named: Any) -> Any:
        if after:
            real(*arguments, **named)
        raise KilledError

    if step == "publish":
        world.publish()
    with monkeypatch.context() as patch:
        patch.setattr(steps, step, killed)
        with pytest.raises(KilledError):
            erase(world)
    done = resume(world.settings, {})
    assert (done is None) == (step == "finish" and after)
    assert naming(world, *HERS) == []
    assert read_unfinished(world.home) is None
    assert [entry.counts["landed records"] for entry in read_audit(world.home)] == [10]
    assert world.balances()


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["erasures/unfinished.json", "erasures/tombstones.json", "index.was"])
def test_killed_with_9_and_started_again(world: World, sign: str) -> None:
    """The process dies at an arbitrary place after the sign of life; the same command then finishes."""
    (world.home.index / "was").mkdir(parents=True)
    script = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from opsanalytics.analysis.forget import forget, plan\n"
        "from opsanalytics_tests.analysis.conftest import ANN, configured\n"
        "settings = configured(Path(sys.argv[1]))\n"
        "print('begun', flush=True)\n"
        "forget(settings, plan(settings, ANN, {}), {}, at=datetime(2026, 4, 1, tzinfo=UTC))"
    )
    with python(script, str(world.home.root.parent)) as process:
        assert hear(process) == "begun"
        while process.poll() is None:
            gone = not world.home.index.exists()
            if gone if sign == "index.was" else (world.home.root / sign).exists():
                break
        process.kill()
    if resume(world.settings, {}) is None and not read_audit(world.home):
        erase(world)
    assert naming(world, *HERS) == []
    assert [entry.counts["landed records"] for entry in read_audit(world.home)] == [10]
    assert world.balances()


def test_killed_between_two_files_of_a_delivery_nothing_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opsanalytics.cleaning import erasing

    def killed(*arguments: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(erasing, "remove_unnamed", killed)
        with pytest.raises(KilledError):
            erase(world)
    resume(world.settings, {})
    assert naming(world, *HERS) == []


def test_other_processes_keep_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = (
        "import sys; from pathlib import Path; from opsanalytics.lake.locks import exclusive;"
        "from opsanalytics.lake.paths import Home\n"
        "with exclusive(Home(Path(sys.argv[1])), 'clean-web'):\n"
        "    print('held', flush=True); sys.stdin.readline()"
    )
    monkeypatch.setattr(steps, "WAIT_SECONDS", 0.2)
    with python(holder, str(world.home.root)) as process:
        assert hear(process) == "held"
        with pytest.raises(LockHeldError, match="clean-web"):
            erase(world)
        tell(process)
    assert naming(world, ANN)


def test_while_a_person_is_erased_nobody_else_gets_a_lock(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaner = (
        "import sys; from pathlib import Path; from opsanalytics.lake.locks import LockHeldError, exclusive;"
        "from opsanalytics.lake.paths import Home\n"
        "try:\n"
        "    with exclusive(Home(Path(sys.argv[1])), 'index', wait_seconds=0.2): print('got it')\n"
        "except LockHeldError: print('kept out')"
    )
    heard: list[str] = []

    def listening(*arguments: Any, **named: Any) -> Any:
        with python(cleaner, str(world.home.root)) as process:
            heard.append(hear(process))
        return clean_feedback(*arguments, **named)

    monkeypatch.setattr(steps, "clean_feedback", listening)
    erase(world)
    assert heard == ["kept out"]


def test_the_lines_of_the_sample_name_her(world: World) -> None:
    assert sum(ANN.encode() in line for line in web_lines()) == 4
