"""`[privacy]` over every kind of feedback, and over user profiles."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.cleaning.feedback import message
from opsanalytics.cleaning.privacy import PrivacySettings
from opsanalytics.cleaning.private_feedback import private_row
from opsanalytics.cleaning.profiles import clean_profiles
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.lake.profiles import read_profiles
from opsanalytics_tests.analysis.conftest import ADDRESS, ANN, BOB, KEY
from opsanalytics_tests.analysis.forget_samples import SAMPLES, Sample, land_profiles
from opsanalytics_tests.analysis.test_forget_kinds import Place
from opsanalytics_tests.sources.support import mixpanel

LEAST = 6
"""Shorter values stand in others by chance."""
NEEDED = ("ts", "delivery", "member", "record", "ingest_run", "source", "updated_at")


def rules(**settings: Any) -> Any:
    return PrivacySettings(key_env="PRIVACY_KEY", **settings).rules("sample", KEY)


def feedback_samples() -> list[Sample]:
    """One of each kind of feedback."""
    from opsanalytics.sources.base import source_kinds

    kinds = source_kinds()
    return list({each.kind: each for each in SAMPLES if kinds[each.kind].family == "feedback"}.values())


@pytest.mark.parametrize("sample", feedback_samples(), ids=lambda each: each.kind)
@pytest.mark.parametrize("how", ["drop", "hash"])
def test_no_field_that_a_rule_names_is_shown(sample: Sample, how: str, tmp_path: Path) -> None:
    """Whatever a kind calls its fields: what a rule takes is in no other column of the message either."""
    with sample.served() as url:
        place = Place(sample, tmp_path, url)
        place.deliver()
        place.take_in()
    source = next(each for each in place.settings.feedback_sources if each.name == "sample")
    tried = 0
    for manifest in deliveries(place.home, "sample"):
        for file in manifest.files:
            rows, _ = source.read(place.home.delivery("sample", manifest.delivery) / file.name)
            for row in rows[:5]:
                for name, value in row.raw.items():
                    if len(value.strip()) < LEAST:
                        continue
                    private = private_row(rules(**{how: [name]}), row)
                    shown = message(source, manifest, file.name, private)
                    said = {column: text for column, text in shown.items() if column not in NEEDED}
                    raw = json.loads(said.pop("raw"))
                    assert name not in raw or raw[name] != value
                    whole = re.compile(rf"(?<!\w){re.escape(value.strip())}(?!\w)")
                    assert not any(whole.search(str(text)) for text in said.values()), name
                    tried += 1
    assert tried


def profiles(home: Home, **settings: Any) -> dict[str, dict[str, Any]]:
    land_profiles(home, "product.profiles")
    clean_profiles(mixpanel("http://x", profiles=True), home, privacy=rules(**settings))
    rows = read_profiles(home).select("distinct_id", "properties").iter_rows()
    return {name: json.loads(text) for name, text in rows}


def test_properties_of_profiles_are_dropped_and_hashed(home: Home) -> None:
    found = profiles(home, drop=["$email"], hash=["invited_by"])
    hashed = rules(hash=["x"]).hashed
    assert found == {ANN: {"plan": "pro"}, BOB: {"invited_by": hashed(ANN), "big": 2**60}}


@pytest.mark.parametrize("name", ["distinct_id", "$user_id", "$distinct_id"])
def test_a_profile_goes_by_the_hash_that_its_events_have(home: Home, name: str) -> None:
    hashed = rules(hash=["x"]).hashed
    assert profiles(home, hash=[name]).keys() == {hashed(ANN), hashed(BOB)}


def test_profiles_without_their_ids_stay_apart(home: Home) -> None:
    found = profiles(home, drop=["distinct_id"])
    assert len(found) == 2
    assert not {ANN, BOB} & found.keys()


def test_a_profile_that_cannot_be_read_is_withheld(home: Home) -> None:
    page = b'{"results": [{"$properties": {"$email": "%s"}}], "total": 1}' % ADDRESS.encode()
    land_profiles(home, "product.profiles", page)
    done = clean_profiles(mixpanel("http://x", profiles=True), home, privacy=rules(drop=["$email"]))
    assert done.quarantined == 1
    (path,) = home.quarantine("product.profiles").glob("*.parquet")
    assert ADDRESS not in str(pl.read_parquet(path).rows())
