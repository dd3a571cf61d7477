from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from opsanalytics.lake.manifests import (
    MANIFEST,
    LandedFile,
    Manifest,
    deliveries,
    read_manifest,
    write_manifest,
)
from opsanalytics.lake.paths import Home


def manifest(delivery: str = "2024-01-01", records: tuple[int, ...] = (2, 3)) -> Manifest:
    return Manifest(
        source="web",
        kind="mixpanel",
        delivery=delivery,
        first_day=date(2024, 1, 1),
        last_day=date(2024, 1, 1),
        request={"from_date": "2024-01-01"},
        status=200,
        attempts=1,
        fetched_at=datetime(2024, 1, 2, tzinfo=UTC),
        files=tuple(
            LandedFile(name=f"{number}.jsonl", bytes=10, sha256="ab", records=count)
            for number, count in enumerate(records)
        ),
        sha256="0123456789abcdef",
    )


def test_a_manifest_is_read_back_as_written(home: Home) -> None:
    write_manifest(home, manifest())
    assert read_manifest(home.delivery("web", "2024-01-01") / MANIFEST) == manifest()


def test_records_are_those_of_all_files() -> None:
    assert manifest().records == 5


def test_the_ingest_run_names_delivery_and_content() -> None:
    assert manifest().ingest_run == "2024-01-01@0123456789ab"


def test_deliveries_come_in_order_of_their_names(home: Home) -> None:
    for name in ("2024-01-02", "2024-01-01", "2024-01-10"):
        write_manifest(home, manifest(name))
    assert [found.delivery for found in deliveries(home, "web")] == ["2024-01-01", "2024-01-02", "2024-01-10"]


def test_a_delivery_without_a_manifest_does_not_count(home: Home) -> None:
    folder = home.delivery("web", "2024-01-01")
    folder.mkdir(parents=True)
    (folder / "0.jsonl").write_text("{}\n")
    assert list(deliveries(home, "web")) == []


def test_a_source_that_landed_nothing_has_no_deliveries(home: Home) -> None:
    assert list(deliveries(home, "web")) == []


def test_a_broken_manifest_is_an_error(home: Home) -> None:
    write_manifest(home, manifest())
    path = home.delivery("web", "2024-01-01") / MANIFEST
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValidationError, match="JSON"):
        list(deliveries(home, "web"))
