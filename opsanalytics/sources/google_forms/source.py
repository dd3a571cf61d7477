"""Responses to a Google Form."""

from pathlib import Path
from typing import Any, Literal

from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.settings import Layout, Names, Row
from opsanalytics.sources.feedback_files.survey import SurveySettings
from opsanalytics.sources.feedback_files.table import Table
from opsanalytics.sources.values import UnreadableError, digest

EMAIL_NAMES = ("Email Address", "Username", "Email address", "E-Mail-Adresse", "Adresse e-mail", "Nutzername")


class GoogleFormsSettings(SurveySettings):
    """CSV as Google Forms or Google Sheets download it.

    The first column is the time of the response; it is called `Timestamp` in the language of the account.
    Google gives no response id: a response is known by its time and its answers, whatever the questions
    are called and however the time is written.
    """

    kind: Literal["google_forms"] = "google_forms"
    timestamp_column: Names | None = None
    """Column with the time of the response; the first one if not given."""

    def layout(self, path: Path, table: Table) -> Layout:
        wanted = {"created_at": self.timestamp_column, "rating": self.rating, "user_id": self.user_id}
        found = {
            "created_at": 0,
            **self.located(path, table, wanted),
            **self.located(path, table, {"email": self._email(table)}),
        }
        questions = self.open_questions(path, table)
        if not questions and "rating" not in found:
            raise InboxError(
                f"{path}: source {self.name}: name the open questions in `questions`, or the question with "
                f"the rating in `rating`. The file has {table.header[1:]}."
            )
        return Layout(found, questions)

    def message(self, row: Row, layout: Layout, table: Table, **changes: Any) -> FeedbackRow:
        if "id" not in changes:
            moment = self.moment(row.values.get("created_at"))
            said = list(row.raw.values())
            del said[layout.fields["created_at"]]
            changes["id"] = digest(moment.isoformat(), *(answer for answer in said if answer.strip()))
        return super().message(row, layout, table, **changes)

    def moment(self, text: str | None) -> Any:
        if text is None:
            raise UnreadableError("no_time", "the response has no time stamp")
        return super().moment(text)

    def _email(self, table: Table) -> Names | None:
        if self.email is not None:
            return self.email
        return next((name for name in EMAIL_NAMES if table.find(name) is not None), None)
