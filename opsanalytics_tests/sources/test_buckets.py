"""Files in a bucket, over HTTP as S3 and Google Cloud Storage serve them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.errors import SourceError
from opsanalytics.sources.file_landing import probe_files
from opsanalytics.sources.ga4 import Ga4Settings
from opsanalytics_tests.simulators.bucket import CREDENTIALS, Bucket, serve_bucket
from opsanalytics_tests.sources.file_support import NOON, events, ga4_record, land, run, zipped


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with serve_bucket() as served:
        yield served


@pytest.fixture(params=["s3", "gs"])
def source(bucket: Bucket, request: pytest.FixtureRequest) -> Ga4Settings:
    return Ga4Settings(name="site", path=bucket.uri("analytics_1", request.param))


def test_tables_in_a_bucket_become_events(home: Home, bucket: Bucket, source: Ga4Settings) -> None:
    for part in range(2):
        bucket.put(f"analytics_1/events_20260301-{part:012}.json.gz", zipped([ga4_record(part)]))
    bucket.put("analytics_2/events_20260301-000000000000.json.gz", zipped([ga4_record(9)]))
    landed, cleaned = run(source, home)
    assert landed.complete_through == datetime(2026, 3, 2, tzinfo=UTC)
    assert (cleaned.canonical, events(home).height) == (2, 2)


def test_unchanged_objects_are_not_read_again_and_changed_ones_are(
    home: Home, bucket: Bucket, source: Ga4Settings
) -> None:
    key = "analytics_1/events_20260301.json.gz"
    bucket.put(key, zipped([ga4_record(1)]))
    run(source, home)
    bucket.read.clear()
    assert land(source, home).deliveries == ()
    assert bucket.read == []
    bucket.put(key, zipped([ga4_record(1), ga4_record(2)]), at=NOON + timedelta(minutes=1))
    _, cleaned = run(source, home)
    assert cleaned.canonical == 2
    assert bucket.read != []


def test_no_secret_and_no_address_of_a_server_is_kept(
    home: Home, bucket: Bucket, source: Ga4Settings
) -> None:
    bucket.put("analytics_1/events_20260301.json.gz", zipped([ga4_record(1)]))
    land(source, home)
    kept = "".join(path.read_text() for path in Path(home.landing).rglob("manifest.json"))
    assert "events_20260301.json.gz" in kept
    assert "endpoint" not in kept
    assert not any(secret in kept for secret in CREDENTIALS.values())


def test_a_probe_of_a_bucket_lands_nothing(home: Home, bucket: Bucket, source: Ga4Settings) -> None:
    bucket.put("analytics_1/events_20260301.json.gz", zipped([ga4_record(1)]))
    assert "has 1 record(s)" in probe_files(source, home, now=NOON)
    assert list(deliveries(home, "site")) == []


def test_a_folder_that_is_not_in_the_bucket_is_named(home: Home, bucket: Bucket, source: Ga4Settings) -> None:
    bucket.put("analytics_1/events_20260301.json.gz", zipped([ga4_record(1)]))
    nothing = source.model_copy(update={"path": source.path.replace("analytics_1", "nothing")})
    with pytest.raises(
        SourceError, match=r"source site: there is no folder (s3|gs)://\S*events/nothing \(path"
    ):
        land(nothing, home)
