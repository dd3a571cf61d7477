"""Whatever kind of source a person comes from: forgotten is forgotten, and nobody else notices."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from openpyxl import load_workbook

from opsanalytics.analysis.forget import Erased, forget, plan, resume
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
from opsanalytics_tests.analysis.conftest import ANN, BOB, survey_lines
from opsanalytics_tests.analysis.forget_samples import CSV_CONFIG, SAMPLES, Sample, in_inbox, land_profiles
from opsanalytics_tests.analysis.test_forget import AT
from opsanalytics_tests.simulators import zendesk
from opsanalytics_tests.simulators.faulty import FaultySimulator
from opsanalytics_tests.sources import file_support
from opsanalytics_tests.sources.desks import ENVIRON, NOW, TOMORROW, ZENDESK

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
            elif isinstance(source, ApiFeedbackSourceSettings) and source.pulls:
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
            rows |= {
                key: str(text) for key, text in zip(events.select("event", "ts").rows(), texts, strict=True)
            }
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
        # Pages are walked on from where they were, as if nothing had been taken out of them.
        assert all(report.landed == () for report in place.pulled[1:])


@pytest.mark.parametrize("label", ["csv", "xlsx", "zip", "xlsx in zip", "gzip"])
def test_what_lies_in_the_inbox_afterwards_is_known(tmp_path: Path, label: str) -> None:
    sample = next(each for each in SAMPLES if (each.kind, each.label) == ("feedback_csv", label))
    place = Place(sample, tmp_path, None)
    place.deliver()
    place.take_in()
    place.erase()
    again = collect(place.settings.feedback_sources[0], place.home, now=NOW, quiet_seconds=0)
    assert again.landed == ()
    assert again.refused == ()


def test_other_cells_of_a_workbook_stay(tmp_path: Path) -> None:
    sample = next(each for each in SAMPLES if each.label == "xlsx")
    place = Place(sample, tmp_path, None)
    place.deliver()
    place.take_in()
    place.erase()
    book = load_workbook(place.home.inbox("sample") / "a.xlsx")
    assert book.sheetnames == ["Sheet", "Notes"]
    assert [cell.value for cell in book["Notes"][1]] == ["ask [erased]", 7]
    assert [row[0] for row in book["Sheet"].values] == ["id", "2", "4"]


TICKETS = [
    {"id": 1, "created_at": "2026-03-01T12:00:00Z", "description": f"It is {ANN}", "requester_id": 5,
     "requester": {"id": 5, "external_id": ANN}},
    {"id": 2, "created_at": "2026-03-01T13:00:00Z", "description": f"As {ANN} said", "requester_id": 6,
     "requester": {"id": 6, "external_id": "carl-5000"}},
]  # fmt: skip
UNTOUCHABLE = Sample(
    "zendesk",
    "a dump that cannot be written again",
    {},
    in_inbox("dump.json", lambda: json.dumps(TICKETS).encode("utf-16")),
)


def test_what_cannot_be_rewritten_is_left_out_and_told(tmp_path: Path) -> None:
    place = Place(UNTOUCHABLE, tmp_path, None)
    place.deliver()
    place.take_in()
    assert len(place.said()) == 2
    left = place.erase().left
    assert {path.parent.name if path.name != "dump.json" else "inbox" for path in left} == {
        next(deliveries(place.home, "sample")).delivery,
        "inbox",
    }
    for _ in range(2):
        assert list(place.said()) == ["sample:2"]
        assert all("inbox" in name or "landing" in name for name in place.naming())
        assert place.balances()
        place.take_in()


def test_a_file_that_cannot_be_rewritten_stops_no_later_erasure(tmp_path: Path) -> None:
    place = Place(UNTOUCHABLE, tmp_path, None)
    place.deliver()
    place.take_in()
    place.erase()
    again = forget(place.settings, plan(place.settings, BOB, {}), {}, at=AT)
    assert again.entry.counts["landed records"] == 1
    assert place.balances()


def test_a_landed_file_that_no_longer_fits_the_settings_stops_no_erasure(tmp_path: Path) -> None:
    sample = next(each for each in SAMPLES if (each.kind, each.label) == ("feedback_csv", "csv"))
    place = Place(sample, tmp_path, None)
    place.deliver()
    place.take_in()
    what = plan(place.settings, ANN, {})
    document = place.settings.model_dump(mode="json")
    document["sources"][0]["columns"]["text"] = "no such column"
    changed = Settings.model_validate(document)
    erased = forget(changed, what, {}, at=AT)
    assert {path.relative_to(place.home.root).parts[0] for path in erased.left} == {"landing", "inbox"}
    assert all("inbox" in name or "landing" in name for name in place.naming())


def test_files_that_are_read_from_elsewhere_are_told(tmp_path: Path) -> None:
    sample = next(each for each in SAMPLES if each.kind == "event_files")
    place = Place(sample, tmp_path, None)
    place.deliver()
    place.take_in()
    assert place.erase().yours == (str(tmp_path / "yours"),)
    assert ANN in (tmp_path / "yours" / "log.csv").read_text()


def test_who_has_only_a_profile_can_be_forgotten(tmp_path: Path) -> None:
    sample = next(each for each in SAMPLES if each.kind == "mixpanel")
    place = Place(sample, tmp_path, None)
    only = {"$distinct_id": "eve-50012345", "$properties": {"$email": "eve@example.org"}}
    land_profiles(place.home, "sample.profiles", json.dumps({"results": [only], "total": 1}).encode())
    place.take_in()
    what = plan(place.settings, "eve-50012345", {})
    assert what.ids.emails == ("eve@example.org",)
    forget(place.settings, what, {}, at=AT)
    assert read_profiles(place.home).is_empty()
    assert not any(b"eve" in path.read_bytes() for path in place.home.landing.rglob("*.json"))


class KilledError(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("step", ["drop_supplements", "write_manifest", "remove_unnamed"])
@pytest.mark.parametrize("label", ["intercom", "xlsx in zip"])
def test_killed_within_a_file_the_erasure_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, label: str
) -> None:
    from opsanalytics.cleaning import erasing

    sample = next(each for each in SAMPLES if label in (each.kind, each.label))
    real: Callable[..., None] = getattr(erasing, step)

    def killed(*arguments: Any) -> None:
        real(*arguments)
        raise KilledError

    with sample.served() as url:
        place = Place(sample, tmp_path, url)
        place.deliver()
        place.take_in()
        with monkeypatch.context() as patch:
            patch.setattr(erasing, step, killed)
            with suppress(KilledError):
                place.erase()
        resume(place.settings, {})
        assert place.naming() == []
        assert place.balances()


def test_what_the_vendor_sends_anew_is_taken_out_again(tmp_path: Path) -> None:
    desk = zendesk.ZendeskTickets(25)
    sample = next(each for each in SAMPLES if each.kind == "zendesk")
    with FaultySimulator(*ZENDESK.vendors(desk), clock=lambda: TOMORROW) as simulator:
        place = Place(sample, tmp_path, simulator.url)
        place.deliver()
        place.take_in()
        place.erase()
        said = place.said()
        desk.change(zendesk.BIG + 4, 400, status="closed")
        desk.add(401)
        place.take_in()
    assert len(place.pulled[1].landed) == 2, "a page, and the comments that its ticket needs"
    assert place.naming() == []
    assert place.said().keys() - said.keys() == {f"sample:{zendesk.BIG + 401}"}
    assert place.balances()
