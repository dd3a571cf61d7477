"""App Store reviews to messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.json_records import JsonRecord, member_of, objects_in
from opsanalytics.sources.values import UnreadableError, epoch_moment, id_of, text_of

LOWEST, HIGHEST = 1.0, 5.0
PLAIN = frozenset({"id", "app", "createdDate", "territory", "rating", "response_changed", "response_state"})


def attributes_of(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    return member_of(resource, "attributes")


def created_at(review: Mapping[str, Any]) -> datetime | None:
    return epoch_moment(attributes_of(review).get("createdDate"))


def review_message(record: JsonRecord, app: str | None) -> FeedbackRow:
    """A review as a message; the reviewer's nickname is not kept.

    Raises:
        UnreadableError: it has no id or no time, or its rating is none from 1 to 5.
    """
    review = record.fields
    identifier = id_of(review.get("id"))
    if identifier is None:
        raise UnreadableError("no_id", "the review has no id")
    created = created_at(review)
    if created is None:
        raise UnreadableError("no_time", f"review {identifier} has no readable createdDate")
    said = attributes_of(review)
    rating = said.get("rating")
    if isinstance(rating, bool) or not isinstance(rating, int | float) or not LOWEST <= rating <= HIGHEST:
        raise UnreadableError("bad_rating", f"review {identifier}: rating {rating!r} is none from 1 to 5")
    response = attributes_of(developer_response(record))
    values = {
        "id": identifier,
        "app": app,
        "createdDate": said.get("createdDate"),
        "territory": said.get("territory"),
        "rating": rating,
        "response": response.get("responseBody"),
        "response_changed": response.get("lastModifiedDate"),
        "response_state": response.get("state"),
    }
    return FeedbackRow(
        record=record.number,
        id=identifier,
        ts=created,
        text=stripped(said.get("body")),
        title=stripped(said.get("title")),
        user_id=None,
        email=None,
        rating=float(rating),
        rating_min=LOWEST,
        rating_max=HIGHEST,
        language=None,
        app_version=None,
        url=None,
        raw={name: text for name, value in values.items() if (text := text_of(value)) is not None},
        plain_fields=PLAIN,
    )


def developer_response(record: JsonRecord) -> Mapping[str, Any]:
    """The developer's response that came in the same page."""
    wanted = response_id(record.fields)
    for entry in objects_in(record.page, "included"):
        if wanted is not None and id_of(entry.get("id")) == wanted:
            return entry
    return {}


def response_id(review: Mapping[str, Any]) -> str | None:
    """Id of the developer's response to a review, if it has one."""
    related = member_of(member_of(review, "relationships"), "response")
    return id_of(member_of(related, "data").get("id"))


def stripped(value: Any) -> str | None:
    text = text_of(value)
    return (text.strip() or None) if text is not None else None
