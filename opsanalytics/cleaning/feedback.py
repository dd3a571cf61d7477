"""Bring the messages of one feedback source up to date with its landing area, personal data redacted."""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from opsanalytics.cleaning.assembly import SAME_KEY
from opsanalytics.cleaning.erasing import scrub_source
from opsanalytics.cleaning.erasing_records import Eraser
from opsanalytics.cleaning.forgotten_feedback import Absence
from opsanalytics.cleaning.parsing import UNKNOWN_DAY, DeliveryFiles, ParsedDelivery, read_summary
from opsanalytics.cleaning.privacy import PrivacyRules
from opsanalytics.cleaning.private_feedback import private_reject, private_row
from opsanalytics.cleaning.redaction import email_hash, redact
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.lake.erasures import read_tombstones
from opsanalytics.lake.files import remove_leftovers, write_bytes, write_parquet, write_text
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import Manifest, deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import DUPLICATES, FEEDBACK, QUARANTINE
from opsanalytics.sources.base import FeedbackRow, FeedbackSourceSettings, RejectedRow
from opsanalytics.sources.errors import InboxError

CLEANER_VERSION = 3
"""Raise it when the same files would be cleaned into other rows."""
LANGUAGE_TAG = re.compile(r"([A-Za-z]{2})(?:[-_].*)?")
MESSAGES = pl.Schema(
    {column.name: column.dtype for column in FEEDBACK.columns}
    | {"delivery": pl.String, "member": pl.String, "record": pl.Int64}
    | {"updated_at": pl.Datetime("us", "UTC"), "left_out": pl.String}
)
RESPONSE = pl.coalesce("response_id", "feedback_id")
"""What a message belongs to: each is one record of a file."""
BATCH_ROWS = 10_000
"""So many messages are kept as Python objects at once."""
SHOWN_BYTES = 4096
"""Of a file that is set aside as a whole; all of it is in the landing area."""


def clean_feedback(
    settings: FeedbackSourceSettings, home: Home, *, privacy: PrivacyRules | None = None
) -> CleanReport:
    """Read all landed files of a source into `home.feedback_file`, if any file or rule is new.

    A response that comes again, by its id, is kept in its newest version, and of equal versions as the
    newest delivery has it; the others go to `home.feedback_duplicates_file`. Text, title and all fields
    the configuration does not name are redacted, also in `raw`; an e-mail column is kept as a hash only.
    Landed files stay as received; one that the present settings do not fit is set aside as one record.

    Args:
        privacy: what else must not be kept; other rules read all files anew.

    Raises:
        LockHeldError: another process cleans this source for more than ten minutes.
    """
    with exclusive(home, f"clean-{settings.name}"):
        for folder in (home.cleaned(settings.name), home.quarantine(settings.name)):
            remove_leftovers(folder)
        manifests = in_order(deliveries(home, settings.name))
        remove_vanished(settings.name, home, {manifest.delivery for manifest in manifests})
        state_path = home.cleaned(settings.name) / "_state.json"
        stones = read_tombstones(home)
        buried = [person.audit for person in stones.persons] if stones else []
        state = [fingerprint(settings, manifests, privacy), *buried]
        summaries = [read_summary(home, settings.name, manifest.delivery) for manifest in manifests]
        present = home.feedback_file(settings.name).exists() or not manifests
        known = state_path.exists() and json.loads(state_path.read_bytes()) == state
        if known and present and all(summaries):
            return report(settings, home, [summary for summary in summaries if summary], (), {})
        absence = None
        if stones is not None:
            # What is delivered again may bring back who was forgotten.
            absence = Absence(Eraser(stones), frozenset(scrub_source(settings, home).kept))
            manifests = in_order(deliveries(home, settings.name))
            state = [fingerprint(settings, manifests, privacy), *buried]
        before = per_day(home.feedback_file(settings.name))
        state_path.unlink(missing_ok=True)
        summaries, messages = read_all(settings, home, manifests, privacy, absence)
        kept, duplicates = deduplicated(messages)
        replace(home.feedback_file(settings.name), kept if manifests else None)
        replace(home.feedback_duplicates_file(settings.name), duplicates if duplicates.height else None)
        write_text(state_path, json.dumps(state) + "\n")
        after = per_day(home.feedback_file(settings.name))
    changed = {
        day: (before.get(day, 0), after.get(day, 0))
        for day in sorted(before.keys() | after.keys())
        if before.get(day, 0) != after.get(day, 0)
    }
    parsed = tuple(manifest.delivery for manifest in manifests)
    return report(settings, home, [summary for summary in summaries if summary], parsed, changed)


