import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.feedback.words import content_words, fingerprint, phrases, quotation, words


def test_stop_words_and_numbers_carry_nothing() -> None:
    assert content_words("I can't log in to my account since 12345!") == ["can't", "log", "account"]


def test_http_status_codes_stay() -> None:
    assert content_words("Error 500 on checkout") == ["error", "500", "checkout"]


def test_links_tags_addresses_and_redaction_marks_are_no_words() -> None:
    text = "<b>refund</b> see https://example.com/x?y=1 mail me@example.com [email] &nbsp;"
    assert content_words(text) == ["refund", "mail"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Überweisung fehlgeschlagen", ["überweisung", "fehlgeschlagen"]),
        ("भुगतान विफल", ["भुगतान", "विफल"]),
        ("оплата не проходит", ["оплата", "не", "проходит"]),
        ("无法付款", ["无法", "法付", "付款"]),
    ],
)
def test_words_of_other_scripts_stay_whole(text: str, expected: list[str]) -> None:
    assert content_words(text) == expected


def test_pairs_reach_over_stop_words() -> None:
    assert "reset password" in phrases(content_words("reset my password"))


def test_fingerprint_ignores_case_order_digits_and_punctuation() -> None:
    assert fingerprint("Order 123 FAILED!") == fingerprint("failed: order 9 9")


def test_fingerprint_keeps_texts_apart() -> None:
    assert fingerprint("card lost") != fingerprint("card stolen")


@given(st.text(max_size=400), st.integers(min_value=10, max_value=60))
def test_quotations_are_one_short_line_without_control_characters(text: str, length: int) -> None:
    quote = quotation(text, length)
    assert len(quote) <= length
    assert quote.isprintable() or not quote.isascii()
    assert "\n" not in quote
    assert "\u202e" not in quote


@given(st.text(max_size=300))
def test_words_never_hold_space_or_markup(text: str) -> None:
    assert all(word and not set(word) & set(' <>"=;()\n') for word in words(text))
