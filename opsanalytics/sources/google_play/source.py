"""Reviews of an Android app, `reviews_PACKAGE_YYYYMM.csv`."""

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.feedback_files.settings import FeedbackFileSettings, Layout, Row
from opsanalytics.sources.feedback_files.table import Table
from opsanalytics.sources.values import UnreadableError, digest

REVIEW_ID = re.compile(r"[?&#]reviewid=([^&#]+)", re.IGNORECASE)
REQUIRED = {
    "package": "Package Name",
    "submitted": "Review Submit Millis Since Epoch",
    "created_at": "Review Last Update Millis Since Epoch",
    "rating": "Star Rating",
    "text": "Review Text",
    "url": "Review Link",
}
OPTIONAL = {
    "version_name": "App Version Name",
    "version_code": "App Version Code",
    "language": "Reviewer Language",
    "device": "Device",
    "title": "Review Title",
    "submitted_date": "Review Submit Date and Time",
    "updated_date": "Review Last Update Date and Time",
}
REPLIES = ("Developer Reply Date and Time", "Developer Reply Millis Since Epoch")


class GooglePlaySettings(FeedbackFileSettings):
    """One row a review. An edited review comes again in the file of the month of its edit: the later counts.

    A review counts for the time of its last edit; when it was first submitted, and the developer's reply,
    stay in `raw`. Reviews without a link (stars alone) are known by app, time of submission, device and
    language.
    """

    kind: Literal["google_play"] = "google_play"
    package: str | None = None
    """Take reviews of this app alone; those of others are set aside."""
    rating_scale: tuple[float, float] | Literal["nps", "csat"] | None = (1, 5)

    def layout(self, path: Path, table: Table) -> Layout:
        optional = {field: name for field, name in OPTIONAL.items() if table.find(name) is not None}
        return Layout(self.located(path, table, {**REQUIRED, **optional}), plain=table.positions(REPLIES))

    def message(self, row: Row, layout: Layout, table: Table, **changes: Any) -> FeedbackRow:
        values = row.values
        package = values.get("package", "")
        if self.package is not None and package != self.package:
            raise UnreadableError(
                "other_app", f"the review is of {package!r}, not of {self.package!r} (package)"
            )
        updated = self.moment(values.get("created_at") or values.get("updated_date"))
        link = REVIEW_ID.search(values.get("url", ""))
        submitted = values.get("submitted") or values.get("submitted_date") or updated.isoformat()
        known_by = (package, submitted, values.get("device", ""), values.get("language", ""))
        found = {
            "id": unquote(link[1]) if link else digest(*known_by),
            "ts": updated,
            "updated_at": updated,
            "app_version": values.get("version_name") or values.get("version_code"),
        }
        return super().message(row, layout, table, **{**found, **changes})
