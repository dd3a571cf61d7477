"""Whatever kind of source a person comes from: forgotten is forgotten, and nobody else notices."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.analysis.forget import Erased, forget, plan
from opsanalytics.analysis.traces import unpacked
from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.cleaning.profiles import clean_profiles
from opsanalytics.config import Settings
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.events import scan_raw_events
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.profiles import read_profiles
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.base import source_kinds
from opsanalytics.sources.collecting import collect
from opsanalytics.sources.files import EventFileSettings
from opsanalytics.sources.page_fetching import PullReport, pull
from opsanalytics.sources.paging import ApiFeedbackSourceSettings
from opsanalytics_tests.analysis.conftest import ANN, survey_lines
from opsanalytics_tests.analysis.forget_samples import CSV_CONFIG, SAMPLES, Sample
from opsanalytics_tests.analysis.test_forget import AT
from opsanalytics_tests.sources import file_support
from opsanalytics_tests.sources.desks import ENVIRON, NOW

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda each: f"{each.kind}-{each.label}")


class Place:
    """A home with one source of the sample's kind, and a survey that names Ann too."""

    def __init__(self, sample: Sample, folder: Path, url: str | None) -> None:
        own = {"kind": sample.kind, "name": "sample", **sample.config}
        own |= {"base_url": url} if url else {}
        own |= {"path": str(folder / own["path"])} if "path" in own else {}
        self.sample, self.folder = sample, folder
        self.settings = Settings.model_validate(
            {
                "project": {"name": "Test", "home": str(folder / "data"), "start": date(2026, 3, 1)},
                "sources": [own, {"kind": "feedback_csv", "name": "survey", **CSV_CONFIG}],
            }
        )
        self.home = self.settings.home
        self.pulled: list[PullReport] = []

    def deliver(self) -> None:
        self.sample.deliver(self.settings, self.folder)
        survey = self.home.inbox("survey") / "dump.csv"
        survey.parent.mkdir(parents=True, exist_ok=True)
        survey.write_bytes(survey_lines())

    def take_in(self) -> None:
        """What a run does."""
        for source in self.settings.sources:
            if isinstance(source, EventFileSettings):
                file_support.land(source, self.home)
            elif isinstance(source, ApiFeedbackSourceSettings):
                self.pulled.append(pull(source, self.home, environ=ENVIRON, now=NOW))
            elif source.family == "feedback":
                assert collect(source, self.home, now=NOW, quiet_seconds=0).refused == ()
        for source in self.settings.event_sources:
            clean_events(source, self.home, {})
            if source.profiles_landed_as and (self.home.landing / source.profiles_landed_as).exists():
                clean_profiles(source, self.home)
        for source in self.settings.feedback_sources:
            clean_feedback(source, self.home)
        rebuild(self.home, [source.name for source in self.settings.event_sources])

    def erase(self) -> Erased:
        return forget(self.settings, plan(self.settings, self.sample.who, {}), {}, at=AT)

    def naming(self) -> list[str]:
        """Files that hold one of the ids."""
        texts = [each.encode() for each in self.sample.ids]
        return sorted(
            str(path.relative_to(self.home.root))
            for path in self.home.root.rglob("*")
            if path.is_file() and any(text in said for said in content(path) for text in texts)
        )

    def said(self) -> dict[Any, str]:
        """All that the lake says of the source, by what tells the rows apart."""
        rows: dict[Any, str] = {}
        if self.settings.event_sources:
            events = scan_raw_events(self.home).collect()
            texts = events.select("user_id", "device_id", "url", "properties").rows()
            rows |= {key: str(text) for key, text in zip(events.select("event", "ts").rows(), texts, strict=True)}
        path = self.home.feedback_file("sample")
        if path.exists():
            messages = pl.read_parquet(path)
            texts = messages.select("ts", "user_id", "rating", "title", "text", "raw").rows()
            rows |= dict(zip(messages["feedback_id"], map(str, texts), strict=True))
        rows |= dict(read_profiles(self.home).select("distinct_id", "properties").iter_rows())
        return rows

    def balances(self) -> bool:
        ledger = build_ledger(self.home, self.settings.sources)
        manifests = [each for source in self.settings.sources for each in deliveries(self.home, source.name)]
        return unreconciled(ledger, manifests).is_empty()


def content(path: Path) -> Iterator[bytes]:
    if path.suffix == ".parquet":
        yield str(pl.read_parquet(path, glob=False).rows()).encode()
    yield from unpacked(path)


def test_every_kind_has_a_sample() -> None:
    """A new kind belongs into `forget_samples.SAMPLES`: whatever it lands must be forgotten on demand."""
    assert {sample.kind for sample in SAMPLES} == source_kinds().keys()


@every_sample
def test_forgotten_is_forgotten(sample: Sample, tmp_path: Path) -> None:
    with sample.served() as url:
        place = Place(sample, tmp_path, url)
        place.deliver()
        place.take_in()
        assert any("/sample" in name for name in place.naming())
        before = place.said()
        erased = place.erase()
        assert place.naming() == []
        assert erased.left == ()
        after = place.said()
        assert len(before.keys() - after.keys()) == sample.hers
        changed = {key for key in after if before.get(key) != after[key]}
        assert all("[erased]" in after[key] or "null" in after[key] for key in changed)
        assert len(changed) == sample.mentions
        assert place.balances()
        place.deliver()
        place.take_in()
        assert place.naming() == []
        assert place.said() == after
        assert place.balances()