def fingerprint(
    settings: FeedbackSourceSettings, manifests: Iterable[Manifest], privacy: PrivacyRules | None
) -> str:
    parts: list[Any] = [CLEANER_VERSION, settings.name, settings.cleaning_fingerprint()]
    parts += [privacy.fingerprint()] if privacy else []
    parts += [(manifest.ingest_run, manifest.sha256) for manifest in manifests]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def in_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    """As they were delivered, the newest last. Files taken in together go by when they were written."""
    return sorted(
        manifests,
        key=lambda each: (each.fetched_at, each.request.get("modified", ""), each.delivery),
    )


def remove_vanished(source: str, home: Home, names: set[str]) -> None:
    for folder in (home.cleaned(source), home.quarantine(source)):
        for path in folder.glob("*.*") if folder.is_dir() else ():
            if not path.name.startswith(("_", ".")) and path.stem not in names:
                DeliveryFiles.of(home, source, path.stem).remove()


def read_all(
    settings: FeedbackSourceSettings,
    home: Home,
    manifests: list[Manifest],
    privacy: PrivacyRules | None,
    absence: Absence | None,
) -> tuple[list[ParsedDelivery | None], pl.DataFrame]:
    """Read every delivery; write its quarantine and summary. Messages in order of delivery and record."""
    summaries: list[ParsedDelivery | None] = []
    messages = [pl.DataFrame(schema=MESSAGES)]
    for manifest in manifests:
        files = DeliveryFiles.of(home, settings.name, manifest.delivery)
        rows_by_day: Counter[date] = Counter()
        rejected: list[tuple[Any, ...]] = []
        for landed in manifest.files:
            path = home.delivery(settings.name, manifest.delivery) / landed.name
            for rows, refused in read_or_refuse(settings, path):
                if absence is not None:
                    rows, refused = absence.keep_out(path, rows, refused)
                if privacy is not None:
                    rows = [private_row(privacy, row) for row in rows]
                    refused = [private_reject(row) for row in refused]
                for start in range(0, len(rows), BATCH_ROWS):
                    some = rows[start : start + BATCH_ROWS]
                    told = [message(settings, manifest, landed.name, row) for row in some]
                    messages.append(pl.DataFrame(told, schema=MESSAGES))
                # the messages of one record are one record
                rows_by_day.update({row.record: row.ts.date() for row in rows}.values())
                rejected += [
                    quarantined(settings.name, manifest.delivery, landed.name, row) for row in refused
                ]
        if rejected:
            frame = pl.DataFrame(rejected, schema=QUARANTINE.schema, orient="row")
            write_parquet(files.quarantine, QUARANTINE.conform(frame))
        else:
            files.quarantine.unlink(missing_ok=True)
        records = {day.isoformat(): count for day, count in sorted(rows_by_day.items())}
        summary = ParsedDelivery(
            delivery=manifest.delivery,
            ingest_run=manifest.ingest_run,
            fingerprint=fingerprint(settings, [manifest], privacy),
            rows={},
            records=records | ({UNKNOWN_DAY: len(rejected)} if rejected else {}),
            rejected=len(rejected),
            identity_verbs=0,
        )
        write_text(files.summary, summary.model_dump_json(indent=1) + "\n")
        summaries.append(summary)
    return summaries, pl.concat(messages)


def read_or_refuse(
    settings: FeedbackSourceSettings, path: Path
) -> Iterator[tuple[list[FeedbackRow], list[RejectedRow]]]:
    """As `settings.read_parts`; a file that cannot be read is one rejected record."""
    try:
        yield from settings.read_parts(path)
    except InboxError as error:
        with path.open("rb") as file:
            yield [], [RejectedRow(1, "unusable_file", str(error), file.read(SHOWN_BYTES))]


