"""Typeform responses to messages: open answers as the text, one question as the rating."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.json_records import JsonRecord, member_of, objects_in
from opsanalytics.sources.markup import plain_text
from opsanalytics.sources.paging import Beside
from opsanalytics.sources.values import UnreadableError, epoch_moment, id_of, text_of

DEFINITION = "definition-"
"""Name of the supplement with the questions of a form, before its id."""
RATINGS = frozenset({"rating", "opinion_scale", "nps"})
STEPS = {"rating": 3, "opinion_scale": 11, "nps": 11}
"""Of a scale that does not say how many it has."""
PLAIN = frozenset({"token", "response_id", "landed_at", "submitted_at", "score"})


def token_of(response: Mapping[str, Any]) -> str | None:
    return id_of(response.get("token")) or id_of(response.get("response_id"))


def submitted_at(response: Mapping[str, Any]) -> datetime | None:
    return epoch_moment(response.get("submitted_at"))


class ResponseReader:
    """Reads responses as the settings of the source say."""

    def __init__(self, text: Sequence[str], rating: str | None, hidden: Mapping[str, str]) -> None:
        self._text = text
        self._rating = rating
        self._hidden = hidden

    def message(self, record: JsonRecord, beside: Beside) -> FeedbackRow:
        """A response as a message.

        Raises:
            UnreadableError: it has no token or no time of submission.
        """
        response = record.fields
        token = token_of(response)
        if token is None:
            raise UnreadableError("no_id", "the response has neither token nor response_id")
        submitted = submitted_at(response)
        if submitted is None:
            raise UnreadableError("no_time", f"response {token} has no readable submitted_at")
        stream = beside.request.get("stream", "")
        questions = beside.once("questions", stream, lambda: questions_of(beside, stream))
        answers = objects_in(response, "answers")
        given = {str(name): text_of(value) for name, value in member_of(response, "hidden").items()}
        mapped = {name: given.get(field) for name, field in self._hidden.items()}
        words = "\n\n".join(self._words(answers)) or None
        score, scale = self._score(answers, questions)
        raw, private = raw_fields(response, answers, questions, given, self._hidden.get("email"))
        return FeedbackRow(
            record=record.number,
            id=token,
            ts=submitted,
            text=words,
            title=None,
            user_id=id_of(mapped.get("user_id")),
            email=mapped.get("email") or next(emails(answers), None),
            rating=score,
            rating_min=scale[0] if scale else None,
            rating_max=scale[1] if scale else None,
            language=mapped.get("language"),
            app_version=mapped.get("app_version"),
            url=mapped.get("url"),
            raw=raw,
            private_fields=private,
            plain_fields=PLAIN,
            updated_at=submitted,
            left_out=None if words or score is not None else "no_words",
        )

    def _words(self, answers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        for answer in answers:
            if answer.get("type") == "text" and (not self._text or names(answer) & set(self._text)):
                text = (text_of(answer.get("text")) or "").strip()
                if text:
                    yield text

    def _score(
        self, answers: Sequence[Mapping[str, Any]], questions: Mapping[str, Mapping[str, Any]]
    ) -> tuple[float | None, tuple[float, float] | None]:
        """The rating and its scale; nothing where the scale is not known or the number is not on it."""
        for answer in answers:
            wanted = names(answer) & {self._rating} if self._rating else kind_of(answer) in RATINGS
            number = answer.get("number")
            if not wanted or isinstance(number, bool) or not isinstance(number, int | float):
                continue
            scale = scale_of(answer, questions)
            if scale is not None and scale[0] <= number <= scale[1]:
                return float(number), scale
        return None, None


def questions_of(beside: Beside, form: str) -> dict[str, Mapping[str, Any]]:
    """The questions by id and ref, each in its newest wording; of all forms where the form is not known."""
    found: dict[str, Mapping[str, Any]] = {}
    for definition in beside.supplements(f"{DEFINITION}{form}-" if form else DEFINITION):
        for question in questions_in(definition):
            for name in ("id", "ref"):
                if isinstance(question.get(name), str):
                    found[question[name]] = question
    return found


def questions_in(definition: Any) -> Iterator[Mapping[str, Any]]:
    """The questions of a form or of a group of questions."""
    for question in objects_in(definition, "fields") if isinstance(definition, dict) else ():
        yield question
        yield from questions_in(question.get("properties"))


def field_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    return member_of(answer, "field")


def kind_of(answer: Mapping[str, Any]) -> str:
    """Type of the question that is answered."""
    return text_of(field_of(answer).get("type")) or ""


def names(answer: Mapping[str, Any]) -> set[str]:
    return {value for name in ("id", "ref") if isinstance(value := field_of(answer).get(name), str)}


def question_of(answer: Mapping[str, Any], questions: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((questions[name] for name in sorted(names(answer)) if name in questions), {})


def scale_of(
    answer: Mapping[str, Any], questions: Mapping[str, Mapping[str, Any]]
) -> tuple[float, float] | None:
    """Lowest and highest number of a question; an NPS goes from 0 to 10 whatever its definition."""
    kind = kind_of(answer)
    if kind == "nps":
        return 0.0, 10.0
    question = question_of(answer, questions)
    if kind not in RATINGS or not question:
        return None
    told = member_of(question, "properties")
    steps = told.get("steps")
    count = steps if isinstance(steps, int) and steps > 1 else STEPS[kind]
    low = 1.0 if kind == "rating" or told.get("start_at_one") is True else 0.0
    return low, low + count - 1


def emails(answers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for answer in answers:
        address = text_of(answer.get("email")) if answer.get("type") == "email" else None
        if address is not None:
            yield address


def raw_fields(
    response: Mapping[str, Any],
    answers: Sequence[Mapping[str, Any]],
    questions: Mapping[str, Mapping[str, Any]],
    hidden: Mapping[str, str | None],
    email: str | None,
) -> tuple[dict[str, str], frozenset[str]]:
    """Every answer by its question's title, hidden fields and times; and which of them are addresses."""
    values: dict[str, str | None] = {
        name: text_of(response.get(name)) for name in ("token", "landed_at", "submitted_at")
    }
    values["score"] = text_of(member_of(response, "calculated").get("score"))
    private = {f"hidden {email}"} if email else set()
    values |= {f"hidden {name}": value for name, value in hidden.items()}
    for position, answer in enumerate(answers, start=1):
        question = question_of(answer, questions)
        title = plain_text(text_of(question.get("title")))
        name = (
            title or text_of(field_of(answer).get("ref")) or text_of(field_of(answer).get("id")) or "answer"
        )
        name = f"{name}#{position}" if name in values else name
        values[name] = answer_text(answer)
        if answer.get("type") == "email":
            private.add(name)
    return {name: value for name, value in values.items() if value is not None}, frozenset(private)


def answer_text(answer: Mapping[str, Any]) -> str | None:
    """The value of an answer as text; labels of choices joined by `; `."""
    value = answer.get(str(answer.get("type")))
    if isinstance(value, dict):
        labels = value.get("labels") or [value.get("label")]
        chosen = [*(labels if isinstance(labels, list) else []), value.get("other")]
        return "; ".join(str(label) for label in chosen if label) or text_of(value)
    return text_of(value)
