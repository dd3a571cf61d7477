"""What lies in quarantine: found again, shown without personal data, and cleaned once more after a fix."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from opsanalytics.cleaning.assembly import days_in_reach
from opsanalytics.cleaning.erasing import counted
from opsanalytics.cleaning.events import Days, clean_events, save
from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.cleaning.parsing import DeliveryFiles, read_summary
from opsanalytics.cleaning.privacy import PrivacyRules
from opsanalytics.cleaning.redaction import redact
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import write_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import QUARANTINE
from opsanalytics.sources.base import EventSourceSettings, FeedbackSourceSettings, SourceSettings
from opsanalytics.sources.landing import current


@dataclass(frozen=True)
class Selection:
    """Which records of quarantine are meant; None: all."""

    source: str | None = None
    reason: str | None = None
    day: date | None = None
    delivery: str | None = None

    def expression(self) -> pl.Expr:
        chosen = pl.lit(value=True)
        for name in ("source", "reason", "day", "delivery"):
            if (value := getattr(self, name)) is not None:
                chosen &= (pl.col(name) == value).fill_null(value=False)
        return chosen


@dataclass(frozen=True)
class Replayed:
    """What became of the records of one source."""

    source: str
    deliveries: int
    """Deliveries that were read again."""
    before: int
    after: int
    by_reason: Mapping[str, tuple[int, int]]
    """Reason -> records before and after, of the deliveries that were read again."""

    @property
    def through(self) -> int:
        """Records that are set aside no more."""
        return max(0, self.before - self.after)


def quarantined(home: Home, sources: Sequence[str], selection: Selection) -> pl.DataFrame:
    """Records in quarantine (schema QUARANTINE), in its order."""
    files = [
        path
        for source in sorted(sources)
        if selection.source in (None, source)
        for path in sorted(home.quarantine(source).glob("*.parquet"))
        if selection.delivery in (None, path.stem)
    ]
    found = [pl.read_parquet(path, glob=False).filter(selection.expression()) for path in files]
    return QUARANTINE.conform(pl.concat(found)) if found else QUARANTINE.empty()


def counts(records: pl.DataFrame) -> pl.DataFrame:
    """Columns source, reason, day, records, deliveries; the most frequent first within a source."""
    return (
        records.group_by("source", "reason", "day")
        .agg(pl.len().alias("records"), pl.col("delivery").n_unique().alias("deliveries"))
        .sort("source", "records", "reason", "day", descending=[False, True, False, False], nulls_last=True)
    )


def landed_file(home: Home, source: str, delivery: str, member: str) -> Path:
    """The file that holds a record: the member itself, or the archive that has it."""
    folder = home.delivery(source, delivery)
    manifest = current(home, source, delivery)
    names = [file.name for file in manifest.files] if manifest is not None else []
    return folder / (member if member in names or not names else names[0])


def shown_text(raw: bytes, most: int) -> str:
    """The raw text of a record, personal data redacted, cut after `most` characters."""
    text = redact(raw.decode("utf-8", "backslashreplace"))
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def exported(home: Home, records: pl.DataFrame) -> list[str]:
    """One JSON object a record: source, file, record, day, reason, detail, and the raw text, not redacted.

    Bytes that are no UTF-8 are written as `\\xNN`.
    """
    lines = []
    for row in records.iter_rows(named=True):
        row["file"] = str(landed_file(home, row["source"], row["delivery"], row["member"]))
        row["day"] = row["day"].isoformat() if row["day"] else None
        row["raw"] = row["raw"].decode("utf-8", "backslashreplace")
        lines.append(json.dumps(row, ensure_ascii=False))
    return lines


def adopt_edits(settings: SourceSettings, home: Home, delivery: str) -> bool:
    """Make a manifest say what its files hold now, if somebody has edited one. Returns whether."""
    manifest = current(home, settings.name, delivery)
    if manifest is None:
        return False
    folder = home.delivery(settings.name, delivery)
    files, contents = [], []
    for file in manifest.files:
        path = folder / file.name
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 == file.sha256:
            files.append(file)
            contents.append(file.sha256)
            continue
        content_sha256, records = counted(settings, path, file.name)
        update = {"bytes": path.stat().st_size, "sha256": sha256, "records": records}
        files.append(file.model_copy(update=update))
        contents.append(content_sha256)
    if tuple(files) == manifest.files:
        return False
    whole = contents[0] if len(contents) == 1 else hashlib.sha256("".join(contents).encode()).hexdigest()
    write_manifest(home, manifest.model_copy(update={"files": tuple(files), "sha256": whole}))
    return True


def unread(settings: SourceSettings, home: Home, delivery: str) -> None:
    """Make the next cleaning read a delivery again, and assemble its days again."""
    if isinstance(settings, FeedbackSourceSettings):
        (home.cleaned(settings.name) / "_state.json").unlink(missing_ok=True)
    summary = read_summary(home, settings.name, delivery)
    if isinstance(settings, EventSourceSettings) and summary is not None:
        state_path = home.cleaned(settings.name) / "_days.json"
        state = Days.model_validate_json(state_path.read_bytes()) if state_path.exists() else Days()
        for day in days_in_reach(settings, summary.rows):
            state.days.pop(day, None)
        save(state_path, state)
    DeliveryFiles.of(home, settings.name, delivery).summary.unlink(missing_ok=True)


def replay(
    settings: SourceSettings,
    home: Home,
    event_names: Mapping[str, str],
    privacy: PrivacyRules | None,
    selection: Selection,
) -> Replayed:
    """Read again the deliveries that the chosen records came in, with the present rules.

    Everything else of these deliveries comes out as before. Cleaning reads a delivery again by itself
    when the rules it knows of change; this is for what it cannot know: a mended file, a mended program.

    Raises:
        LockHeldError: another process cleans this source for more than ten minutes.
    """
    chosen = quarantined(home, [settings.name], selection)
    names = chosen["delivery"].unique().sort().to_list()
    of_them = Selection(source=settings.name)

    def by_reason() -> dict[str, int]:
        there = quarantined(home, [settings.name], of_them).filter(pl.col("delivery").is_in(names))
        if selection.reason is not None:
            there = there.filter(pl.col("reason") == selection.reason)
        return dict(there["reason"].value_counts().iter_rows())

    before = by_reason()
    if not names:
        return Replayed(settings.name, 0, 0, 0, {})
    with exclusive(home, f"clean-{settings.name}"):
        for name in names:
            adopt_edits(settings, home, name)
            unread(settings, home, name)
    if isinstance(settings, EventSourceSettings):
        clean_events(settings, home, event_names, privacy=privacy)
    elif isinstance(settings, FeedbackSourceSettings):
        clean_feedback(settings, home, privacy=privacy)
    after = by_reason()
    return Replayed(
        source=settings.name,
        deliveries=len(names),
        before=sum(before.values()),
        after=sum(after.values()),
        by_reason={
            reason: (before.get(reason, 0), after.get(reason, 0)) for reason in sorted(before | after)
        },
    )
