"""Results of a typeform."""

from pathlib import Path
from typing import Any, Literal

from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.settings import Layout, Row
from opsanalytics.sources.feedback_files.survey import SurveySettings
from opsanalytics.sources.feedback_files.table import Table

SUBMITTED, STAGED, STARTED = "Submit Date (UTC)", "Stage Date (UTC)", "Start Date (UTC)"
PLAIN = ("#", SUBMITTED, STAGED, STARTED, "Network ID", "Response Type", "Ending")


class TypeformCsvSettings(SurveySettings):
    """One row a response, known by its token in column `#`. Times are UTC, as Typeform writes them.

    A partial response is taken with the time it was started, until it comes again complete.
    """

    kind: Literal["typeform_csv"] = "typeform_csv"

    @property
    def has_tags(self) -> bool:
        return True

    def layout(self, path: Path, table: Table) -> Layout:
        found = self.located(
            path,
            table,
            {
                "id": ("#", "Token", "Response ID"),
                "submitted": SUBMITTED,
                "staged": STAGED if table.find(STAGED) is not None else None,
                "created_at": STARTED,
                "tags": "Tags" if table.find("Tags") is not None else None,
                "rating": self.rating,
                "user_id": self.user_id,
                "email": self.email,
            },
        )
        questions = self.open_questions(path, table)
        if not questions and "rating" not in found:
            raise InboxError(
                f"{path}: source {self.name}: name the open questions in `questions`, or the question with "
                f"the rating in `rating`. The file has {table.header}."
            )
        return Layout(found, questions, plain=table.positions(PLAIN))

    def message(self, row: Row, layout: Layout, table: Table, **changes: Any) -> FeedbackRow:
        times = (row.values.get(field) for field in ("submitted", "staged", "created_at"))
        said_at = self.moment(next((text for text in times if text), None))
        return super().message(row, layout, table, **{"ts": said_at, "updated_at": said_at, **changes})
