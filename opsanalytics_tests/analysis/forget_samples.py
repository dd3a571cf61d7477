"""A small input of every source kind that names Ann, who is to be forgotten, and Bob, who stays."""

import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from openpyxl import Workbook

from opsanalytics.config import Settings
from opsanalytics.lake.paths import Home
from opsanalytics.sources.landing import Received, commit, temporary_file
from opsanalytics_tests.analysis.conftest import ADDRESS, ANN, BOB, app_lines, survey_lines, web_lines
from opsanalytics_tests.cleaning.test_clean_events import DAY, land
from opsanalytics_tests.cleaning.test_clean_feedback import COLUMNS, HEADER
from opsanalytics_tests.simulators import app_store, typeform
from opsanalytics_tests.simulators.faulty import FaultySimulator
from opsanalytics_tests.sources.desks import APP_STORE, INTERCOM, TOMORROW, TYPEFORM, ZENDESK, Kind
from opsanalytics_tests.sources.file_support import NOON, ga4_record, jsonl, param, put, zipped
from opsanalytics_tests.sources.test_reviews import PLAY, review


@dataclass(frozen=True)
class Sample:
    """How an input of one kind comes, once and again."""

    kind: str
    label: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings besides kind and name."""
    deliver: Callable[[Settings, Path], None] = lambda settings, folder: None
    """Put the input where it is taken from, or land it."""
    served: Callable[[], AbstractContextManager[str | None]] = lambda: nullcontext(None)
    """The vendor while it answers; its address."""
    ids: tuple[str, ...] = (ANN, ADDRESS, ADDRESS.upper())
    """What no file may say afterwards."""
    who: str = ANN
    hers: int = 1
    """How many events, messages and profiles are hers."""
    mentions: int = 0
    """In how many of others she is named."""


def source(settings: Settings) -> Any:
    return next(each for each in settings.sources if each.name == "sample")


def land_mixpanel(settings: Settings, folder: Path) -> None:
    land(settings.home, web_lines(), DAY, DAY + timedelta(days=1), settings=source(settings))
    land_profiles(settings.home, "sample.profiles")


def profiles_page() -> bytes:
    results = [
        {"$distinct_id": ANN, "$properties": {"$email": ADDRESS, "plan": "pro"}},
        {"$distinct_id": BOB, "$properties": {"$email": "bob@example.org", "invited_by": ANN, "big": 2**60}},
    ]
    return json.dumps({"results": results, "page": 0, "total": 2}).encode()


def land_profiles(home: Home, name: str, content: bytes | None = None) -> None:
    """One page of profiles, as a fetch lands it."""
    content = profiles_page() if content is None else content
    with temporary_file(home, name) as (file, path):
        file.write(content)
        file.flush()
        digest = hashlib.sha256(content).hexdigest()
        records = content.count(b"$distinct_id")
        commit(
            home, source=name, kind="mixpanel", delivery="2026-03-10", first_day=None, last_day=None,
            covers=None, request={}, status=200, attempts=1, fetched_at=NOON,
            received=[Received(path, ".json", len(content), digest, digest, records)], file_name="profiles",
        )  # fmt: skip


def land_amplitude(settings: Settings, folder: Path) -> None:
    land(settings.home, app_lines(), DAY, settings=source(settings))


def ga4_records() -> list[dict[str, Any]]:
    of_bob = [param("invited_by", string_value=ANN), param("n", int_value="4")]
    return [
        ga4_record(1, user_id=ANN, user_pseudo_id="phone-of-ann.1"),
        ga4_record(2, user_pseudo_id="phone-of-ann.1"),
        ga4_record(3, user_id=BOB, user_pseudo_id="laptop-of-bob.1"),
        ga4_record(4, user_id=BOB, user_pseudo_id="laptop-of-bob.1", event_params=of_bob),
    ]


def parquet(records: list[dict[str, Any]]) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(records, infer_schema_length=None).write_parquet(content)
    return content.getvalue()


def ga4_parquet() -> bytes:
    """As `bq extract` writes it: whole numbers as such."""
    records = ga4_records()
    for record in records:
        record["event_timestamp"] = int(record["event_timestamp"])
        record["event_params"] = [
            {"key": each["key"], "value": {"string_value": None, "int_value": None} | each["value"]}
            for each in record["event_params"]
        ]
        for value in (each["value"] for each in record["event_params"]):
            value["int_value"] = None if value["int_value"] is None else int(value["int_value"])
    return parquet(records)


def plain_records() -> list[dict[str, Any]]:
    return [
        {"event": "Paid", "time": "2026-03-01T12:00:00Z", "user": ANN, "note": ""},
        {"event": "Paid", "time": "2026-03-01T12:00:01Z", "user": BOB, "note": "still here"},
        {"event": "Invited", "time": "2026-03-01T12:00:02Z", "user": BOB, "note": f"by {ANN} of {ADDRESS}"},
    ]


def in_folder(name: str, content: Callable[[], bytes]) -> Callable[[Settings, Path], None]:
    def deliver(settings: Settings, folder: Path) -> None:
        put(folder / "yours" / name, content())

    return deliver


def in_inbox(name: str, content: Callable[[], bytes]) -> Callable[[Settings, Path], None]:
    def deliver(settings: Settings, folder: Path) -> None:
        put(settings.home.inbox("sample") / name, content())

    return deliver


def csv_of_events() -> bytes:
    return pl.DataFrame(plain_records()).write_csv().encode()


def workbook(text: bytes | None = None) -> bytes:
    """The survey as a workbook, with a second sheet that names Ann."""
    book = Workbook()
    page = book.active
    for row in csv.reader(io.StringIO((text or survey_lines()).decode("utf-8-sig"), newline="")):
        page.append(row)
    book.create_sheet("Notes").append([f"ask {ANN}", 7])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def archive(name: str, content: bytes) -> bytes:
    """An archive of one file, and another that names nobody."""
    other = f"{HEADER}\r\n9,2026-03-04T12:00:00Z,Calm,all well,9,,carl-5000,en,\r\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr(zipfile.ZipInfo(name, (2026, 3, 1, 0, 0, 0)), content)
        members.writestr(zipfile.ZipInfo("other.csv", (2026, 3, 1, 0, 0, 0)), other)
    return file.getvalue()


FORM = (
    '"Timestamp","Username","uid","What is missing?"\n'
    f'"2026/03/01 10:10:09 AM GMT+1","{ADDRESS}","{ANN}","Search"\n'
    f'"2026/03/01 10:11:09 AM GMT+1","bob@example.org","{BOB}","Colours"\n'
)
MONKEY = (
    "Respondent ID,Collector ID,Date Created,Date Modified,IP Address,Email Address,First Name,Last Name,"
    "Custom Data 1,What is missing?\n,,,,,,,,,Open-Ended Response\n"
    f"118234567890123456,4567,03/04/2026 10:00:00 AM,03/04/2026 10:05:00 AM,1.2.3,{ADDRESS},A,L,{ANN},More\n"
    f"118234567890123457,4567,03/04/2026 10:00:00 AM,03/04/2026 10:05:00 AM,1.2.3.4,,B,L,{BOB},Less\n"
)
TYPEFORM_CSV = (
    f"#,What is missing?,uid,Start Date (UTC),Submit Date (UTC),Network ID\n"
    f"tok1,Search,{ANN},2026-03-01 10:00:00,2026-03-01 10:01:00,n1\n"
    f"tok2,Colours,{BOB},2026-03-01 10:00:00,2026-03-01 10:01:00,n2\n"
)
STORE = (
    "Review ID,Date,Author,Rating,Title,Review,Version,Country\n"
    f"77,2026-03-01,joe,4,Nice,Write to {ADDRESS},1.2,us\n78,2026-03-01,eve,4,Fine,Good app,1.2,us\n"
)


def play_reviews() -> bytes:
    told = review(text=f"Write to {ADDRESS}")
    other = review(text="Good", link="http://x?reviewId=gp:AOther")
    return "\r\n".join([PLAY, told, other, ""]).encode("utf-16")


def desk(kind: Kind, change: Callable[[Any], None]) -> Callable[[], AbstractContextManager[str | None]]:
    """A simulated vendor of 35 records, some of them Ann's."""

    @contextmanager
    def served() -> Iterator[str]:
        made = kind.make(35)
        change(made)
        with FaultySimulator(*kind.vendors(made), clock=lambda: TOMORROW) as simulator:
            yield simulator.url

    return served