def message(
    settings: FeedbackSourceSettings, manifest: Manifest, member: str, row: FeedbackRow
) -> dict[str, Any]:
    """One row of `MESSAGES`, redacted."""
    # the title of an answer is the question, which somebody else asked
    told = (row.title, row.text) if row.part is None else (row.text,)
    said = "\n\n".join(redact(part) for part in told if part)
    satisfaction = None
    if row.rating is not None and row.rating_min is not None and row.rating_max is not None:
        satisfaction = (row.rating - row.rating_min) / (row.rating_max - row.rating_min)
    response_id = f"{settings.name}:{row.id}"
    return {
        "feedback_id": response_id if row.part is None else f"{response_id}:{row.part}",
        "source": settings.name,
        "response_id": None if row.part is None else response_id,
        "ts": row.ts,
        "user_id": row.user_id,
        "email_hash": row.email_hash or (email_hash(row.email) if row.email else None),
        "rating": row.rating,
        "rating_min": row.rating_min,
        "rating_max": row.rating_max,
        "satisfaction": satisfaction,
        "title": redact(row.title) if row.title else None,
        "text": said or None,
        "kind": row.kind,
        "tags": None if row.tags is None else [redact(tag) for tag in row.tags],
        "votes": row.votes,
        "resolved": row.resolved,
        "language": language_of(row.language),
        "app_version": row.app_version,
        "url": redact(row.url) if row.url else None,
        "raw": redacted_raw(row),
        "ingest_run": manifest.ingest_run,
        "delivery": manifest.delivery,
        "member": member,
        "record": row.record,
        "updated_at": row.updated_at,
        "left_out": row.left_out,
    }


def redacted_raw(row: FeedbackRow) -> str:
    """Every field as JSON. Ids and times stay as they are; e-mail columns and free text do not."""
    kept = {
        name: value
        if name in row.plain_fields
        else ("[email]" if value else value)
        if name in row.private_fields
        else redact(value)
        for name, value in row.raw.items()
    }
    return json.dumps(kept, ensure_ascii=False, sort_keys=True)


def language_of(text: str | None) -> str | None:
    """`en` of `en-US`; names of languages in lower case."""
    tag = LANGUAGE_TAG.fullmatch(text) if text else None
    return tag[1].lower() if tag else (text.lower() if text else None)


def quarantined(source: str, delivery: str, member: str, row: RejectedRow) -> tuple[Any, ...]:
    return (source, delivery, member, row.record, None, row.reason, row.detail, row.raw)


def deduplicated(messages: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Messages to keep, and the records left out (columns of `DUPLICATES`).

    Of each response the newest version stays, with all its messages, and of equal versions the last. What
    the source deleted is left out with all its earlier versions.
    """
    place = ["delivery", "member", "record"]
    # Of the widest columns not one more copy than needed: they are most of the memory this takes.
    records = (
        messages.select(
            RESPONSE.alias("response"), "source", "ts", *place, "ingest_run", "updated_at", "left_out"
        )
        .unique(place, keep="first", maintain_order=True)
        .sort("updated_at", nulls_last=False, maintain_order=True)
        .with_columns(pl.col("response").is_last_distinct().alias("newest"))
    )
    stays = pl.col("newest") & pl.col("left_out").is_null()
    kept = messages.join(records.filter(stays), on=place, how="semi").select(FEEDBACK.names)
    duplicates = records.filter(~stays).select(
        pl.col("response").alias("event_id"),
        "source",
        pl.col("ts").dt.date().alias("day"),
        *place,
        "ingest_run",
        pl.when("newest").then("left_out").otherwise(pl.lit(SAME_KEY)).alias("reason"),
    )
    return FEEDBACK.conform(kept), DUPLICATES.conform(duplicates)


def replace(path: Path, frame: pl.DataFrame | None) -> None:
    if frame is None:
        path.unlink(missing_ok=True)
        return
    content = io.BytesIO()
    frame.write_parquet(content, compression="zstd", statistics=True)
    write_bytes(path, content.getvalue())


def per_day(path: Path) -> dict[date, int]:
    if not path.exists():
        return {}
    days = pl.read_parquet(path, columns=["ts"])["ts"].dt.date().value_counts()
    return dict(days.iter_rows())


def report(
    settings: FeedbackSourceSettings,
    home: Home,
    summaries: list[ParsedDelivery],
    parsed: tuple[str, ...],
    changed: dict[date, tuple[int, int]],
) -> CleanReport:
    def count(path: Path, what: pl.Expr) -> int:
        return int(pl.scan_parquet(path).select(what).collect().item()) if path.exists() else 0

    return CleanReport(
        source=settings.name,
        deliveries=len(summaries),
        parsed=parsed,
        records=sum(sum(summary.records.values()) for summary in summaries),
        canonical=count(home.feedback_file(settings.name), RESPONSE.n_unique()),
        duplicates=count(home.feedback_duplicates_file(settings.name), pl.len()),
        quarantined=sum(summary.rejected for summary in summaries),
        days=changed,
    )
