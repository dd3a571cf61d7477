"""Intercom conversations to messages: what the customer wrote, and nobody else."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.json_records import JsonRecord, member_of, objects_in
from opsanalytics.sources.markup import plain_text
from opsanalytics.sources.paging import Beside
from opsanalytics.sources.values import UnreadableError, epoch_moment, id_of, text_of

CONVERSATION = "conversation-"
"""Name of the supplement with a conversation's parts, before its id."""
CUSTOMERS = frozenset({"user", "lead", "contact"})
LOWEST, HIGHEST = 1.0, 5.0
PLAIN = frozenset(
    {"id", "created_at", "updated_at", "state", "open", "priority", "delivered_as", "source_type",
     "contact_id", "rating", "admin_assignee_id", "team_assignee_id"}
)  # fmt: skip


def changed_at(conversation: Mapping[str, Any]) -> datetime | None:
    return epoch_moment(conversation.get("updated_at"))


def is_customer(author: Any) -> bool:
    return isinstance(author, dict) and text_of(author.get("type")) in CUSTOMERS


def needs_parts(conversation: Mapping[str, Any]) -> bool:
    """Whether the customer's words, if there are any, stand in the parts only."""
    source = conversation.get("source")
    began = isinstance(source, dict) and is_customer(source.get("author"))
    return not began and not isinstance(conversation.get("conversation_parts"), dict)


class ConversationReader:
    """Reads conversations; `attributes` maps fields of a message to names of custom attributes."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._attributes = attributes

    def message(self, record: JsonRecord, beside: Beside) -> FeedbackRow:
        """A conversation as a message.

        Raises:
            UnreadableError: it has no id or no time of creation.
        """
        conversation = record.fields
        identifier = id_of(conversation.get("id"))
        if identifier is None:
            raise UnreadableError("no_id", "the conversation has no id")
        created = epoch_moment(conversation.get("created_at"))
        if created is None:
            raise UnreadableError("no_time", f"conversation {identifier} has no readable created_at")
        custom = member_of(conversation, "custom_attributes")
        mapped = {name: text_of(custom.get(attribute)) for name, attribute in self._attributes.items()}
        source = member_of(conversation, "source")
        own = is_customer(source.get("author"))
        words = "\n\n".join(own_words(conversation, beside)) or None
        rating = member_of(conversation, "conversation_rating")
        score = stars(rating.get("rating"))
        state = conversation.get("state")
        subject = plain_text(text_of(source.get("subject"))) if own and not source.get("redacted") else None
        return FeedbackRow(
            record=record.number,
            id=identifier,
            ts=created,
            text=words,
            title=subject,
            user_id=id_of(mapped.get("user_id")) or external_id(conversation),
            email=text_of(member_of(source, "author").get("email")) if own else None,
            rating=score,
            rating_min=None if score is None else LOWEST,
            rating_max=None if score is None else HIGHEST,
            language=mapped.get("language"),
            app_version=mapped.get("app_version"),
            url=mapped.get("url") or (text_of(source.get("url")) if own else None),
            raw=raw_fields(conversation, custom),
            tags=tuple(
                str(tag["name"])
                for tag in objects_in(member_of(conversation, "tags"), "tags")
                if tag.get("name")
            ),
            resolved=None if state is None else state == "closed",
            plain_fields=PLAIN,
            updated_at=changed_at(conversation),
            left_out=None if words or subject or score is not None else "no_words",
        )


def stars(value: Any) -> float | None:
    """A rating on the scale; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not LOWEST <= value <= HIGHEST:
        return None
    return float(value)


def own_words(conversation: Mapping[str, Any], beside: Beside) -> Iterator[str]:
    """Texts of the customer, the opening one first; what was redacted is left out."""
    source = member_of(conversation, "source")
    parts = conversation
    if not isinstance(conversation.get("conversation_parts"), dict):
        found = beside.supplement(f"{CONVERSATION}{id_of(conversation.get('id'))}")
        parts = found if isinstance(found, dict) else {}
    for part in (source, *objects_in(member_of(parts, "conversation_parts"), "conversation_parts")):
        if is_customer(part.get("author")) and not part.get("redacted"):
            text = plain_text(text_of(part.get("body")))
            if text is not None:
                yield text


def external_id(conversation: Mapping[str, Any]) -> str | None:
    """The id that the product gave the customer."""
    for contact in objects_in(member_of(conversation, "contacts"), "contacts"):
        identifier = id_of(contact.get("external_id"))
        if identifier is not None:
            return identifier
    return None


def raw_fields(conversation: Mapping[str, Any], custom: Mapping[str, Any]) -> dict[str, str]:
    """What else is worth keeping, flat; what the team wrote is left in the landed page."""
    source, rating = member_of(conversation, "source"), member_of(conversation, "conversation_rating")
    contact = next(iter(objects_in(member_of(conversation, "contacts"), "contacts")), {})
    values = {
        name: conversation.get(name)
        for name in ("id", "created_at", "updated_at", "state", "open", "priority", "admin_assignee_id",
                     "team_assignee_id")
    } | {
        "source_type": source.get("type"),
        "delivered_as": source.get("delivered_as"),
        "contact_id": contact.get("id"),
        "rating": rating.get("rating"),
        "rating_remark": rating.get("remark"),
        **{f"attribute {name}": value for name, value in custom.items()},
    }  # fmt: skip
    return {name: text for name, value in values.items() if (text := text_of(value)) is not None}
