"""Taking personal data out of free text: e-mail addresses, phone numbers, payment cards.

Conservative on purpose: years, dates, prices, versions, order numbers and error codes must survive,
so only unmistakable spellings are replaced. It is no anonymisation: names stay.
"""

import hashlib
import re

EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]+\.)+[A-Za-z]{2,}(?![\w-])")
CARD = re.compile(r"(?<![\d.,-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\d.-]*\d)")
PHONE = re.compile(
    r"""(?<![\w.,+-])(?:
        \+\d{1,3}(?:[ ./-]?\(?\d{1,5}\)?){2,6}      # +49 (0)30 1234-567, +15551234567
      | 00[1-9]\d{0,2}(?:[ ./-]\(?\d{2,5}\)?){2,5}  # 0049 30 1234567
      | \(\d{3}\)[ ]?\d{3}[ .-]\d{4}                # (555) 123-4567
      | \d{3}([.-])\d{3}\1\d{4}                     # 555-123-4567, 555.123.4567
      | 0\d{2,4}[ /]\d{3,4}[ -]?\d{3,5}             # 030 1234567, 0171/1234567
    )(?![\w-]|[.,]\d)""",
    re.VERBOSE,
)
PHONE_DIGITS = range(8, 16)
CARD_DIGITS = range(13, 20)


def redact(text: str) -> str:
    """`text` with e-mail addresses, card and phone numbers replaced by `[email]`, `[card]`, `[phone]`."""
    text = EMAIL.sub("[email]", text)
    text = CARD.sub(lambda match: "[card]" if is_card(match[0]) else match[0], text)
    return PHONE.sub(lambda match: "[phone]" if is_phone(match[0]) else match[0], text)


def is_card(text: str) -> bool:
    """Whether the digits satisfy the check digit that payment cards carry (Luhn)."""
    digits = [int(character) for character in text if character.isdigit()]
    if len(digits) not in CARD_DIGITS or len(set(digits)) == 1:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_phone(text: str) -> bool:
    return sum(character.isdigit() for character in text) in PHONE_DIGITS


def email_hash(address: str) -> str:
    """SHA-256 of the trimmed lower-case address, hexadecimal: links records without the address."""
    return hashlib.sha256(normal_email(address).encode("utf-8", "surrogatepass")).hexdigest()


def normal_email(address: str) -> str:
    """The address without what makes no difference: spaces around it, upper and lower case."""
    return address.strip().lower()
