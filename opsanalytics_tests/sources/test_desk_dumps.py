"""JSON dumps of tickets, conversations and reviews, dropped into the inbox."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import QUARANTINE
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.app_store_connect import AppStoreConnectSettings
from opsanalytics.sources.collecting import collect
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.intercom import IntercomSettings
from opsanalytics.sources.zendesk import ZendeskSettings
from opsanalytics_tests.simulators.app_store import AppStore
from opsanalytics_tests.simulators.faulty import FaultySimulator
from opsanalytics_tests.simulators.intercom import IntercomWorkspace
from opsanalytics_tests.simulators.zendesk import BIG, ZendeskTickets
from opsanalytics_tests.sources.desks import NOW, ZENDESK, arrived, run_pull

INBOX_ONLY = (
    ZendeskSettings(name="desk"),
    IntercomSettings(name="desk"),
    AppStoreConnectSettings(name="desk"),
)


def drop(home: Home, name: str, content: str | bytes) -> Path:
    path = home.inbox("desk") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def records(settings: Any) -> tuple[str, list[dict[str, Any]], Any]:
    """Member of the page, the records with all that a dump has, and the desk."""
    if settings.kind == "zendesk":
        tickets = ZendeskTickets(12)
        dumped = [
            {**ticket, "comments": tickets.comments[identifier]} if identifier in tickets.comments else ticket
            for identifier, ticket in tickets.tickets.items()
        ]
        return "tickets", dumped, tickets
    if settings.kind == "intercom":
        workspace = IntercomWorkspace(12)
        dumped = [
            {**each, "conversation_parts": {"conversation_parts": workspace.parts.get(identifier, [])}}
            for identifier, each in workspace.conversations.items()
        ]
        return "conversations", dumped, workspace
    store = AppStore(12)
    return "data", list(store.reviews.values()), store


def as_array(member: str, dumped: list[Any]) -> str:
    return json.dumps(dumped, indent=2)


def as_lines(member: str, dumped: list[Any]) -> str:
    return "".join(json.dumps(each, ensure_ascii=False) + "\r\n" for each in dumped)


def as_page(member: str, dumped: list[Any]) -> str:
    return json.dumps({member: dumped, "links": {}})


def as_lines_of_pages(member: str, dumped: list[Any]) -> str:
    return "\n".join(json.dumps({member: [each]}) for each in dumped)


@pytest.mark.parametrize("shape", [as_array, as_lines, as_page, as_lines_of_pages])
@pytest.mark.parametrize("settings", INBOX_ONLY, ids=lambda settings: settings.kind)
def test_every_shape_of_a_dump_is_the_truth(home: Home, settings: Any, shape: Any) -> None:
    member, dumped, desk = records(settings)
    drop(home, "dump.json", shape(member, dumped))
    assert collect(settings, home, now=NOW, quiet_seconds=0).records == 12
    assert arrived(settings, home) == desk.truth()


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: gzip.compress(text.encode()),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
    ],
    ids=["gzip", "utf-8 with mark", "utf-16"],
)
def test_compressed_and_marked_dumps_are_read(home: Home, encode: Any) -> None:
    member, dumped, desk = records(INBOX_ONLY[0])
    drop(home, "dump.json", encode(as_page(member, dumped)))
    collect(INBOX_ONLY[0], home, now=NOW, quiet_seconds=0)
    assert arrived(INBOX_ONLY[0], home) == desk.truth()


def test_what_cannot_be_read_is_set_aside_and_the_books_add_up(home: Home) -> None:
    settings = INBOX_ONLY[0]
    _, dumped, desk = records(settings)
    broken = [
        '{"id": 5, "subj',
        "17",
        json.dumps({"subject": "no id"}),
        json.dumps({"id": 9, "created_at": "?"}),
    ]
    drop(home, "dump.jsonl", as_lines("", dumped) + "\n".join(broken))
    assert collect(settings, home, now=NOW, quiet_seconds=0).records == 16
    assert arrived(settings, home) == desk.truth()
    set_aside = pl.concat(pl.read_parquet(path) for path in home.quarantine("desk").glob("*.parquet"))
    assert set_aside.schema == QUARANTINE.schema
    assert sorted(set_aside["reason"]) == ["no_id", "no_time", "not_an_object", "not_json"]
    assert set_aside.sort("record")["raw"][0] == broken[0].encode()
    assert unreconciled(build_ledger(home, [settings]), deliveries(home, "desk")).is_empty()


@pytest.mark.parametrize("content", ["not json", "", "<html>"])
def test_a_file_without_a_record_is_refused_with_the_reason(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dump.json"
    path.write_text(content)
    if content:
        with pytest.raises(InboxError, match=r"dump.json: source desk: no zendesk record in it .*JSON"):
            INBOX_ONLY[0].count_records(path)
    else:
        assert INBOX_ONLY[0].count_records(path) == 0


def test_lone_surrogates_and_other_encodings_do_not_stop_the_others(home: Home) -> None:
    good = {"id": 1, "created_at": "2026-03-01T00:00:00Z", "description": "half \ud800", "tags": ["\udfff"]}
    custom = {**good, "id": 2, "custom_fields": [{"id": "\ud801", "value": "\ud802"}]}
    lines = [
        json.dumps(good).encode(),
        '{"id": 3, "subject": "Käse"}'.encode("latin-1"),
        json.dumps(custom).encode(),
    ]
    drop(home, "dump.jsonl", b"\n".join(lines))
    assert collect(INBOX_ONLY[0], home, now=NOW, quiet_seconds=0).records == 3
    found = arrived(INBOX_ONLY[0], home)
    assert {identifier: said.text for identifier, said in found.items()} == {
        "1": "half \ufffd",
        "2": "half \ufffd",
    }
    set_aside = pl.concat(pl.read_parquet(path) for path in home.quarantine("desk").glob("*.parquet"))
    assert set_aside["raw"].to_list() == [lines[1]]


def test_ids_keep_every_digit(home: Home) -> None:
    member, dumped, _ = records(INBOX_ONLY[0])
    drop(home, "dump.json", as_page(member, dumped))
    collect(INBOX_ONLY[0], home, now=NOW, quiet_seconds=0)
    assert str(BIG + 1) in arrived(INBOX_ONLY[0], home)


def test_an_old_dump_does_not_undo_what_was_pulled_since(home: Home) -> None:
    desk = ZendeskTickets(12)
    old = as_page("tickets", [{**ticket} for ticket in desk.tickets.values()])
    ZENDESK.change(desk, 3, 300)
    desk.change(BIG, 301, status="deleted", description="SCRUBBED")
    with FaultySimulator(*ZENDESK.vendors(desk), clock=lambda: NOW) as simulator:
        settings = ZENDESK.settings(simulator.url)
        run_pull(settings, home)
        drop(home, "old.json", old)
        collect(settings, home, now=NOW, quiet_seconds=0)
        assert arrived(settings, home) == desk.truth()
        assert unreconciled(build_ledger(home, [settings]), deliveries(home, "desk")).is_empty()
    left_out = pl.read_parquet(home.feedback_duplicates_file("desk"))
    assert set(left_out.filter(pl.col("event_id") == f"desk:{BIG}")["reason"]) == {"same_key", "deleted"}


def test_cleaning_twice_gives_the_same_bytes(home: Home) -> None:
    member, dumped, _ = records(INBOX_ONLY[1])
    drop(home, "dump.json", as_page(member, dumped))
    collect(INBOX_ONLY[1], home, now=NOW, quiet_seconds=0)
    clean_feedback(INBOX_ONLY[1], home)
    first = home.feedback_file("desk").read_bytes()
    (home.cleaned("desk") / "_state.json").unlink()
    clean_feedback(INBOX_ONLY[1], home)
    assert home.feedback_file("desk").read_bytes() == first
