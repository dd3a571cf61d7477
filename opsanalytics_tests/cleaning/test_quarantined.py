"""Records that were set aside: counted, shown without personal data, and through after a fix."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.cleaning.quarantined import (
    Replayed,
    Selection,
    counts,
    exported,
    landed_file,
    quarantined,
    replay,
    shown_text,
)
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.base import EventSourceSettings, ParsedLines
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.mixpanel import MixpanelSettings
from opsanalytics_tests.cleaning.test_clean_events import DAY, PRODUCT, clean, event, land, numbers
from opsanalytics_tests.cleaning.test_clean_feedback import deliver, row, survey
from opsanalytics_tests.sources.support import tree

BROKEN = b'{"event": "Paid", "properties": {"time": "never", "n": 7}}'
ALL = Selection()


def again(home: Home, selection: Selection = ALL) -> Replayed:
    return replay(PRODUCT, home, {}, None, selection)


def edit(home: Home, old: bytes, new: bytes) -> Path:
    """Mend a landed file by hand."""
    (path,) = (home.landing / "product").rglob("events-*")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(old, new)))
    return path


@pytest.fixture
def lake(home: Home) -> Home:
    land(home, [event(1), BROKEN, b"{", b"{{", event(2)])
    clean(home)
    return home


def test_they_are_counted_by_source_reason_and_day(lake: Home) -> None:
    found = counts(quarantined(lake, ["product"], ALL))
    assert found.rows() == [("product", "not_json", None, 2, 1), ("product", "no_time", None, 1, 1)]


@pytest.mark.parametrize(
    ("selection", "records"),
    [
        (Selection(reason="no_time"), [2]),
        (Selection(source="other"), []),
        (Selection(day=DAY), []),
        (Selection(delivery=f"{DAY}--{DAY}"), [2, 3, 4]),
    ],
)
def test_they_can_be_chosen(lake: Home, selection: Selection, records: list[int]) -> None:
    assert quarantined(lake, ["product"], selection)["record"].to_list() == records


def test_a_record_says_where_it_lies(lake: Home) -> None:
    first = quarantined(lake, ["product"], Selection(reason="no_time")).row(0, named=True)
    path = landed_file(lake, "product", first["delivery"], first["member"])
    assert gzip.decompress(path.read_bytes()).split(b"\n")[first["record"] - 1] == BROKEN


def test_a_member_of_an_archive_is_found_by_the_archive(lake: Home) -> None:
    path = landed_file(lake, "product", f"{DAY}--{DAY}", "1/1_2026-03-02_13#0.json.gz")
    assert path.name.startswith("events-")


def test_raw_text_is_shown_redacted_and_short() -> None:
    shown = shown_text(b'{"email": "ann@b.example", "note": "' + b"x" * 500 + b'\xff"}', 100)
    assert "[email]" in shown
    assert "ann@" not in shown
    assert len(shown) < 130


def test_the_export_has_every_byte(lake: Home) -> None:
    lines = [json.loads(line) for line in exported(lake, quarantined(lake, ["product"], ALL))]
    assert [line["raw"] for line in lines] == [BROKEN.decode(), "{", "{{"]
    assert all(Path(line["file"]).exists() for line in lines)


def test_without_a_fix_nothing_gets_through_and_nothing_changes(lake: Home) -> None:
    before = tree(lake.lake)
    result = again(lake)
    assert (result.before, result.after, result.through) == (3, 3, 0)
    assert tree(lake.lake) == before


def test_an_edited_record_gets_through(lake: Home) -> None:
    edit(lake, b'"never"', b"1772452803")
    result = again(lake, Selection(reason="no_time"))
    assert (result.deliveries, result.through, result.by_reason) == (1, 1, {"no_time": (1, 0)})
    assert numbers(lake) == [1, 2, 7]
    manifests = list(deliveries(lake, "product"))
    assert unreconciled(build_ledger(lake, [PRODUCT]), manifests).is_empty()


def test_a_mended_program_gets_them_through(lake: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def mended(settings: MixpanelSettings, records: RawLines) -> ParsedLines:
        lines = RawLines.of([record.replace(b'"never"', b"1772452803") for record in records])
        return EventSourceSettings.parse_records(settings, lines)

    monkeypatch.setattr(MixpanelSettings, "parse_records", mended)
    assert clean_events(PRODUCT, lake, {}).parsed == ()
    assert again(lake).through == 1
    assert numbers(lake) == [1, 2, 7]


def test_only_the_deliveries_of_what_was_chosen_are_read_again(lake: Home) -> None:
    land(lake, [b"{", event(5)], name="other", hour=1)
    clean(lake)
    assert again(lake, Selection(delivery="other")).deliveries == 1
    assert again(lake, Selection(reason="nothing like this")).deliveries == 0


def test_messages_get_through_when_their_file_is_mended(home: Home) -> None:
    deliver(home, row(1, rating="eleven"), row(2))
    (path,) = (home.landing / "survey").rglob("feedback-*")
    path.write_bytes(path.read_bytes().replace(b"eleven", b"10"))
    result = replay(survey(), home, {}, None, ALL)
    assert (result.before, result.after) == (1, 0)
    assert pl.read_parquet(home.feedback_file("survey")).height == 2
    assert clean_feedback(survey(), home).parsed == ()