def conversations_of_ann(workspace: Any) -> None:
    """One that she began, the last of a page, and one whose words stand in its parts."""
    for number in (0, 9, 5):
        conversation = workspace.conversations[sorted(workspace.conversations)[number]]
        conversation["contacts"]["contacts"][0]["external_id"] = ANN
        conversation["source"]["author"]["email"] = ADDRESS
    of_bob = workspace.conversations[sorted(workspace.conversations)[1]]
    of_bob["source"]["body"] = f"<p>As {ANN} says</p>"


def responses_of_ann(account: Any) -> None:
    for number in (3, 24, 25, 34):
        response = account.responses[f"tok{number:09}"]
        response["hidden"]["uid"] = ANN
        response["answers"][2]["email"] = ADDRESS


def review_about_ann(store: Any) -> None:
    store.edit(sorted(store.reviews)[4], body=f"Write to {ADDRESS}")


def nothing(_: Any) -> None:
    """Ann is there already, by the names that the vendor gives."""


QUICKLY: dict[str, Any] = {"page_size": 10}
CSV_CONFIG = {"columns": COLUMNS, "rating_scale": [0, 10]}
MAPPED = {"columns": {"event": "event", "ts": "time", "user_id": "user"}, "path": "yours"}
THERE = {"path": "yours"}
ZENDESK_IDS = ("u7000000000005", "user7000000000005@example.com")
SAMPLES = (
    Sample(
        "mixpanel",
        "export and profiles",
        {"project_id": "1", "profiles": True},
        land_mixpanel,
        hers=5,
        mentions=2,
    ),
    Sample("amplitude", "zip", {}, land_amplitude, ids=(ANN, "tablet-of-ann", "900100200"), hers=2),
    Sample(
        "ga4",
        "jsonl.gz",
        THERE,
        in_folder("events_20260301.jsonl.gz", lambda: zipped(ga4_records())),
        ids=(ANN, "phone-of-ann.1"),
        hers=2,
        mentions=1,
    ),
    Sample(
        "ga4",
        "parquet",
        THERE,
        in_folder("events_20260301.parquet", ga4_parquet),
        ids=(ANN, "phone-of-ann.1"),
        hers=2,
        mentions=1,
    ),
    Sample("event_files", "csv", MAPPED, in_folder("log.csv", csv_of_events), mentions=1),
    Sample(
        "event_files",
        "csv.gz",
        MAPPED,
        in_folder("log.csv.gz", lambda: gzip.compress(csv_of_events())),
        mentions=1,
    ),
    Sample(
        "event_files",
        "parquet",
        MAPPED,
        in_folder("log.parquet", lambda: parquet(plain_records())),
        mentions=1,
    ),
    Sample(
        "event_files", "jsonl", MAPPED, in_folder("log.jsonl", lambda: jsonl(plain_records())), mentions=1
    ),
    Sample("feedback_csv", "csv", CSV_CONFIG, in_inbox("a.csv", survey_lines), hers=2, mentions=1),
    Sample("feedback_csv", "xlsx", CSV_CONFIG, in_inbox("a.xlsx", workbook), hers=2, mentions=1),
    Sample(
        "feedback_csv",
        "zip",
        CSV_CONFIG,
        in_inbox("a.zip", lambda: archive("a.csv", survey_lines())),
        hers=2,
        mentions=1,
    ),
    Sample(
        "feedback_csv",
        "xlsx in zip",
        CSV_CONFIG,
        in_inbox("b.zip", lambda: archive("a.xlsx", workbook())),
        hers=2,
        mentions=1,
    ),
    Sample(
        "feedback_csv",
        "gzip",
        CSV_CONFIG,
        in_inbox("a.csv.gz", lambda: gzip.compress(survey_lines())),
        hers=2,
        mentions=1,
    ),
    Sample(
        "google_forms",
        "csv",
        {"questions": ["What is missing?"], "user_id": "uid"},
        in_inbox("form.csv", FORM.encode),
    ),
    Sample(
        "surveymonkey",
        "csv",
        {"questions": ["What is missing?"], "user_id": "Custom Data 1", "day_first": False},
        in_inbox("monkey.csv", MONKEY.encode),
    ),
    Sample(
        "typeform_csv",
        "csv",
        {"questions": ["What is missing?"], "user_id": "uid"},
        in_inbox("form.csv", TYPEFORM_CSV.encode),
    ),
    Sample("google_play", "csv in UTF-16", {}, in_inbox("reviews.csv", play_reviews), hers=0, mentions=1),
    Sample("app_store_csv", "csv", {}, in_inbox("reviews.csv", STORE.encode), hers=0, mentions=1),
    Sample(
        "zendesk",
        "API",
        {
            "subdomain": "acme",
            "requests_per_minute": 100_000,
            "comment_requests_per_minute": 100_000,
            **QUICKLY,
        },
        served=desk(ZENDESK, nothing),
        ids=(*ZENDESK_IDS, "number 4"),
        who=ZENDESK_IDS[0],
    ),
    Sample(
        "intercom",
        "API",
        {"region": "eu", "requests_per_10_seconds": 100_000, **QUICKLY},
        served=desk(INTERCOM, conversations_of_ann),
        ids=(ANN, ADDRESS, "Slow 5"),
        hers=3,
        mentions=1,
    ),
    Sample(
        "typeform_api",
        "API",
        {"forms": [typeform.FORM], "hidden": {"user_id": "uid"}, "requests_per_second": 100_000, **QUICKLY},
        served=desk(TYPEFORM, responses_of_ann),
        hers=4,
    ),
    Sample(
        "app_store_connect",
        "API",
        {"apps": [app_store.APP], "requests_per_hour": 10_000_000, **QUICKLY},
        served=desk(APP_STORE, review_about_ann),
        hers=0,
        mentions=1,
    ),
)
