"""Privacy rules applied to landed JSON records, and records parsed under them."""

import json
from collections.abc import Iterator, Sequence

import msgspec
import polars as pl

from opsanalytics.cleaning.privacy import REMEMBERED, Action, PrivacyRules, without_query
from opsanalytics.sources.base import ROWS, EventSourceSettings, ParsedLines
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.values import DECODER, UnreadableError, after_space, read_members

WITHHELD = b"[withheld by [privacy]; the landed file has it]"
NOT_REDACTABLE = "not_redactable"
KEPT = ("position", "event_id", "source_event", "ts", "received_at", "vendor_day", "second_key", "preference")
"""Columns that say which record it is: always those of the record as it came."""
SHOWN = [name for name in ROWS.names() if name not in KEPT]
SAFE_REASONS = frozenset({"not_json", "not_utf8", "not_an_object"})
"""Reasons whose detail holds nothing of the record."""
BACKSLASH = 0x5C
OPENS = frozenset(b'{["')

read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
read_string = msgspec.json.Decoder(str).decode
write = msgspec.json.Encoder().encode


class NotRedactableError(ValueError):
    """The record cannot be read well enough to apply the rules."""


class RecordRedactor:
    """Applies the rules of one source to its records."""

    def __init__(self, rules: PrivacyRules, settings: EventSourceSettings) -> None:
        self._rules = rules
        self._folders = frozenset(settings.property_folders)
        self._rest = settings.properties_rest
        self._prefixes = settings.id_prefixes
        self._looks_inside = rules.deep or rules.strip_queries
        self._plans: dict[str, dict[str, tuple[Action | None, str]]] = {}

    def record(self, record: bytes) -> bytes:
        """The record under the rules: the same object if nothing changes, else JSON written anew.

        Values that no rule fits keep their text, all digits included.

        Raises:
            NotRedactableError: it is no JSON object, or nested too deep.
        """
        try:
            return self._object(record, "", top=True)
        except (msgspec.DecodeError, UnreadableError, UnicodeError, RecursionError, ValueError) as error:
            raise NotRedactableError(str(error)) from error

    def checked(self, record: bytes) -> bytes:
        """The record as it is. Raises `NotRedactableError`: its members cannot be read."""
        try:
            members_of(record)
        except (msgspec.DecodeError, UnreadableError, UnicodeError, RecursionError, ValueError) as error:
            raise NotRedactableError(str(error)) from error
        return record

    def _object(self, text: bytes, path: str, *, top: bool = False) -> bytes:
        members = members_of(text)
        plan = self._plans.setdefault(path, {})
        if len(plan) > REMEMBERED:
            plan.clear()
        changes: dict[str, bytes | None] = {}
        for name, value in members.items():
            if name not in plan:
                plan[name] = self._step(path, name, top=top)
            action, inside = plan[name]
            if action == "drop":
                changes[name] = None
            elif action == "hash":
                raw = bytes(value)
                new = self._hash(raw)
                if new is not raw:
                    changes[name] = new
            elif self._looks_inside or (top and not inside):
                raw = bytes(value)
                if raw[0] in OPENS:
                    new = self._inside(raw, inside)
                    if new is not raw:
                        changes[name] = new
        if not changes:
            return text
        for name, change in changes.items():
            if change is None:
                del members[name]
            else:
                members[name] = msgspec.Raw(change)
        return written(members)

    def _step(self, path: str, name: str, *, top: bool) -> tuple[Action | None, str]:
        """What becomes of a member, and the start of the names of its own members."""
        if top and name in self._folders:
            return None, ""
        full = f"{path}{name}"
        names = (full, f"{self._rest}.{full}") if self._rest else (full,)
        return self._rules.action(*names), f"{full}."

    def _inside(self, raw: bytes, path: str) -> bytes:
        """An object, list or text under the rules for its members; the same object: it stays."""
        start = raw[:1]
        if start == b'"':
            return self._address(raw) if self._rules.strip_queries else raw
        return self._object(raw, path) if start == b"{" else self._list(raw, path)

    def _list(self, raw: bytes, path: str) -> bytes:
        kept: list[msgspec.Raw] = []
        changed = False
        for item in items_of(raw):
            value = bytes(item)
            key = key_of(value)
            action, inside = self._step(path, key, top=False) if key is not None else (None, path)
            new: bytes | None = value
            if action == "drop":
                new = None
            elif action == "hash":
                new = self._hash(value)
            elif value[0] in OPENS:
                new = self._inside(value, inside)
            changed = changed or new is not value
            if new is not None:
                kept.append(msgspec.Raw(new))
        return write(kept) if changed else raw

    def _hash(self, raw: bytes) -> bytes:
        if raw == b"null":
            return raw
        text = read_text(raw) if raw[:1] == b'"' else raw.decode()
        hashed = self._rules.hashed(text, self._prefixes)
        return raw if hashed == text else json.dumps(hashed).encode()

    def _address(self, raw: bytes) -> bytes:
        if b"?" not in raw and b"#" not in raw and BACKSLASH not in raw:
            return raw
        text = read_text(raw)
        stripped = without_query(text)
        return raw if stripped == text else json.dumps(stripped).encode()


def members_of(text: bytes) -> dict[str, msgspec.Raw]:
    """The members of a JSON object as they are written."""
    try:
        return read_members(text)
    except (msgspec.DecodeError, UnicodeError):
        return dict(spans(text.decode()))  # Python reads more: lone surrogates


