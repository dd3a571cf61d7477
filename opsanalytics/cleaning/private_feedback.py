"""Privacy rules applied to feedback: by the names of our fields, and of the file's."""

from dataclasses import replace
from typing import Any

from opsanalytics.cleaning.privacy import Action, PrivacyRules, without_query
from opsanalytics.cleaning.private_records import WITHHELD
from opsanalytics.cleaning.redaction import normal_email
from opsanalytics.sources.base import FeedbackRow, RejectedRow
from opsanalytics.sources.values import digest

TEXTS = ("text", "title", "user_id", "language", "app_version", "url", "email")


def private_row(rules: PrivacyRules, row: FeedbackRow) -> FeedbackRow:
    """The message under the rules.

    A rule fits a field of the file (`raw`) or one of ours. One of ours that holds the value of a field
    that a rule fits goes the same way, whatever the file calls it.
    """
    raw: dict[str, str] = {}
    # Value -> what becomes of it, as rules say of fields of the file, and of ours.
    actions: dict[str, Action] = {}
    own: dict[str, Action] = {}
    for name, value in row.raw.items():
        action = rules.action(name)
        if value.strip() and action is not None:
            actions[value.strip()] = action
        if action != "drop":
            raw[name] = rules.hashed(value.strip()) if action == "hash" else value
    changes: dict[str, Any] = {}
    for field in TEXTS:
        value = getattr(row, field)
        action = rules.action(field) or actions.get(value or "")
        if value is None or action is None:
            continue
        own[value] = action
        changes[field] = None if action == "drop" else rules.hashed(value)
        if field == "email" and action == "hash":
            # One person, one hash: an address is the same in upper and lower case.
            changes["email_hash"] = rules.keyed(normal_email(value))
    for name, value in raw.items():
        action = own.get(value.strip())
        if action is not None and rules.action(name) is None:
            raw[name] = "" if action == "drop" else rules.hashed(value.strip())
    action = rules.action("id") or actions.get(row.id)
    if action is not None:
        changes["id"] = rules.hashed(row.id) if action == "hash" else digest(row.id)
        if row.url and row.id in row.url:
            changes["url"] = None  # the address of the message names it
    if row.tags is not None:
        changes["tags"] = private_tags(rules, row.tags, actions)
    if rules.action("rating") is not None:
        changes |= {"rating": None, "rating_min": None, "rating_max": None}
    if rules.action("votes") is not None:
        changes["votes"] = None
    if rules.strip_queries:
        raw = {name: without_query(value) for name, value in raw.items()}
        url = changes.get("url", row.url)
        changes["url"] = without_query(url) if url else None
    return replace(row, raw=raw, **changes)


def private_tags(
    rules: PrivacyRules, tags: tuple[str, ...], actions: dict[str, Action]
) -> tuple[str, ...] | None:
    """Tags under the rules: none of a field that is dropped, hashes of one that is hashed."""
    whole = rules.action("tags")
    if whole == "drop":
        return None
    kept = []
    for tag in tags:
        action: Action | None = whole
        if action is None:
            action = next((what for value, what in actions.items() if tag in value), None)
        if action != "drop":
            kept.append(rules.hashed(tag) if action == "hash" else tag)
    return tuple(kept)


def private_reject(row: RejectedRow) -> RejectedRow:
    """A record that cannot be read has no fields that rules could fit: only where it lies is kept."""
    detail = f"{row.reason}; the landed file has the record"
    return replace(row, raw=WITHHELD, detail=detail)
