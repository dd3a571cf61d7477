"""Surveys: one response a row, and one message for each question that was answered in free text."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import model_validator

from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.feedback_files.settings import (
    FeedbackFileSettings,
    Layout,
    Names,
    Question,
    Row,
    first_found,
    listed,
)
from opsanalytics.sources.feedback_files.table import Table, missing_columns


class SurveySettings(FeedbackFileSettings):
    """A survey of any tool.

    Each answer to an open question is a message with the question as its title and the rating of its
    response; all messages of a response share `response_id`. A response with a rating alone is one message;
    one without both is left out, and counted so.
    """

    questions: tuple[Names, ...] = ()
    """Titles of the open questions; where a title was changed, all it had, the one to show first."""
    rating: Names | None = None
    """Title of the question that is answered on `rating_scale`."""
    user_id: Names | None = None
    """Column that holds the id of the user in your product (hidden field, custom variable)."""
    email: Names | None = None
    """Column that holds an e-mail address, kept as a hash."""

    @model_validator(mode="after")
    def _rating_has_scale(self) -> "SurveySettings":
        if self.rating is not None and self.rating_range is None:
            raise ValueError("rating needs rating_scale: 'nps', 'csat', or for example [1, 7]")
        return self

    def open_questions(self, path: Path, table: Table) -> tuple[Question, ...]:
        """Columns of the configured questions.

        Raises:
            InboxError: a question is not in the file.
        """
        found: list[tuple[int, str]] = []
        missing: list[tuple[str, str]] = []
        for names in self.questions:
            position = first_found(table, names)
            if position is None:
                missing.append(("questions", listed(names)[0]))
            else:
                found.append((position, listed(names)[0]))
        if missing:
            raise missing_columns(self.name, path, table, missing)
        return questions_at(found)

    def messages(self, row: Row, layout: Layout, table: Table) -> list[FeedbackRow]:
        rating = self.rating_of(row.values.get("rating"))
        # whoever skips the questions we look at has answered others: nothing is wrong with that
        nothing = "no_words" if not row.answers and rating is None else None
        whole = self.message(row, layout, table, rating=rating, left_out=nothing)
        return [
            self.message(
                row,
                layout,
                table,
                rating=rating,
                id=whole.id,
                text=answer,
                title=question.title,
                part=question.key,
            )
            for question, answer in row.answers
        ] or [whole]


def questions_at(columns: Iterable[tuple[int, str]]) -> tuple[Question, ...]:
    """Questions of (position, title), each column once; those with equal titles are told apart."""
    found: dict[int, Question] = {}
    for position, title in columns:
        if position not in found:
            repeat = sum(other.title == title for other in found.values())
            found[position] = Question(position, title, repeat)
    return tuple(found.values())
