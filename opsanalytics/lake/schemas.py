"""The canonical tables that every source is cleaned into."""

from typing import Literal, get_args

import polars as pl

from opsanalytics.lake.tables import UTC_TIME, Column, Table

EVENTS = Table(
    name="events",
    description="What users did: one row an event, deduplicated, from all sources.",
    order=("ts", "event_id"),
    columns=(
        Column("event_id", pl.String, "Deterministic id made of the vendor's deduplication key.", True),
        Column("source", pl.String, "Name of the configured source.", True),
        Column("event", pl.String, "Canonical event name (the [events] mapping applied).", True),
        Column("source_event", pl.String, "Event name as the vendor exported it.", True),
        Column("ts", UTC_TIME, "When it happened, UTC, microseconds.", True),
        Column("received_at", UTC_TIME, "When the vendor received it, UTC; null if not exported."),
        Column("distinct_id", pl.String, "Id as ingested, before any identity merge."),
        Column("user_id", pl.String, "Id of the signed-in user, null while anonymous."),
        Column("device_id", pl.String, "Id of the device or browser."),
        Column("session_id", pl.String, "The vendor's session id, if it gives one."),
        Column("platform", pl.String, "web, ios, android, ... as the vendor says, lower case."),
        Column("os", pl.String, "Operating system."),
        Column("browser", pl.String, "Browser."),
        Column("app_version", pl.String, "Version of the product that sent the event."),
        Column("country", pl.String, "Country as the vendor says."),
        Column("url", pl.String, "Page or screen."),
        Column(
            "properties",
            pl.String,
            "JSON object: everything else, names and types unchanged.",
            True,
        ),
        Column("ingest_run", pl.String, "Delivery it came from: <delivery>@<sha256, 12 digits>.", True),
    ),
)

Kind = Literal["bug", "complaint", "request", "question", "praise", "other"]
"""What a message can be, the most telling first."""
KINDS: tuple[Kind, ...] = get_args(Kind)

FEEDBACK = Table(
    name="feedback",
    description="What users said: one row a survey answer, review, ticket or post.",
    order=("ts", "feedback_id"),
    columns=(
        Column("feedback_id", pl.String, "<source>:<id at the source>.", True),
        Column("source", pl.String, "Name of the configured source.", True),
        Column(
            "response_id",
            pl.String,
            "Shared by the answers of one survey response; null: the message is the whole response.",
        ),
        Column("ts", UTC_TIME, "When it was said, UTC.", True),
        Column("user_id", pl.String, "Id of the user who said it, where the source gives one."),
        Column("email_hash", pl.String, "SHA-256 of the lower-case e-mail address, if there was one."),
        Column("rating", pl.Float64, "Rating as given."),
        Column("rating_min", pl.Float64, "Lowest rating of the scale."),
        Column("rating_max", pl.Float64, "Highest rating of the scale."),
        Column("satisfaction", pl.Float64, "Rating on a scale from 0 (worst) to 1 (best)."),
        Column("title", pl.String, "Title alone, or the question of an answer, personal data redacted."),
        Column("text", pl.String, "What was said: title and text, or the answer, personal data redacted."),
        Column("kind", pl.String, "bug, complaint, request, question, praise or other; null: unknown."),
        Column("tags", pl.List(pl.String), "Tags as the source gives them; null if it gives none."),
        Column("votes", pl.Int64, "Votes when delivered, negative if more are against; null: unknown."),
        Column("resolved", pl.Boolean, "Whether it was settled when delivered; null: unknown."),
        Column("language", pl.String, "Language as the source says, ISO 639-1."),
        Column("app_version", pl.String, "Version it is about, if the source says."),
        Column("url", pl.String, "Page it is about, or link to it."),
        Column("raw", pl.String, "JSON object: every field of the record as received.", True),
        Column("ingest_run", pl.String, "Delivery it came from: <delivery>@<sha256, 12 digits>.", True),
    ),
)

