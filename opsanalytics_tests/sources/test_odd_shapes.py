"""Records of the vendors' APIs with anything at all in any place: each becomes a message, or is set aside."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.lake.paths import Home
from opsanalytics.sources.collecting import collect
from opsanalytics_tests.sources.desks import (
    APP_STORE,
    INTERCOM,
    NOW,
    TYPEFORM,
    ZENDESK,
    Kind,
)

RECORDS: dict[str, dict[str, Any]] = {
    "zendesk": {
        "id": 1, "created_at": "2026-03-01T00:00:00Z", "updated_at": "2026-03-01T00:00:00Z",
        "type": "problem", "generated_timestamp": 1_772_323_200, "subject": "S", "description": "d",
        "status": "open",
        "url": "https://acme.zendesk.com/api/v2/tickets/1.json", "requester_id": 1, "submitter_id": 2,
        "tags": ["a"], "satisfaction_rating": {"score": "good"}, "via": {"channel": "web"},
        "custom_fields": [{"id": 5, "value": "x"}], "requester": {"external_id": "u", "email": "a@b.org"},
        "comments": [{"author_id": 1, "public": True, "plain_body": "words", "html_body": "<p>words</p>"}],
    },
    "intercom": {
        "id": "1", "created_at": 1_772_323_200, "updated_at": 1_772_323_200, "state": "open",
        "source": {"body": "<p>hi</p>", "subject": "S", "url": "https://x.org",
                   "author": {"type": "user", "email": "a@b.org"}},
        "contacts": {"contacts": [{"id": "c", "external_id": "u1"}]},
        "conversation_rating": {"rating": 4, "remark": "r"}, "tags": {"tags": [{"name": "a"}]},
        "custom_attributes": {"App version": "5"},
        "conversation_parts": {"conversation_parts": [{"body": "x", "author": {"type": "user"}}]},
    },
    "typeform": {
        "token": "t1", "response_id": "t1", "submitted_at": "2026-03-01T00:00:00Z", "hidden": {"uid": "1"},
        "calculated": {"score": 3},
        "answers": [
            {"field": {"id": "q1", "ref": "why", "type": "long_text"}, "type": "text", "text": "t"},
            {"field": {"id": "q2", "ref": "n", "type": "nps"}, "type": "number", "number": 3},
            {"field": {"id": "q3"}, "type": "choices", "choices": {"labels": ["a"], "other": "b"}},
        ],
    },
    "app store": {
        "type": "customerReviews", "id": "1",
        "attributes": {"rating": 4, "title": "T", "body": "b", "createdDate": "2026-03-01T00:00:00-08:00"},
        "relationships": {"response": {"data": {"id": "r1", "type": "customerReviewResponses"}}},
    },
}  # fmt: skip
BESIDE: dict[str, dict[str, Any]] = {
    "zendesk": {
        "tickets": [], "users": [{"id": 1, "external_id": "u"}], "after_cursor": "c", "end_of_stream": False,
    },
    "intercom": {
        "conversations": [], "total_count": 1, "pages": {"next": {"page": 2, "starting_after": "c"}},
    },
    "typeform": {"items": [], "page_count": 2, "total_items": 2},
    "app store": {
        "data": [],
        "included": [{"id": "r1", "type": "customerReviewResponses", "attributes": {"state": "x"}}],
        "links": {"next": "https://x.org/?cursor=c"}, "meta": {"paging": {"total": 1}},
    },
}  # fmt: skip
ODD = [
    None, 0, -1, 1.5, 1e308, 2**70, True, "", "x", "x" * 300, "a/../b", "\0", "\ud800", "http://[",
    "9999-99-99", [], [None], [[1]], ["x"], {}, {"type": []}, {"id": {}}, [{"id": []}],
]  # fmt: skip
KINDS = [ZENDESK, INTERCOM, TYPEFORM, APP_STORE]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, the whole left out."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, member in members:
        yield (*place, name)
        yield from places(member, (*place, name))


def odd_ones(value: Any) -> Iterator[Any]:
    """Copies of a JSON value, each with something odd in one place."""
    for place in places(value):
        for odd in ODD:
            changed = copy.deepcopy(value)
            holder = changed
            for name in place[:-1]:
                holder = holder[name]
            holder[place[-1]] = odd
            yield changed


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.vendor)
def test_every_record_of_a_dump_ends_as_message_or_in_quarantine(home: Home, kind: Kind) -> None:
    settings = kind.settings("http://127.0.0.1:1")
    records = [RECORDS[kind.vendor], *odd_ones(RECORDS[kind.vendor])]
    path = home.inbox(settings.name) / "dump.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    collect(settings, home, now=NOW, quiet_seconds=0)
    report = clean_feedback(settings, home)
    assert report.records == len(records)
    assert report.records == report.canonical + report.duplicates + report.quarantined
    assert report.canonical


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.vendor)
def test_what_stands_beside_records_may_be_anything(tmp_path: Path, kind: Kind) -> None:
    settings = kind.settings("http://127.0.0.1:1")
    (key,) = settings.record_keys
    path = tmp_path / "delivery" / "page.json"
    path.parent.mkdir()
    for beside in odd_ones(BESIDE[kind.vendor]):
        path.write_text(json.dumps(beside | {key: [RECORDS[kind.vendor]]}), encoding="utf-8")
        rows, rejected = settings.read(path)
        assert (len(rows), rejected) == (1, [])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.vendor)
def test_an_odd_page_is_walked_or_refused_as_no_page(kind: Kind) -> None:
    settings = kind.settings("http://127.0.0.1:1")
    (key,) = settings.record_keys
    stream = settings.streams[0]
    position = settings.walk_start(stream, NOW, NOW)
    walked = 0
    for page in odd_ones(BESIDE[kind.vendor] | {key: [RECORDS[kind.vendor]]}):
        content = json.dumps(page).encode()
        try:
            outline = settings.outline(stream, position, content)
        except ValueError:
            continue  # told to the reader, and asked for again
        walked += 1
        assert outline.ended or outline.next is not None
        settings.supplements(stream, content, NOW)
        json.dumps(dict(outline.next or {}))
    assert walked
