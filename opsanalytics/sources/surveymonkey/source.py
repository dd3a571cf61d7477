"""Responses to a SurveyMonkey survey."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from opsanalytics.sources.feedback_files.settings import Layout, Names, Question, listed
from opsanalytics.sources.feedback_files.survey import SurveySettings, questions_at
from opsanalytics.sources.feedback_files.table import (
    Records,
    Table,
    missing_columns,
    readable,
    simplified,
    unique_names,
)

ID = "Respondent ID"
CREATED = ("Date Created", "End Date", "Start Date")
CHANGED = ("Date Modified", "End Date")
PERSONAL = ("IP Address", "First Name", "Last Name", "Email Address")
PLAIN = (ID, "Collector ID", "Date Created", "Date Modified", "Start Date", "End Date")
OPEN_HEADINGS = frozenset(
    {"open-ended response", "other (please specify)", "comments", "comment", "additional comments"}
)


class SurveyMonkeySettings(SurveySettings):
    """One row a respondent. The first row of headings holds the questions, the second the answer options.

    A question with several columns (matrix, several choices, "Other") stands above the first of them only;
    its columns are called `question | option`. Every column headed "Open-Ended Response" or "Other (please
    specify)" is an open question unless `questions` names some.
    """

    kind: Literal["surveymonkey"] = "surveymonkey"
    open_headings: tuple[str, ...] = ()
    """Second headings of open answers in the language of your survey, besides the English ones."""

    def layout(self, path: Path, table: Table) -> Layout:
        second = self._second_headings(table)
        questions = above(table.header)
        names = tuple(unique_names(column_names(table.header, questions, second)))
        named = replace(table, header=list(names), records=Records([(1, list(names))]))
        fields = self.located(
            path,
            table,
            {
                "id": ID,
                "created_at": CREATED,
                "updated_at": CHANGED,
                "email": "Email Address" if table.find("Email Address") is not None else None,
            },
        )
        fields |= self.located(path, named, {"user_id": self.user_id, "email": self.email})
        if self.rating is not None:
            fields["rating"] = self._column(path, named, questions, self.rating, "rating")
        return Layout(
            fields,
            self._answered(path, named, questions, second),
            removed=table.positions(PERSONAL) - {fields.get("email", -1)},
            plain=table.positions(PLAIN),
            names=names,
            headings=0 if second is None else 1,
        )

    def _second_headings(self, table: Table) -> list[str] | None:
        """The second row of headings; None where the file has just one, or nothing below it."""
        position = table.find(ID)
        if not table.records or position is None:
            return None
        first = next(iter(table.records)).fields + [""] * len(table.header)
        if first[position].strip():
            return None
        return [readable(name) for name in first[: len(table.header)]]

    def _answered(
        self, path: Path, named: Table, questions: list[str], second: list[str] | None
    ) -> tuple[Question, ...]:
        if self.questions:
            return questions_at(
                (self._column(path, named, questions, names, "questions"), listed(names)[0])
                for names in self.questions
            )
        if second is None:
            return ()
        headings = OPEN_HEADINGS | {heading.strip().casefold() for heading in self.open_headings}
        return questions_at(
            (position, questions[position] or named.header[position])
            for position, heading in enumerate(second)
            if heading.casefold() in headings
        )

    def _column(self, path: Path, named: Table, questions: list[str], names: Names, setting: str) -> int:
        """Position of the column called `question | option`, or of the only one of a question."""
        for name in listed(names):
            position = named.find(name)
            if position is not None:
                return position
            of_question = [
                position
                for position, question in enumerate(questions)
                if simplified(question) == simplified(name)
            ]
            if len(of_question) == 1:
                return of_question[0]
            options = [each for each in of_question if self._is_open(named.header[each])]
            if len(options) == 1 and setting == "questions":
                return options[0]
        raise missing_columns(self.name, path, named, [(setting, listed(names)[0])])

    def _is_open(self, name: str) -> bool:
        headings = OPEN_HEADINGS | {heading.strip().casefold() for heading in self.open_headings}
        return name.rpartition(" | ")[2].casefold() in headings


def above(header: list[str]) -> list[str]:
    """The question of each column: its own, or that of the last column before it that has one."""
    questions: list[str] = []
    for name in header:
        questions.append(name or (questions[-1] if questions else ""))
    return questions


def column_names(header: list[str], questions: list[str], second: list[str] | None) -> list[str]:
    """`question | option`; the question alone where it has just one column."""
    if second is None:
        return header
    return [
        f"{question} | {option}" if option and questions.count(question) > 1 else question
        for question, option in zip(questions, second, strict=True)
    ]