QUARANTINE = Table(
    name="quarantine",
    description="Records that could not be read, kept as they came.",
    order=("source", "delivery", "record"),
    columns=(
        Column("source", pl.String, "Name of the configured source.", True),
        Column("delivery", pl.String, "Delivery it came in.", True),
        Column("member", pl.String, "File inside the delivery.", True),
        Column("record", pl.Int64, "Number of the line or row within the member, from 1.", True),
        Column("day", pl.Date, "UTC day of the record if it can be told."),
        Column("reason", pl.String, "Why it was set aside: a stable code.", True),
        Column("detail", pl.String, "What exactly was wrong, and what to do.", True),
        Column("raw", pl.Binary, "The bytes of the record.", True),
    ),
)

DUPLICATES = Table(
    name="duplicates",
    description="Records left out because they repeat another one.",
    order=("event_id", "ingest_run", "record", "member"),
    columns=(
        Column("event_id", pl.String, "Event (or feedback) that is kept.", True),
        Column("source", pl.String, "Name of the configured source.", True),
        Column("day", pl.Date, "UTC day of the record.", True),
        Column("delivery", pl.String, "Delivery the left-out record came in.", True),
        Column("member", pl.String, "File inside the delivery.", True),
        Column("record", pl.Int64, "Number of the line within the member, from 1.", True),
        Column("ingest_run", pl.String, "Delivery and content it came from.", True),
        Column(
            "reason",
            pl.String,
            "same_key; redelivered when a newer delivery covers the day; of feedback also deleted (at the "
            "source), no_words (of a customer) or forgotten (see docs/privacy.md).",
            True,
        ),
    ),
)

PERSONS = Table(
    name="persons",
    description="Which as-ingested id belongs to which person. Retroactive: rebuilt at every run.",
    order=("source", "id_kind", "id"),
    columns=(
        Column("source", pl.String, "Name of the configured source the id is from.", True),
        Column("id_kind", pl.String, "user, device or distinct.", True),
        Column("id", pl.String, "The id as ingested.", True),
        Column("person", pl.String, "Person it belongs to.", True),
        Column(
            "rule",
            pl.String,
            "Why: user_id, first_user_on_device, anonymous_device, distinct_id, vendor_merge (the vendor's "
            "identity events), vendor_id_of_user (the vendor's own id was seen with this user).",
            True,
        ),
        Column("since", UTC_TIME, "First event that shows it, UTC.", True),
    ),
)

PROFILES = Table(
    name="profiles",
    description="What the vendor knows of users themselves: one row a profile of the newest fetch.",
    order=("source", "distinct_id"),
    columns=(
        Column("source", pl.String, "Name of the configured source.", True),
        Column("distinct_id", pl.String, "Id of the profile.", True),
        Column("properties", pl.String, "JSON object: names, types and digits unchanged.", True),
        Column(
            "unset",
            pl.List(pl.String),
            "Properties that the profile no longer has; the value is the last one seen.",
            True,
        ),
        Column("fetched_at", UTC_TIME, "When the profile was last fetched, UTC.", True),
        Column("ingest_run", pl.String, "Delivery it came from: <delivery>@<sha256, 12 digits>.", True),
    ),
)

INGESTION_LEDGER = Table(
    name="ingestion_ledger",
    description="For each source, delivery and day: landed = canonical + duplicates + quarantined.",
    order=("source", "delivery", "day"),
    columns=(
        Column("source", pl.String, "Name of the configured source.", True),
        Column("kind", pl.String, "Kind of source: mixpanel, amplitude, feedback_csv, ...", True),
        Column("delivery", pl.String, "Delivery: a fetched window or a delivered file.", True),
        Column("day", pl.Date, "UTC day of the records; null where it cannot be told."),
        Column("landed", pl.Int64, "Records counted in the landed bytes.", True),
        Column("canonical", pl.Int64, "Records found in the lake.", True),
        Column("duplicates", pl.Int64, "Records found in the duplicates files.", True),
        Column("quarantined", pl.Int64, "Records found in quarantine.", True),
        Column("fetched_at", UTC_TIME, "When the delivery was completed, UTC.", True),
    ),
)
