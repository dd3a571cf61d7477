import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.cleaning.redaction import email_hash, redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("mail me at Jane.Doe+x@mail.example.co.uk.", "mail me at [email]."),
        ("<bob@example.com>, eve@example.org", "<[email]>, [email]"),
        ("call +49 (0)30 1234-567 or +1 555 123 4567", "call [phone] or [phone]"),
        ("(555) 123-4567, 555-123-4567, 555.123.4567", "[phone], [phone], [phone]"),
        ("0171/1234567 oder 030 1234567", "[phone] oder [phone]"),
        ("+15551234567", "[phone]"),
        ("card 4111 1111 1111 1111!", "card [card]!"),
        ("5555-5555-5555-4444", "[card]"),
        ("378282246310005", "[card]"),
    ],
)
def test_personal_data_are_replaced(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "since 2019-2023 it broke", "on 2026-03-01 10:11:12", "01.03.2026",
        "paid $1,299.00, then 12.345,67 EUR",
        "error 0x80070005", "HTTP 404 500 503", "version 10.15.7 build 20240101.3", "order 1234567890123",
        "4111 1111 1111 1112 is no card", "ticket #555-1234", "192.168.100.101", "10 000 000 users",
        "ISBN 978-3-16-148410-0", "@mention and a@b", "3.14159265358979", "100-200-300",
        "uuid 123e4567-e89b-12d3-a456-426614174000", "12345678-1234-1234-1234-123456789012",
    ],
)  # fmt: skip
def test_numbers_that_matter_survive(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(st.from_regex(r"[a-z0-9._+-]{1,20}@[a-z0-9]{1,10}\.(com|org|de)", fullmatch=True))
def test_no_address_survives(address: str) -> None:
    assert address not in redact(f"write to {address} please")


def test_spellings_of_an_address_have_one_hash() -> None:
    assert email_hash(" Jane@Example.COM ") == email_hash("jane@example.com")
