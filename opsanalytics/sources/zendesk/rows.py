"""Zendesk tickets to messages: the requester's own first words, and what is known about them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from opsanalytics.lake.schemas import Kind
from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.json_records import JsonRecord, list_in, member_of, objects_in
from opsanalytics.sources.markup import plain_text, words_of
from opsanalytics.sources.paging import Beside
from opsanalytics.sources.values import UnreadableError, epoch_moment, id_of, text_of

COMMENTS = "comments-"
"""Name of the supplement with the comments of a ticket, before its id."""
SETTLED = frozenset({"solved", "closed"})
DELETED = "deleted"
GOOD, BAD = ("good", "goodwithcomment"), ("bad", "badwithcomment")
KIND_OF_TYPE: Mapping[str, Kind] = {"problem": "bug", "incident": "bug", "question": "question"}
PLAIN = frozenset(
    {"id", "created_at", "updated_at", "generated_timestamp", "status", "type", "priority", "channel",
     "requester_id", "submitter_id", "satisfaction", "brand_id", "form_id"}
)  # fmt: skip


def changed_at(ticket: Mapping[str, Any]) -> datetime | None:
    """When a ticket changed last: its export time stamp moves also when `updated_at` does not."""
    moments = [epoch_moment(ticket.get(name)) for name in ("generated_timestamp", "updated_at")]
    return max((moment for moment in moments if moment is not None), default=None)


def needs_comments(ticket: Mapping[str, Any]) -> bool:
    """Whether the description may not be the requester's own words."""
    if ticket.get("status") == DELETED or isinstance(ticket.get("comments"), list):
        return False
    submitter = id_of(ticket.get("submitter_id"))
    return submitter is not None and submitter != id_of(ticket.get("requester_id"))


class TicketReader:
    """Reads tickets; `custom_fields` maps fields of a message to ids of custom ticket fields."""

    def __init__(self, custom_fields: Mapping[str, str]) -> None:
        self._custom_fields = custom_fields

    def message(self, record: JsonRecord, beside: Beside) -> FeedbackRow:
        """A ticket as a message.

        Raises:
            UnreadableError: it has no id or no time of creation.
        """
        ticket = record.fields
        identifier = id_of(ticket.get("id"))
        if identifier is None:
            raise UnreadableError("no_id", "the ticket has no id")
        created = epoch_moment(ticket.get("created_at"))
        if created is None:
            raise UnreadableError("no_time", f"ticket {identifier} has no readable created_at")
        requester = requester_of(record, beside)
        custom = custom_values(ticket)
        mapped = {name: custom.get(field) for name, field in self._custom_fields.items()}
        status = text_of(ticket.get("status"))
        deleted = status == DELETED
        words = None if deleted else own_words(ticket, beside)
        score = satisfaction(ticket)
        return FeedbackRow(
            record=record.number,
            id=identifier,
            ts=created,
            text=words,
            title=None if deleted or words is None else words_of(text_of(ticket.get("subject"))),
            user_id=id_of(mapped.get("user_id")) or id_of(requester.get("external_id")),
            email=text_of(requester.get("email")),
            rating=score,
            rating_min=None if score is None else 0.0,
            rating_max=None if score is None else 1.0,
            language=mapped.get("language") or text_of(requester.get("locale")),
            app_version=mapped.get("app_version"),
            url=mapped.get("url") or agent_url(ticket, identifier),
            raw={} if deleted else raw_fields(ticket, custom),
            kind=KIND_OF_TYPE.get(str(ticket.get("type"))),
            tags=tuple(str(tag) for tag in list_in(ticket, "tags") if tag),
            resolved=None if status is None else status in SETTLED,
            plain_fields=PLAIN,
            updated_at=changed_at(ticket),
            left_out="deleted" if deleted else "no_words" if words is None and score is None else None,
        )


def requester_of(record: JsonRecord, beside: Beside) -> Mapping[str, Any]:
    """The requester: embedded in the ticket, or beside it in the page's `users`."""
    embedded = record.fields.get("requester")
    if isinstance(embedded, dict):
        return embedded
    users = beside.once("users", record.page, lambda: users_of(record.page))
    return users.get(id_of(record.fields.get("requester_id")), {})


def users_of(page: Mapping[str, Any]) -> dict[str | None, Mapping[str, Any]]:
    """The users of a page by id."""
    return {
        id_of(user.get("id")): user for user in objects_in(page, "users") if id_of(user.get("id")) is not None
    }


def own_words(ticket: Mapping[str, Any], beside: Beside) -> str | None:
    """First public comment of the requester; the description where the requester opened the ticket."""
    requester = id_of(ticket.get("requester_id"))
    for comment in comments_of(ticket, beside):
        if comment.get("public") is not False and id_of(comment.get("author_id")) == requester:
            return comment_text(comment)
    if needs_comments(ticket) or isinstance(ticket.get("comments"), list):
        return None
    return words_of(text_of(ticket.get("description")))


def comments_of(ticket: Mapping[str, Any], beside: Beside) -> list[Mapping[str, Any]]:
    holder = ticket
    if not isinstance(ticket.get("comments"), list) and needs_comments(ticket):
        found = beside.supplement(f"{COMMENTS}{id_of(ticket.get('id'))}")
        holder = found if isinstance(found, dict) else {}
    return objects_in(holder, "comments")


def comment_text(comment: Mapping[str, Any]) -> str | None:
    plain = text_of(comment.get("plain_body"))
    if plain is not None:
        return words_of(plain)
    markup = text_of(comment.get("html_body"))
    return plain_text(markup) if markup is not None else words_of(text_of(comment.get("body")))


def satisfaction(ticket: Mapping[str, Any]) -> float | None:
    """1 for good, 0 for bad; None where nobody answered."""
    score = member_of(ticket, "satisfaction_rating").get("score")
    return 1.0 if score in GOOD else 0.0 if score in BAD else None


def custom_values(ticket: Mapping[str, Any]) -> dict[str, str]:
    """Values of the custom fields, by the field's id."""
    values: dict[str, str] = {}
    for entry in objects_in(ticket, "custom_fields"):
        name = id_of(entry.get("id"))
        text = text_of(entry.get("value")) if name is not None else None
        if name is not None and text is not None:
            values[name] = text
    return values


def agent_url(ticket: Mapping[str, Any], identifier: str) -> str | None:
    """The ticket's page for agents; the export gives the address in the API."""
    url = ticket.get("url")
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:  # "http://[": no address
        return None
    return f"{parts.scheme}://{parts.netloc}/agent/tickets/{identifier}" if parts and parts.netloc else None


def raw_fields(ticket: Mapping[str, Any], custom: Mapping[str, str]) -> dict[str, str]:
    """What else is worth keeping, flat; the company's own words are left in the landed page."""
    rating = member_of(ticket, "satisfaction_rating")
    values = {
        name: ticket.get(name)
        for name in ("id", "created_at", "updated_at", "generated_timestamp", "status", "type", "priority",
                     "requester_id", "submitter_id", "brand_id", "subject")
    } | {
        "form_id": ticket.get("ticket_form_id"),
        "channel": member_of(ticket, "via").get("channel"),
        "satisfaction": rating.get("score"),
        "satisfaction_comment": rating.get("comment"),
        **{f"field {name}": value for name, value in custom.items()},
    }  # fmt: skip
    return {name: text for name, value in values.items() if (text := text_of(value)) is not None}
