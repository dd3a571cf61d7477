"""Cutting landed bytes into records: the same lines and numbers, however the bytes are read."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.cleaning import lines
from opsanalytics.sources.landing import IncompleteBodyError


def read(path: Path, batch_bytes: int) -> list[tuple[str, int, bytes]]:
    found = [lines.records(batch) for batch in lines.read_batches(path, batch_bytes)]
    return [
        row
        for batch in found
        for row in zip(batch.member.to_list(), batch.number.to_list(), batch.raw, strict=True)
    ]


@given(
    content=st.lists(
        st.sampled_from([b"a", b"{}", b"\r", b" ", b"\n", b"\n\n", b"\x85", b"\xe2\x80\xa8"])
    ).map(b"".join),
    block=st.integers(1, 9),
    batch=st.integers(1, 20),
    compressed=st.booleans(),
)
def test_blocks_do_not_change_lines(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, block: int, batch: int, compressed: bool
) -> None:
    path = tmp_path_factory.mktemp("landed") / ("x.jsonl.gz" if compressed else "x.jsonl")
    path.write_bytes(gzip.compress(content) if compressed else content)
    expected = [
        (path.name, number, line) for number, line in enumerate(content.split(b"\n"), start=1) if line.strip()
    ]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(lines, "READ_BYTES", block)
        assert read(path, batch) == expected


def test_several_gzip_members_are_one_text(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\n"))
    assert [raw for _, _, raw in read(path, 1)] == [b"a", b"bc"]


def test_a_landed_file_that_was_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"a\n" * 1_000)[:-5])
    with pytest.raises(IncompleteBodyError):
        read(path, 1)
