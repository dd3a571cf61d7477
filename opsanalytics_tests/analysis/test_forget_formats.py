"""Messages are taken out of whatever text format a source reads: lists, pages and lines of JSON, gzip."""

import gzip
import json
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opsanalytics.cleaning.erasing_messages import without_messages
from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.cleaning.erasing_tables import count_rows, without_rows
from opsanalytics.lake.erasures import Forgotten, PersonIds, Tombstones
from opsanalytics.sources.base import FeedbackRow, FeedbackSourceSettings, RejectedRow
from opsanalytics.sources.errors import InboxError
from opsanalytics_tests.analysis.conftest import ADDRESS, ANN, BOB
from opsanalytics_tests.analysis.test_forget import AT

SALT = Tombstones(salt="00" * 32)
STONES = Tombstones(
    salt=SALT.salt,
    persons=(
        Forgotten(
            audit="a",
            at=AT,
            hashes=SALT.hashes_of(PersonIds(person=ANN, users=(ANN,), emails=(ADDRESS,))),
        ),
    ),
)


class Tickets(FeedbackSourceSettings):
    """Tickets in JSON: a list, a page with a list, or one a line."""

    kind: Literal["tickets"] = "tickets"

    def count_records(self, path: Path) -> int:
        return len(self.read(path)[0])

    def read(self, path: Path) -> tuple[list[FeedbackRow], list[RejectedRow]]:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        if content.startswith(b"MZ"):
            return [ticket(1, {"id": "1", "user": ANN})], []
        try:
            whole = json.loads(content)
        except ValueError:
            whole = [json.loads(line) for line in content.splitlines() if line.strip()]
        if isinstance(whole, dict):
            whole = whole.get("tickets", [whole])
        return [ticket(number, each) for number, each in enumerate(whole, start=1)], []


def ticket(number: int, fields: dict[str, Any]) -> FeedbackRow:
    return FeedbackRow(
        record=number, id=str(fields["id"]), ts=AT, text=fields.get("text"), title=None,
        user_id=fields.get("user"), email=fields.get("email"), rating=None, rating_min=None, rating_max=None,
        language=None, app_version=None, url=None, raw={},
    )  # fmt: skip


HERS = b'{"id": 1, "user": "%s", "text": "slow"}' % ANN.encode()
HIS = b'{"id": 2.0,  "user": "%s", "text": "fast", "n": 12345678901234567890}' % BOB.encode()
ALSO_HERS = b'{"id": 3, "email": "%s"}' % ADDRESS.upper().encode()
USERS = b'[{"id": "%s", "name": "Ann"}, {"id": "%s"}]' % (ANN.encode(), BOB.encode())


def left_of(tmp_path: Path, name: str, content: bytes) -> tuple[bytes, Found]:
    path = tmp_path / name
    path.write_bytes(content)
    found = Found()
    return without_messages(Tickets(name="desk"), Eraser(STONES), path, found), found


def test_out_of_a_list(tmp_path: Path) -> None:
    left, found = left_of(tmp_path, "dump.json", b"[" + b", ".join([HERS, HIS, ALSO_HERS]) + b"]")
    assert left == b"[" + HIS + b"]"
    assert found.records["a"] == 2


def test_out_of_a_page_and_the_list_of_users_beside_it(tmp_path: Path) -> None:
    page = b'{"tickets": [%s, %s], "users": %s, "next": null}' % (HERS, HIS, USERS)
    left, _ = left_of(tmp_path, "dump.json", page)
    assert HIS in left
    assert json.loads(left)["users"] == [{"id": BOB}]


def test_out_of_lines(tmp_path: Path) -> None:
    left, _ = left_of(tmp_path, "dump.jsonl", b"\n".join([HERS, b"", HIS, ALSO_HERS, b""]))
    assert left == b"\n".join([b"", HIS, b""])


def test_out_of_gzip(tmp_path: Path) -> None:
    left, _ = left_of(tmp_path, "dump.json.gz", gzip.compress(b"[" + HERS + b"," + HIS + b"]"))
    assert gzip.decompress(left) == b"[" + HIS + b"]"


def test_a_file_that_names_nobody_keeps_its_bytes(tmp_path: Path) -> None:
    content = b"[ " + HIS + b" ]\n"
    left, found = left_of(tmp_path, "dump.json", content)
    assert left == content
    assert not found


def test_a_mention_in_a_text_is_blanked(tmp_path: Path) -> None:
    other = HIS.replace(b"fast", f"{ANN} is fast, ask {ADDRESS}.".encode())
    left, found = left_of(tmp_path, "dump.json", b"[" + other + b"]")
    assert json.loads(left)[0]["text"] == "[erased] is fast, ask [erased]."
    assert (found.records["a"], found.mentions["a"]) == (0, 1)


def test_what_nothing_can_be_taken_out_of_is_told(tmp_path: Path) -> None:
    with pytest.raises(InboxError, match=r"dump\.exe"):
        left_of(tmp_path, "dump.exe", b"MZ\x00")


def test_rows_of_a_csv_table_of_events_keep_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    text = (
        f'user,name,n\r\n{ANN},Paid,1\r\n\r\n{BOB},"Two\r\nlines",2\r\n{ANN},Paid,3\r\n{BOB},for {ANN},4\r\n'
    )
    path.write_bytes(gzip.compress(text.encode()))
    left = gzip.decompress(without_rows(Eraser(STONES), path, {1, 3})).decode()
    assert left == f'user,name,n\r\n\r\n{BOB},"Two\r\nlines",2\r\n{BOB},for [erased],4\r\n'
    assert count_rows(path, path.name) == 4


def test_rows_of_a_parquet_table_of_events_keep_their_types(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    table = pl.DataFrame({"user": [ANN, BOB], "at": [1, 2], "deep": [[{"key": "a"}], [{"key": "b"}]]})
    table.write_parquet(path)
    path.write_bytes(without_rows(Eraser(STONES), path, {1}))
    assert pl.read_parquet(path).equals(table.tail(1))
    assert count_rows(path, path.name) == 1


NUMBER = "5001234599"


def test_ids_in_cells_of_others_are_blanked_and_types_stay(tmp_path: Path) -> None:
    stones = Tombstones(
        salt=SALT.salt,
        persons=(
            Forgotten(audit="a", at=AT, hashes=SALT.hashes_of(PersonIds(person=ANN, users=(ANN, NUMBER)))),
        ),
    )
    table = pa.table(
        {
            "text": pa.array([f"by {ANN}", "by bob"]),
            "word": pa.array([ANN, "bob"]).dictionary_encode(),
            "bytes": pa.array([ANN.encode(), b"\xff\x00"]),
            "number": pa.array([int(NUMBER), 2**60]),
            "map": pa.array([[("who", ANN)], []], pa.map_(pa.string(), pa.string())),
            "deep": pa.array([[{"id": int(NUMBER)}], []]),
            "at": pa.array([1, 2], pa.timestamp("ns", "UTC")),
        }
    )
    path = tmp_path / "events.parquet"
    pq.write_table(table, path)
    path.write_bytes(without_rows(Eraser(stones), path, set()))
    left = pq.read_table(path)
    assert left.schema.equals(table.schema)
    assert left["at"].equals(table["at"])
    assert left.drop(["at"]).to_pylist()[1] == table.drop(["at"]).to_pylist()[1]
    assert left.drop(["at"]).to_pylist()[0] == {
        "text": "by [erased]",
        "word": "[erased]",
        "bytes": b"[erased]",
        "number": None,
        "map": [("who", "[erased]")],
        "deep": [{"id": None}],
    }