def items_of(text: bytes) -> list[msgspec.Raw]:
    """The items of a JSON list as they are written."""
    try:
        return read_list(text)
    except (msgspec.DecodeError, UnicodeError):
        return [item for _, item in spans(text.decode())]


def spans(text: str) -> Iterator[tuple[str, msgspec.Raw]]:
    """Members or items of the JSON object or list `text`, one after the other; items have no name."""
    if not isinstance(DECODER.decode(text), dict | list):
        raise UnreadableError("not_an_object", "neither an object nor a list")
    position = after_space(text, text.index("{" if text.lstrip()[0] == "{" else "[") + 1)
    named = text.lstrip()[0] == "{"
    name = ""
    while text[position] not in "}]":
        if named:
            name, position = DECODER.raw_decode(text, position)
            position = after_space(text, after_space(text, position) + 1)
        start = position
        _, position = DECODER.raw_decode(text, position)
        yield name, msgspec.Raw(text[start:position].encode())
        position = after_space(text, position)
        if text[position] == ",":
            position = after_space(text, position + 1)


def written(members: dict[str, msgspec.Raw]) -> bytes:
    try:
        return write(members)
    except UnicodeError:
        parts = (json.dumps(name).encode() + b":" + bytes(value) for name, value in members.items())
        return b"{" + b",".join(parts) + b"}"


def read_text(raw: bytes) -> str:
    """A JSON string as text, lone surrogates kept."""
    try:
        return read_string(raw)
    except (msgspec.DecodeError, UnicodeError):
        text: str = json.loads(raw)  # a lone surrogate
        return text


def key_of(raw: bytes) -> str | None:
    """The name of a `{"key": NAME, "value": ...}` item, as BigQuery writes parameters."""
    if raw[:1] != b"{" or b'"key"' not in raw or b'"value"' not in raw:
        return None
    members = members_of(raw)
    key = members.get("key")
    if key is None or "value" not in members or bytes(key)[:1] != b'"':
        return None
    return read_text(bytes(key))


def parse_private(
    settings: EventSourceSettings, rules: PrivacyRules, records: Sequence[bytes]
) -> tuple[ParsedLines, list[bytes]]:
    """As `settings.parse_records`, under the rules; and the records as quarantine may keep them.

    Which record it is, and whether it can be used, is read from the record as it came; everything that
    is shown from the record under the rules. With a key, event ids are keyed too: an id is a hash of
    what makes the event one, and could otherwise be found by trying values.
    """
    redactor = RecordRedactor(rules, settings)
    as_came = settings.parse_records(RawLines.of(records))
    kept: list[bytes] = []
    failed: set[int] = set()
    changed: list[int] = []
    for position, record in enumerate(records):
        try:
            redacted = redactor.record(record)
        except NotRedactableError:
            failed.add(position)
            kept.append(WITHHELD)
            continue
        kept.append(redacted)
        if redacted is not record:
            changed.append(position)
    shown = settings.parse_records(RawLines.of([kept[position] for position in changed]))
    rows = with_shown(as_came.rows, shown.rows, changed)
    refused = rows.filter(pl.col("position").is_in(sorted(failed)))
    rows = rows.filter(~pl.col("position").is_in(sorted(failed)))
    details = {changed[position]: (reason, detail) for position, reason, detail, _ in shown.rejected}
    rejected = [
        (position, reason, detail_of(reason, detail, position, failed, set(changed), details), day)
        for position, reason, detail, day in as_came.rejected
    ]
    rejected += [
        (position, NOT_REDACTABLE, "the record is nested too deep to apply [privacy] to it", ts.date())
        for position, ts in refused.select("position", "ts").iter_rows()
    ]
    return ParsedLines(keyed_ids(rules, rows), rejected), kept


def with_shown(rows: pl.DataFrame, shown: pl.DataFrame, changed: Sequence[int]) -> pl.DataFrame:
    """Rows whose shown columns are those of the rewritten records, where they were rewritten."""
    if not changed:
        return rows
    positions = pl.Series(changed, dtype=pl.Int64)
    rewritten = shown.with_columns(positions.gather(shown["position"]).alias("position"))
    is_changed = pl.col("position").is_in(positions.implode())
    replaced = (
        rows.filter(is_changed)
        .select(KEPT)
        .join(rewritten.select("position", *SHOWN), on="position", how="left")
        # A record that is none any more under the rules, without its time, say: nothing of it is shown.
        .with_columns(pl.col("properties").fill_null("{}"))
        .select(ROWS.names())
    )
    return pl.concat([rows.filter(~is_changed), replaced]).sort("position")


def detail_of(
    reason: str,
    detail: str,
    position: int,
    failed: set[int],
    changed: set[int],
    details: dict[int, tuple[str, str]],
) -> str:
    """What was wrong with a record, without what the rules withhold."""
    if reason in SAFE_REASONS or (position not in failed and position not in changed):
        return detail
    other = details.get(position)
    return (
        other[1] if other is not None and other[0] == reason else f"{reason}; the landed file has the record"
    )


def keyed_ids(rules: PrivacyRules, rows: pl.DataFrame) -> pl.DataFrame:
    if rules.key is None:
        return rows
    return rows.with_columns(
        pl.Series(
            name,
            [None if value is None else rules.keyed(value)[:32] for value in rows[name].to_list()],
            dtype=pl.String,
        )
        for name in ("event_id", "second_key")
    )
