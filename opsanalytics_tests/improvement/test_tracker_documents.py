"""What an issue says is just what was meant: text of users is no markup, mention or reference."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from opsanalytics.cleaning.printable import one_line
from opsanalytics.improvement.trackers.document import (
    Code,
    Facts,
    Paragraph,
    Quotes,
    atlassian,
    harmless_markdown,
    markdown,
)
from opsanalytics.improvement.trackers.evidence import draft
from opsanalytics.improvement.trackers.issues import between_marks
from opsanalytics_tests.improvement.items import pain_point, points, ranked
from opsanalytics_tests.simulators.jira_search import is_document

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NASTY = st.text() | st.text(alphabet="`*_[]()<>#@!|~\\-+.:/&;1a \n\u202e\u0000")
A = "PP-aaaaaaaa"


@given(NASTY)
def test_text_of_users_is_shown_letter_for_letter(text: str) -> None:
    tokens = GFM.parse(harmless_markdown(text))
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    parts = tokens[1].children or [] if tokens else []
    assert {token.type for token in parts} <= {"text", "text_special"}
    shown = "".join(token.content for token in parts)
    # A reference is broken by a character that nobody sees.
    assert shown.replace("\u200b", "") == one_line(text).replace("\u200b", "").strip()


@pytest.mark.parametrize("text", ["@ann", "see #12", "acme/shop#3", "!5"])
def test_mentions_and_references_are_broken(text: str) -> None:
    shown = "".join(token.content for token in GFM.parse(harmless_markdown(text))[1].children or [])
    assert text not in shown
    assert text == shown.replace("\u200b", "")


@given(st.lists(NASTY, max_size=3))
def test_documents_of_jira_have_no_empty_text(texts: list[str]) -> None:
    blocks = [
        Paragraph("".join(texts)),
        Facts(tuple(("Label", text) for text in texts)),
        Quotes(tuple(texts)),
    ]
    assert all(map(is_document, atlassian(blocks)))


def test_code_ends_where_it_ends() -> None:
    text = "select '```' -- ````"
    tokens = GFM.parse(markdown([Code(text), Paragraph("after")]))
    assert tokens[0].type == "fence"
    assert tokens[0].content == f"{text}\n"
    assert tokens[2].content == "after"


@given(st.text(), st.text(), st.text(), st.text())
def test_only_what_stands_between_the_marks_changes(before: str, after: str, one: str, other: str) -> None:
    first = between_marks(f"{before}<b>\nold\n<e>{after}", "<b>", "<e>", one)
    second = between_marks(first, "<b>", "<e>", other)
    if "<" not in before + after + one + other:
        assert second == f"{before}<b>\n{other}\n<e>{after}"


def told(**known: Any) -> str:
    point = pain_point(A, **known)
    made = ranked(points(point))
    entry = made.items.row(0, named=True)
    found = points(point).row(0, named=True)
    issue = draft(entry, found, product="Shop", key="k", quotes=True)
    return markdown(issue.blocks).replace("\\", "")


def test_numbers_have_their_interval_and_n() -> None:
    text = told(
        share=0.1, share_low=0.08, share_high=0.12, rate_affected=0.4, rate_others=0.6, crude_effect=-0.3
    )
    assert "100 of 1,000 persons, 10.0 % (95 % interval 8.0 % to 12.0 %); 40.0 a week" in text
    assert "-25.0 points (95 % interval -33.0 points to -17.0 points)" in text
    assert "Unadjusted: -30.0 points" in text
    assert "10.0 (95 % interval 6.7 to 13.3) conversions a week" in text


def test_personal_data_and_ids_of_persons_stay_here() -> None:
    text = told(
        quotes=["Mail ann@example.com or call +49 30 1234567"],
        example_persons=["person-123"],
        query="SELECT person FROM pain_point_persons",
    )
    assert "[email]" in text
    assert "ann@example" not in text
    assert "person-123" not in text


def test_a_title_of_users_is_one_short_line() -> None:
    point = pain_point(A, title="Broken\n" + "x" * 400 + " ann@example.com")
    entry = ranked(points(point)).items.row(0, named=True)
    issue = draft(entry, None, product="Shop", key="k", quotes=True)
    assert len(issue.title) <= 200
    assert "\n" not in issue.title
    assert "no longer shows it" in markdown(issue.blocks)


def test_the_same_evidence_has_the_same_digest() -> None:
    point = pain_point(A, last_seen=datetime(2026, 3, 1, tzinfo=UTC))
    entry = ranked(points(point)).items.row(0, named=True)
    issues = [
        draft(entry, points(point).row(0, named=True), product="Shop", key="k", quotes=True) for _ in "ab"
    ]
    assert issues[0].digest == issues[1].digest
    json.dumps(atlassian(issues[0].blocks))
