"""Which records are of forgotten persons, and what is left of text that mentions them.

Works on salted hashes alone, so that a delivery that comes again years later loses the same records.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from opsanalytics.cleaning.redaction import normal_email
from opsanalytics.lake.erasures import DECIDING, DEVICE, DISTINCT, EMAIL, MENTION, USER, Tombstones
from opsanalytics.sources.base import EventSourceSettings, FeedbackRow
from opsanalytics.sources.lines import RawLines

LEAST_MENTION = 8
"""Shorter ids could be any word or number: in records of others they are left alone."""
REMEMBERED = 200_000
JSON_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')
TOKEN = re.compile(rf"[\w@.+|-]{{{LEAST_MENTION},}}")
NUMBER = re.compile(rf'(?<![\w."+\\-])\d{{{LEAST_MENTION},}}(?![\w."])')
SEPARATOR = re.compile(r"[\s\"',;:{}\[\]\\()<>]+")
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
ERASED = "[erased]"


@dataclass
class Found:
    """What was taken out, by audit number."""

    records: Counter[str] = field(default_factory=Counter)
    mentions: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Found") -> None:
        self.records.update(other.records)
        self.mentions.update(other.mentions)

    def __bool__(self) -> bool:
        return bool(self.records or self.mentions)


class Eraser:
    """Knows the forgotten by their hashes."""

    def __init__(self, stones: Tombstones) -> None:
        audits = stones.audits

        @lru_cache(maxsize=REMEMBERED)
        def look_up(kind: str, value: str, source: str = "") -> str | None:
            return audits.get(stones.hash_of(kind, value, source))

        self._look_up: Callable[..., str | None] = look_up

    def audits_of(self, settings: EventSourceSettings, records: Sequence[bytes]) -> list[str | None]:
        """For each record the audit number of the forgotten person it is of, else None.

        A record is of the person that its user id, else its device, else its distinct id names. A record
        that states an identity, or that cannot be read, is of everybody it names.
        """
        found: list[str | None] = [None] * len(records)
        parsed = settings.parse_records(RawLines.of(records))
        named = parsed.rows.select("position", "user_id", "device_id", "distinct_id", "source_event")
        verbs = []
        for position, user, device, distinct, event in named.iter_rows():
            audit = self._look_up(USER, user) if user is not None else None
            if audit is None and distinct is not None:
                audit = self._look_up(DECIDING, distinct, settings.name)
            if audit is None and user is None and device is not None:
                audit = self._look_up(DEVICE, device, settings.name)
            if audit is None and user is None and distinct is not None:
                audit = self._look_up(DISTINCT, distinct, settings.name)
                if audit is None and device is None:
                    audit = self._look_up(USER, distinct)
            found[position] = audit
            if event in settings.identity_verbs and found[position] is None:
                verbs.append(position)
        for position in [*verbs, *(position for position, *_ in parsed.rejected)]:
            found[position] = self.named_in(records[position].decode("utf-8", "replace"))
        return found

    def audit_of_id(self, source: str, identifier: str) -> str | None:
        """The audit number of the forgotten person who is known by an id of a source, else None."""
        return (
            self._look_up(USER, identifier)
            or self._look_up(DECIDING, identifier, source)
            or self._look_up(DISTINCT, identifier, source)
            or self._mention(identifier)
        )

    def audit_of_message(self, row: FeedbackRow) -> str | None:
        """The audit number of the forgotten person who wrote a message, else None."""
        by_user = self._look_up(USER, row.user_id) or self._mention(row.user_id) if row.user_id else None
        return by_user or (self._look_up(EMAIL, normal_email(row.email)) if row.email else None)

    def without_mentions(self, record: bytes, found: Found) -> bytes:
        """A JSON record of somebody else: values that are ids of the forgotten are null, words erased."""
        text = record.decode("utf-8", "surrogateescape")
        hits: set[str] = set()

        def blank(match: re.Match[str]) -> str:
            value, colon = match[1], match[2]
            audit = self._mention(unescaped(value)) if len(value) >= LEAST_MENTION else None
            if audit is not None:
                hits.add(audit)
                return f'"{ERASED}"{colon}' if colon else "null"
            return f'"{self._blanked(value, hits)}"{colon or ""}'

        left = JSON_TEXT.sub(blank, text)
        left = NUMBER.sub(lambda match: self._number(match[0], hits), left)
        found.mentions.update(hits)
        return left.encode("utf-8", "surrogateescape") if hits else record

    def plain_without_mentions(self, text: str, found: Found) -> str:
        """Any text: words that are ids of the forgotten are erased."""
        hits: set[str] = set()
        left = self._blanked(text, hits)
        found.mentions.update(hits)
        return left

    def is_mention(self, value: str) -> bool:
        """Whether a whole value is an id of the forgotten, and too long to be anything else."""
        return len(value) >= LEAST_MENTION and self._mention(value) is not None

    def value_without_mentions(self, value: str) -> str:
        """A text of a table: erased if it is an id of the forgotten, else without such words."""
        return ERASED if self.is_mention(value) else self._blanked(value, set())

    def _blanked(self, text: str, hits: set[str]) -> str:
        def blank(match: re.Match[str]) -> str:
            # A sentence ends behind an id too.
            word = match[0].rstrip(".|-+")
            audit = self._mention(word) if len(word) >= LEAST_MENTION else None
            if audit is None:
                return match[0]
            hits.add(audit)
            return ERASED + match[0][len(word) :]

        return TOKEN.sub(blank, text) if len(text) >= LEAST_MENTION else text

    def _number(self, digits: str, hits: set[str]) -> str:
        audit = self._mention(digits)
        if audit is None:
            return digits
        hits.add(audit)
        return "null"

    def _mention(self, value: str) -> str | None:
        return self._look_up(MENTION, value) or self._look_up(EMAIL, normal_email(value))

    def named_in(self, text: str) -> str | None:
        """Somebody forgotten whom a record names, read as far as it can be."""
        values = [unescaped(match[1]) for match in JSON_TEXT.finditer(text)]
        for value in (*values, *SEPARATOR.split(text)):
            if len(value) > 1 and (audit := self._mention(value)) is not None:
                return audit
        return None


def unescaped(text: str) -> str:
    """The inside of a JSON string as text; surrogate pairs joined."""
    if "\\" not in text:
        return text
    plain = ESCAPE.sub(
        lambda match: chr(int(match[1], 16)) if match[1] else ESCAPES.get(match[2], match[2]), text
    )
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
