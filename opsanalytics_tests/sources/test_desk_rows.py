"""What of a ticket, conversation, response or review becomes which field of a message."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.lake.paths import Home
from opsanalytics.sources.app_store_connect import AppStoreConnectSettings
from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.errors import CredentialError
from opsanalytics.sources.intercom import IntercomSettings
from opsanalytics.sources.markup import plain_text, words_of
from opsanalytics.sources.typeform_api import TypeformApiSettings
from opsanalytics.sources.zendesk import ZendeskSettings
from opsanalytics_tests.simulators.app_store import AppStore
from opsanalytics_tests.simulators.faulty import FaultySimulator
from opsanalytics_tests.simulators.intercom import IntercomWorkspace
from opsanalytics_tests.simulators.typeform import TypeformAccount
from opsanalytics_tests.simulators.zendesk import BIG, ZendeskTickets
from opsanalytics_tests.sources.desks import (
    APP_STORE,
    ENVIRON,
    INTERCOM,
    NOW,
    TOMORROW,
    TYPEFORM,
    ZENDESK,
    Kind,
    arrived,
    run_pull,
)


def pulled(kind: Kind, desk: Any, home: Home, **changes: Any) -> dict[str, dict[str, Any]]:
    """All messages after one pull, by id."""
    with FaultySimulator(*kind.vendors(desk), clock=lambda: TOMORROW) as simulator:
        settings = kind.settings(simulator.url, **changes)
        run_pull(settings, home)
        clean_feedback(settings, home)
    rows = pl.read_parquet(home.feedback_file("desk")).to_dicts()
    return {row["feedback_id"].removeprefix("desk:"): row for row in rows}


def read_one(settings: Any, tmp_path: Path, *records: dict[str, Any]) -> list[FeedbackRow]:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(list(records)))
    rows, rejected = settings.read(path)
    assert rejected == []
    return list(rows)


def test_a_ticket(home: Home) -> None:
    fields = {"app_version": "360001"}
    message = pulled(ZENDESK, ZendeskTickets(2), home, custom_fields=fields)[str(BIG + 1)]
    assert message["ts"] == datetime(2026, 3, 1, 0, 7, tzinfo=UTC)
    assert message["text"] == "Export 1 fails\u2028twice"
    assert (message["rating"], message["satisfaction"], message["resolved"]) == (0.0, 0.0, True)
    assert (message["kind"], message["tags"], message["language"]) == ("bug", ["export", "n1"], "de")
    assert (message["user_id"], message["app_version"]) == ("u7000000000002", "4.1")
    assert message["url"] == f"https://acme.zendesk.com/agent/tickets/{BIG + 1}"
    assert message["email_hash"] is not None
    assert json.loads(message["raw"])["requester_id"] == "7000000000002"


def test_a_ticket_opened_by_an_agent_says_what_the_requester_wrote(home: Home) -> None:
    assert pulled(ZENDESK, ZendeskTickets(5), home)[str(BIG + 4)]["text"] == "It is number 4 & worse"


def test_without_comments_a_ticket_opened_by_an_agent_says_nothing(home: Home) -> None:
    messages = pulled(ZENDESK, ZendeskTickets(5), home, comments=False)
    assert (messages[str(BIG + 4)]["text"], messages[str(BIG + 4)]["rating"]) == (None, 1.0)


def test_comments_that_came_later_are_fetched_with_the_changed_ticket(home: Home) -> None:
    desk = ZendeskTickets(5)
    own = desk.comments.pop(BIG + 4)
    desk.tickets[BIG + 4]["satisfaction_rating"] = None
    with FaultySimulator(*ZENDESK.vendors(desk), clock=lambda: TOMORROW) as simulator:
        settings = ZENDESK.settings(simulator.url)
        run_pull(settings, home)
        assert str(BIG + 4) not in arrived(settings, home)
        desk.comments[BIG + 4] = own
        desk.change(BIG + 4, 300)
        run_pull(settings, home, now=TOMORROW)
        assert arrived(settings, home)[str(BIG + 4)].text == "It is number 4 & worse"


def test_a_deleted_ticket_takes_its_earlier_versions_along(home: Home) -> None:
    desk = ZendeskTickets(5)
    with FaultySimulator(*ZENDESK.vendors(desk), clock=lambda: TOMORROW) as simulator:
        settings = ZENDESK.settings(simulator.url)
        run_pull(settings, home)
        assert str(BIG) in arrived(settings, home)
        desk.change(BIG, 300, status="deleted", subject="SCRUBBED", description="SCRUBBED")
        desk.change(BIG + 4, 301, status="deleted")
        run_pull(settings, home, now=TOMORROW)
        assert arrived(settings, home).keys() == {str(BIG + 1), str(BIG + 2), str(BIG + 3)}


def test_a_conversation(home: Home) -> None:
    attributes = {"app_version": "App version"}
    message = pulled(INTERCOM, IntercomWorkspace(5), home, attributes=attributes)["215000000000000005"]
    assert message["ts"] == datetime(2026, 3, 1, 0, 28, tzinfo=UTC)
    assert message["text"] == "Button 4 is dead\n😀"
    assert (message["rating"], message["satisfaction"], message["resolved"]) == (5.0, 1.0, True)
    assert (message["user_id"], message["app_version"], message["tags"]) == ("user-4", "2.4", ["ui"])
    assert message["url"] == "https://app.example.com/page/4"
    assert message["email_hash"] is not None


def test_what_the_team_and_its_robots_say_is_no_feedback(home: Home) -> None:
    messages = pulled(INTERCOM, IntercomWorkspace(18), home)
    assert messages["215000000000000006"]["text"] == "Slow 5"
    assert "215000000000000018" not in messages, "only the team spoke"
    assert not any(
        "help" in (row["text"] or "") or "Thanks" in (row["text"] or "") for row in messages.values()
    )


def test_a_redacted_conversation_loses_its_words(home: Home) -> None:
    desk = IntercomWorkspace(3)
    first = sorted(desk.conversations)[0]
    with FaultySimulator(desk, clock=lambda: TOMORROW) as simulator:
        settings = INTERCOM.settings(simulator.url)
        run_pull(settings, home)
        redacted = {**desk.conversations[first]["source"], "redacted": True, "body": "<p>removed</p>"}
        desk.change(first, 300, source=redacted)
        run_pull(settings, home, now=TOMORROW)
        assert arrived(settings, home)[first].text is None
        assert arrived(settings, home) == desk.truth()


def test_a_response(home: Home) -> None:
    message = pulled(TYPEFORM, TypeformAccount(3), home)["tok000000002"]
    assert message["text"] == "Because of 2\n\u0085<b> & so on"
    assert (message["rating"], message["rating_min"], message["rating_max"]) == (3.0, 1.0, 5.0)
    assert (message["user_id"], message["app_version"]) == ("9007199254740995", "5.1")
    assert message["email_hash"] is not None
    raw = json.loads(message["raw"])
    assert raw["Why do you say so?"] == "Because of 2\n\u0085<b> & so on"
    assert (raw["Your plan"], raw["Your address"]) == ("Team", "[email]")


def test_a_scale_outlives_the_question_in_the_form(home: Home) -> None:
    desk = TypeformAccount(3)
    with FaultySimulator(desk, clock=lambda: TOMORROW) as simulator:
        settings = TYPEFORM.settings(simulator.url)
        run_pull(settings, home)
        desk.definition = {**desk.definition, "fields": desk.definition["fields"][1:]}
        run_pull(settings, home, now=TOMORROW)
        assert arrived(settings, home) == desk.truth()


@pytest.mark.parametrize(
    ("kind", "properties", "number", "scale"),
    [
        ("nps", {}, 0, (0, 10)),
        ("rating", {"steps": 7}, 7, (1, 7)),
        ("opinion_scale", {"steps": 6}, 0, (0, 5)),
        ("opinion_scale", {"steps": 6, "start_at_one": True}, 6, (1, 6)),
        ("opinion_scale", {"steps": 6, "start_at_one": True}, 0, None),
    ],
)
def test_scales(
    home: Home, kind: str, properties: dict[str, Any], number: int, scale: tuple[int, int] | None
) -> None:
    desk = TypeformAccount(1)
    desk.definition["fields"][0] |= {"type": kind, "properties": properties}
    desk.responses["tok000000000"]["answers"][0] |= {
        "field": {"id": "q1", "ref": "score", "type": kind},
        "number": number,
    }
    message = pulled(TYPEFORM, desk, home)["tok000000000"]
    found = None if message["rating"] is None else (message["rating_min"], message["rating_max"])
    assert found == scale


def test_only_named_questions_are_the_message(home: Home) -> None:
    desk = TypeformAccount(1)
    other = {"field": {"id": "q9", "ref": "name", "type": "short_text"}, "type": "text", "text": "Ann"}
    desk.responses["tok000000000"]["answers"].append(other)
    assert pulled(TYPEFORM, desk, home, text=["name"])["tok000000000"]["text"] == "Ann"


def test_a_review(home: Home) -> None:
    desk = AppStore(2)
    identifier = sorted(desk.reviews)[1]
    desk.respond(identifier, "Thank you")
    message = pulled(APP_STORE, desk, home)[identifier]
    assert message["ts"] == datetime(2026, 3, 1, 0, 7, tzinfo=UTC)
    assert (message["title"], message["text"]) == ("Title 1", "Title 1\n\nIt is <3 of 1")
    assert (message["rating"], message["rating_min"], message["rating_max"]) == (2.0, 1.0, 5.0)
    raw = json.loads(message["raw"])
    assert (raw["app"], raw["territory"], raw["response"]) == ("682658836", "USA", "Thank you")
    assert "Anne Johnson" not in message["raw"]


def test_a_response_of_the_developer_is_noticed_by_the_next_pull(home: Home) -> None:
    desk = AppStore(2)
    identifier = sorted(desk.reviews)[0]
    pulled(APP_STORE, desk, home)
    desk.respond(identifier, "Thank you")
    assert json.loads(pulled(APP_STORE, desk, home)[identifier]["raw"])["response"] == "Thank you"


def test_reviews_are_read_again_as_far_back_as_asked(home: Home) -> None:
    desk = AppStore(0)
    for index in (0, 1, 300, 600, 601):  # days 0, 0, 1, 2, 2
        desk.add(index)
    old, young = sorted(desk.reviews)[0], sorted(desk.reviews)[2]
    with FaultySimulator(desk, clock=lambda: TOMORROW) as simulator:
        settings = APP_STORE.settings(simulator.url, reread_days=2, page_size=1)
        run_pull(settings, home)
        desk.edit(young, body="edited")
        desk.edit(old, body="edited")
        run_pull(settings, home, now=TOMORROW)
        found = arrived(settings, home)
    assert str(found[young].text).endswith("edited")
    assert not str(found[old].text).endswith("edited")


@pytest.mark.parametrize(
    "key", ["-----BEGIN PRIVATE KEY-----\nsecret-part\n-----END PRIVATE KEY-----", "/no/such"]
)
def test_an_unusable_private_key_is_not_shown(key: str) -> None:
    settings = AppStoreConnectSettings(name="desk", apps=("1",))
    with pytest.raises(CredentialError, match="APP_STORE_PRIVATE_KEY") as caught:
        settings.credentials({**ENVIRON, "APP_STORE_PRIVATE_KEY": key}, NOW)
    assert "secret-part" not in str(caught.value)


def test_a_private_key_may_lie_in_a_file_or_have_escaped_line_ends(tmp_path: Path) -> None:
    settings = AppStoreConnectSettings(name="desk", apps=("1",))
    text = ENVIRON["APP_STORE_PRIVATE_KEY"]
    path = tmp_path / "AuthKey.p8"
    path.write_text(text)
    for value in (str(path), text.replace("\n", "\\n")):
        settings.credentials({**ENVIRON, "APP_STORE_PRIVATE_KEY": value}, NOW)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one</p><p>two<br>three</p>", "one\ntwo\nthree"),
        ("a &lt;b&gt; &amp; c&nbsp;d", "a <b> & c d"),
        ("<style>p {}</style><script>x</script><p>said</p>", "said"),
        ("<p> </p>", None),
        ("x < y and y > z", "x < y and y > z"),
        ("if a<b and c>d", "if a<b and c>d"),
        ('<p dir="auto">see <a href="https://x.y">this</a></p>', "see this"),
        ("<ul><li>one</li><li>two</li></ul>", "one\ntwo"),
        ("<p>odd\u2028line \u0085 😀</p>", "odd\u2028line \u0085 😀"),
        ("<div>" * 3_000 + "deep", "deep"),
        ("a<!-- no --> b<br/>c", "a b\nc"),
        (None, None),
    ],
)
def test_markup_to_text(markup: str | None, text: str | None) -> None:
    assert plain_text(markup) == text


def test_text_about_markup_is_no_markup() -> None:
    assert words_of("the <div> is empty") == "the <div> is empty"
    assert words_of("<p>the page</p>") == "the page"


def test_a_record_of_nobody_s_words_is_left_out(tmp_path: Path) -> None:
    bot = {"id": "1", "created_at": 1772323200, "source": {"author": {"type": "bot"}, "body": "hello"}}
    ticket = {"id": 1, "created_at": "2026-03-01T00:00:00Z"}
    answer = {"token": "a", "submitted_at": "2026-03-01T00:00:00Z", "answers": []}
    for settings, record in (
        (IntercomSettings(name="desk"), bot),
        (ZendeskSettings(name="desk"), ticket),
        (TypeformApiSettings(name="desk"), answer),
    ):
        assert [row.left_out for row in read_one(settings, tmp_path, record)] == ["no_words"]
