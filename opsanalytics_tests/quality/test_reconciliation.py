"""Landed = canonical + duplicates + quarantined: counted apart, and any loss is found."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.manifests import deliveries, write_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import INGESTION_LEDGER
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics_tests.cleaning.test_clean_events import DAY, PRODUCT, clean, event, land


@pytest.fixture
def cleaned(home: Home) -> Home:
    land(
        home, [b"broken", event(1), event(1), event(2), event(3, day=date(2026, 3, 3))], DAY, date(2026, 3, 3)
    )
    land(home, [event(2), event(4)], DAY, hour=1)
    clean(home)
    return home


def problems(home: Home) -> pl.DataFrame:
    return unreconciled(build_ledger(home, [PRODUCT]), deliveries(home, "product"))


def test_the_ledger_counts_by_delivery_and_day(cleaned: Home) -> None:
    ledger = build_ledger(cleaned, [PRODUCT])
    assert ledger.schema == INGESTION_LEDGER.schema
    assert ledger.select("delivery", "day", "landed", "canonical", "duplicates", "quarantined").rows() == [
        ("2026-03-02--2026-03-02", DAY, 2, 2, 0, 0),
        ("2026-03-02--2026-03-03", None, 1, 0, 0, 1),
        ("2026-03-02--2026-03-03", DAY, 3, 0, 3, 0),
        ("2026-03-02--2026-03-03", date(2026, 3, 3), 1, 1, 0, 0),
    ]
    assert problems(cleaned).is_empty()


def drop_last_row(path: Path) -> None:
    frame = pl.read_parquet(path)
    write_parquet(path, frame.head(frame.height - 1))


@pytest.mark.parametrize(
    ("lost", "figure"),
    [
        (lambda home: home.events_file("product", DAY), "canonical"),
        (lambda home: home.duplicates_file("product", DAY), "duplicates"),
        (lambda home: home.quarantine("product") / "2026-03-02--2026-03-03.parquet", "quarantined"),
    ],
)
def test_a_record_that_vanishes_anywhere_is_found(
    cleaned: Home, lost: Callable[[Home], Path], figure: str
) -> None:
    before = build_ledger(cleaned, [PRODUCT])[figure].sum()
    drop_last_row(lost(cleaned))
    found = problems(cleaned)
    assert found["missing"].to_list() == [1]
    assert "neither in the lake nor set aside" in found["problem"][0]
    assert build_ledger(cleaned, [PRODUCT])[figure].sum() == before - 1


def test_a_record_too_many_is_found(cleaned: Home) -> None:
    path = cleaned.events_file("product", DAY)
    frame = pl.read_parquet(path)
    write_parquet(path, pl.concat([frame, frame.head(1)]))
    assert problems(cleaned)["missing"].to_list() == [-1]


def test_a_delivery_that_is_not_cleaned_is_found(cleaned: Home) -> None:
    land(cleaned, [event(9)], date(2026, 3, 9))
    found = problems(cleaned)
    assert found.select("delivery", "landed", "missing").rows() == [("2026-03-09--2026-03-09", 1, 1)]


def test_a_delivery_replaced_but_not_cleaned_is_found(cleaned: Home) -> None:
    land(cleaned, [event(2), event(4), event(5)], DAY, hour=2)
    assert not problems(cleaned).is_empty()


def test_events_of_a_delivery_that_is_gone_are_found(cleaned: Home) -> None:
    for path in cleaned.delivery("product", "2026-03-02--2026-03-02").iterdir():
        path.unlink()
    assert problems(cleaned)["problem"].str.contains("its delivery is not landed").any()


def test_a_manifest_that_says_more_than_was_read_is_found(cleaned: Home) -> None:
    manifest = next(iter(deliveries(cleaned, "product")))
    file = manifest.files[0].model_copy(update={"records": 7})
    write_manifest(cleaned, manifest.model_copy(update={"files": (file,)}))
    assert problems(cleaned)["problem"].to_list() == ["the manifest says 7 records, 2 were read"]


def test_an_empty_delivery_is_listed(home: Home) -> None:
    land(home, [])
    clean(home)
    assert build_ledger(home, [PRODUCT]).select("day", "landed").rows() == [(None, 0)]
    assert problems(home).is_empty()


def test_no_sources_give_an_empty_ledger(home: Home) -> None:
    assert build_ledger(home, []).schema == INGESTION_LEDGER.schema
