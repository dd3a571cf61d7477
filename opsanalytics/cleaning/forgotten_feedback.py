"""Messages of forgotten persons in files that they could not be taken out of: no table gets them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.cleaning.private_feedback import private_reject
from opsanalytics.sources.base import FeedbackRow, RejectedRow
from opsanalytics.sources.values import digest


@dataclass(frozen=True)
class Absence:
    """Keeps the forgotten out of what is read."""

    eraser: Eraser
    files: frozenset[Path]
    """Landed files that still name them."""

    def keep_out(
        self, path: Path, rows: Iterable[FeedbackRow], rejected: Iterable[RejectedRow]
    ) -> tuple[list[FeedbackRow], list[RejectedRow]]:
        """The rows of a file without the words of the forgotten; as many as there were, so that books
        balance: theirs count as left out (`forgotten`). Of a reject that names them only the place stays.
        """
        kept = [self._row(row) for row in rows] if path in self.files else list(rows)
        return kept, [self._reject(reject) for reject in rejected]

    def _row(self, row: FeedbackRow) -> FeedbackRow:
        if self.eraser.audit_of_message(row) is None:
            return self._without_mentions(row)
        return FeedbackRow(
            record=row.record, id=digest("forgotten", row.id), ts=row.ts, text=None, title=None, user_id=None,
            email=None, rating=None, rating_min=None, rating_max=None, language=None, app_version=None,
            url=None, raw={}, part=row.part, left_out="forgotten",
        )  # fmt: skip

    def _without_mentions(self, row: FeedbackRow) -> FeedbackRow:
        def blank(text: str | None) -> str | None:
            return None if text is None else self.eraser.plain_without_mentions(text, Found())

        return replace(
            row,
            text=blank(row.text),
            title=blank(row.title),
            url=blank(row.url),
            raw={name: blank(value) or "" for name, value in row.raw.items()},
            tags=None if row.tags is None else tuple(blank(tag) or "" for tag in row.tags),
        )

    def _reject(self, reject: RejectedRow) -> RejectedRow:
        named = self.eraser.named_in(reject.raw.decode("utf-8", "replace"))
        return reject if named is None else private_reject(reject)
