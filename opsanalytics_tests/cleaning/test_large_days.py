"""Days that do not fit into memory: the same files, byte for byte, as those that do."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics_tests.cleaning.test_clean_events import APP, DAY, PRODUCT, clean, event, land, sent
from opsanalytics_tests.sources.support import tree

numbers = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.booleans()), max_size=30)


def lines_of(settings_: EventSourceSettings, drawn: list[tuple[int, int, bool]]) -> list[bytes]:
    """Events of three days with equal times, repeated keys and other properties; some lines broken."""
    lines = []
    for n, offset, broken in drawn:
        day = DAY + timedelta(days=offset)
        if broken and n == 0:
            lines.append(b'{"event": 1}')  # not usable, but a whole export may end in it
        elif settings_ is PRODUCT:
            lines.append(event(n % 7, day=day, v=n, **{"$insert_id": f"i{n}"}))
        else:
            lines.append(sent(n, uuid=f"{n}-{broken}", day=day, upload=day))
    return lines


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "batches.BATCH_BYTES": 0, "large_keys.SHARE_ROWS": 4, "large_days.BUCKET_ROWS": 3,
        "large_keys.SAMPLES": 1, "large_days.MOST_BUCKETS": 5, "day_rows.READ_ROWS": 6,
        "parsing.BATCH_BYTES": 1_000, "lines.READ_BYTES": 500,
    }.items():  # fmt: skip
        monkeypatch.setattr(f"opsanalytics.cleaning.{name}", value)


@settings(max_examples=40, deadline=None)
@given(deliveries=st.lists(numbers, min_size=1, max_size=3), source=st.sampled_from([PRODUCT, APP]))
def test_any_deliveries_give_the_same_files(
    deliveries: list[list[tuple[int, int, bool]]], source: EventSourceSettings
) -> None:
    trees: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for large in (False, True):
            home = Home(Path(folder) / str(large))
            for number, drawn in enumerate(deliveries):
                first = DAY + timedelta(days=number)
                land(
                    home, lines_of(source, drawn), first, first + timedelta(days=1), hour=number,
                    settings=source,
                )  # fmt: skip
            with pytest.MonkeyPatch.context() as monkeypatch:
                if large:
                    make_small(monkeypatch)
                clean(home, source, Paid="bought")
            trees.append([tree(home.events), tree(home.lake / "duplicates"), tree(home.lake / "quarantine")])
    assert trees[0] == trees[1]


def test_nothing_is_left_in_the_way(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)
    land(home, [event(n) for n in range(20)])
    clean(home)
    assert not [name for name in tree(home.lake) if name.endswith(".tmp")]


def test_an_unchanged_large_day_is_not_written_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)
    land(home, [event(n) for n in range(20)])
    clean(home)
    stamp = home.events_file("product", DAY).stat().st_mtime_ns
    (home.cleaned("product") / "_days.json").unlink()
    assert clean(home).days == {}
    assert home.events_file("product", DAY).stat().st_mtime_ns == stamp


def test_a_killed_run_leaves_nothing_that_the_next_does_not_remove(home: Home) -> None:
    land(home, [event(1)])
    home.cleaned("product").mkdir(parents=True)
    left = home.cleaned("product") / f".{DAY}.tmp"
    left.write_bytes(b"half")
    clean(home)
    assert not left.exists()
