import json
import stat
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.lake.files import (
    remove_leftovers,
    replacing,
    write_bytes,
    write_json,
    write_parquet,
    write_text,
)
from opsanalytics_tests.lake.processes import hear, python


def test_a_new_file_appears_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        temporary.write_text((tmp_path / "missing").read_text())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_kill_while_writing_leaves_the_old_file_and_one_leftover(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = """
import os, sys
from pathlib import Path
from opsanalytics.lake.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("written", flush=True)
    os.kill(os.getpid(), 9)
"""
    with python(code, str(path)) as process:
        assert hear(process) == "written"
        assert process.wait() == -9
    assert path.read_text() == "old"
    assert remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_next_write_removes_what_a_kill_left_of_the_last(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.k1ll3d.tmp").write_text("half")
    (tmp_path / ".b.txt.k1ll3d.tmp").write_text("of another file")
    write_text(tmp_path / "a.txt", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.txt.k1ll3d.tmp", "a.txt"]


def test_what_a_living_process_writes_is_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("slow")
        assert remove_leftovers(tmp_path) == 0
        write_text(path, "fast")
    assert path.read_text() == "slow"


def test_leftovers_of_a_folder_that_does_not_exist_are_none(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "missing") == 0


def test_equal_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    assert write_bytes(path, b"same")
    before = path.stat().st_ino
    assert not write_bytes(path, b"same")
    assert path.stat().st_ino == before


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_the_file_holds_what_was_written_last(
    tmp_path_factory: pytest.TempPathFactory, first: bytes, second: bytes
) -> None:
    path = tmp_path_factory.mktemp("files") / "a.bin"
    write_bytes(path, first)
    assert write_bytes(path, second) == (first != second)
    assert path.read_bytes() == second


def test_json_is_the_same_whatever_the_order_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "ä": [2]})
    assert not write_json(path, {"ä": [2], "b": 1})
    assert json.loads(path.read_text()) == {"ä": [2], "b": 1}


def test_equal_frames_are_equal_parquet_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, None, 3], "b": ["x", "y", None]})
    write_parquet(tmp_path / "1.parquet", frame)
    write_parquet(tmp_path / "2.parquet", pl.concat([frame.head(1), frame.tail(2)]).rechunk())
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
