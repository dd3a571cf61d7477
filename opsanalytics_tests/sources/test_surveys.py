"""Google Forms, SurveyMonkey and Typeform: responses as their downloads hold them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from pydantic import ValidationError

from opsanalytics.sources.base import FeedbackRow, FeedbackSourceSettings, RejectedRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.google_forms import GoogleFormsSettings
from opsanalytics.sources.surveymonkey import SurveyMonkeySettings
from opsanalytics.sources.typeform_csv import TypeformCsvSettings

RECOMMEND = "How likely are you to recommend us?"


def read(
    settings: FeedbackSourceSettings, tmp_path: Path, content: str
) -> tuple[list[FeedbackRow], list[RejectedRow]]:
    path = tmp_path / "export.csv"
    path.write_text(content, encoding="utf-8", newline="")
    rows, rejected = settings.read(path)
    assert settings.count_records(path) == len({row.record for row in rows}) + len(rejected)
    return rows, rejected


def forms(**changes: Any) -> GoogleFormsSettings:
    return GoogleFormsSettings(
        **{
            "name": "form",
            "timezone": "Europe/Berlin",
            "questions": ("What is missing?", "What do you like?"),
            "rating": RECOMMEND,
            "rating_scale": "nps",
            **changes,
        }
    )


FORM = f'"Zeitstempel","Nutzername","{RECOMMEND}","What is missing?","What is missing?","What do you like?"\n'


def test_each_open_answer_of_a_form_is_a_message(tmp_path: Path) -> None:
    rows, _ = read(
        forms(),
        tmp_path,
        f'{FORM}"2026/06/14 10:10:09 AM GMT+2","Ann@x.org","9","Search,\nfast","","Colours"\n',
    )
    first, second = rows
    assert (first.title, first.text) == ("What is missing?", "Search,\nfast")
    assert (second.title, second.text) == ("What do you like?", "Colours")
    assert first.ts == datetime(2026, 6, 14, 8, 10, 9, tzinfo=UTC)
    assert (first.email, first.rating, first.rating_min, first.rating_max) == ("Ann@x.org", 9, 0, 10)
    assert (first.record, first.id) == (second.record, second.id)
    assert first.part != second.part
    assert first.raw["What is missing?#5"] == ""
    assert "Nutzername" in first.private_fields


def test_times_of_a_sheet_are_in_the_configured_zone(tmp_path: Path) -> None:
    rows, _ = read(forms(), tmp_path, f'{FORM}"6/14/2026 10:10:09","","9","","",""\n')
    assert rows[0].ts == datetime(2026, 6, 14, 8, 10, 9, tzinfo=UTC)


def test_the_same_response_of_form_and_sheet_has_one_id(tmp_path: Path) -> None:
    form, _ = read(forms(), tmp_path, f'{FORM}"2026/06/14 10:10:09 AM GMT+2","","9","Search","",""\n')
    sheet, _ = read(
        forms(),
        tmp_path,
        f'"Timestamp","{RECOMMEND}","What is missing?","What do you like?","New question"\n'
        '"14/06/2026 10:10:09","9","Search","",""\n',
    )
    assert (form[0].id, form[0].part) == (sheet[0].id, sheet[0].part)


def test_a_response_without_words_is_its_rating(tmp_path: Path) -> None:
    rows, _ = read(forms(), tmp_path, f'{FORM}"2026/06/14 10:10:09 AM GMT+2","","3","","",""\n')
    assert [(row.text, row.rating, row.part, row.left_out) for row in rows] == [(None, 3, None, None)]


def test_a_response_to_other_questions_is_left_out_and_not_wrong(tmp_path: Path) -> None:
    rows, rejected = read(forms(), tmp_path, f'{FORM}"2026/06/14 10:10:09 AM GMT+2","a@x.org","","","",""\n')
    assert ([row.left_out for row in rows], rejected) == (["no_words"], [])


def test_a_question_that_was_reworded_keeps_its_key(tmp_path: Path) -> None:
    settings = forms(questions=(("What is missing?", "What do you miss?"),), rating=None)
    old, _ = read(settings, tmp_path, '"Timestamp","What do you miss?"\n"2026-06-14","Search"\n')
    new, _ = read(settings, tmp_path, '"Timestamp","What is missing?"\n"2026-06-14","Search"\n')
    assert (old[0].title, old[0].part) == (new[0].title, new[0].part)


def test_a_question_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(
        InboxError, match=r"'What do you like\?' \(questions\) \(nearest: 'What did you like\?'\)"
    ):
        read(forms(rating=None), tmp_path, '"Timestamp","What is missing?","What did you like?"\n')


def test_a_form_without_a_question_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(InboxError, match="name the open questions"):
        read(forms(questions=(), rating=None), tmp_path, FORM)


def test_a_rating_question_needs_its_scale() -> None:
    with pytest.raises(ValidationError, match="rating_scale"):
        forms(rating_scale=None)


def monkey(**changes: Any) -> SurveyMonkeySettings:
    return SurveyMonkeySettings(
        **{
            "name": "monkey",
            "timezone": "America/New_York",
            "rating": RECOMMEND,
            "rating_scale": "nps",
            "day_first": False,
            **changes,
        }
    )


MONKEY = (
    "Respondent ID,Collector ID,Date Created,Date Modified,IP Address,Email Address,First Name,Last Name,"
    f'Custom Data 1,{RECOMMEND},"What, if anything,\nwould you change?",Which apps?,,,Rate us,\n'
    ",,,,,,,,,,Open-Ended Response,Web,iOS,Other (please specify),Speed,Price\n"
)
ANSWER = (
    "118234567890123456,4567,03/04/2026 10:00:00 AM,03/04/2026 10:05:00 AM,1.2.3.4,ann@x.org,Ann,Lee,u1,"
    '10 - Extremely likely,"More, please",Web,,Android,4,5\n'
)


def test_two_rows_of_headings_make_the_columns(tmp_path: Path) -> None:
    rows, _ = read(monkey(), tmp_path, "\ufeff" + MONKEY + ANSWER)
    assert [(row.title, row.text) for row in rows] == [
        ("What, if anything, would you change?", "More, please"),
        ("Which apps?", "Android"),
    ]
    first = rows[0]
    assert (first.id, first.rating, first.email) == ("118234567890123456", 10, "ann@x.org")
    assert first.ts == datetime(2026, 3, 4, 15, tzinfo=UTC)
    assert first.updated_at == datetime(2026, 3, 4, 15, 5, tzinfo=UTC)
    assert (first.raw["Which apps? | Web"], first.raw["Rate us | Price"]) == ("Web", "5")


def test_addresses_and_names_of_respondents_stay_out(tmp_path: Path) -> None:
    (first, _), _ = read(monkey(), tmp_path, MONKEY + ANSWER)
    for name in ("IP Address", "First Name", "Last Name"):
        assert first.raw[name] == "[removed]"
    assert "Email Address" in first.private_fields


def test_questions_can_be_chosen_and_a_custom_variable_be_the_user(tmp_path: Path) -> None:
    settings = monkey(questions=("Which apps?",), user_id="Custom Data 1", rating="Rate us | Speed")
    (row,), _ = read(settings, tmp_path, MONKEY + ANSWER)
    assert (row.text, row.user_id, row.rating) == ("Android", "u1", 4)


def test_open_headings_in_another_language(tmp_path: Path) -> None:
    german = MONKEY.replace("Open-Ended Response", "Antwort in freiem Text").replace(
        "Other (please specify)", "x"
    )
    (row,), _ = read(monkey(open_headings=("Antwort in freiem Text",)), tmp_path, german + ANSWER)
    assert row.text == "More, please"


def test_a_matrix_is_no_rating_until_a_row_of_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(InboxError, match=r"'Rate us' \(rating\) \(nearest: 'Rate us \| "):
        read(monkey(rating="Rate us"), tmp_path, MONKEY + ANSWER)


def test_a_single_row_of_headings_is_understood(tmp_path: Path) -> None:
    header = f"Respondent ID,Start Date,End Date,{RECOMMEND},Why?\n"
    response = "11,03/04/2026 10:00 AM,03/04/2026 10:05 AM,3,x\n"
    (row,), _ = read(monkey(questions=("Why?",)), tmp_path, header + response)
    assert (row.text, row.rating, row.ts) == ("x", 3, datetime(2026, 3, 4, 15, 5, tzinfo=UTC))


def test_headings_alone_are_no_records(tmp_path: Path) -> None:
    assert read(monkey(), tmp_path, MONKEY) == ([], [])


def test_a_workbook_of_surveymonkey(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Respondent ID", "Date Created", "Date Modified", RECOMMEND, "Why?"])
    sheet.append([None, None, None, None, "Open-Ended Response"])
    moment = datetime(2026, 3, 4, 10)  # noqa: DTZ001
    sheet.append([118234567890, moment, moment, 9, "fast"])
    path = tmp_path / "export.xlsx"
    book.save(path)
    (row,), rejected = monkey().read(path)
    assert (row.id, row.text, row.rating, rejected) == ("118234567890", "fast", 9, [])
    assert row.ts == datetime(2026, 3, 4, 15, tzinfo=UTC)


def test_questions_with_the_same_title_stay_apart(tmp_path: Path) -> None:
    content = (
        "Respondent ID,Date Created,Date Modified,Comments,Comments\n"
        ",,,Open-Ended Response,Open-Ended Response\n"
        "1,2026-03-01,2026-03-01,first,second\n"
    )
    rows, _ = read(monkey(rating=None), tmp_path, content)
    assert [(row.title, row.text) for row in rows] == [("Comments", "first"), ("Comments", "second")]
    assert rows[0].part != rows[1].part


def test_tags_mean_nothing_where_there_are_none() -> None:
    with pytest.raises(ValidationError, match="exports of this kind have none"):
        monkey(kinds={"bug": ["bug"]})


def typeform(**changes: Any) -> TypeformCsvSettings:
    settings = {
        "name": "typeform",
        "questions": ("What annoyed you?",),
        "rating": "Rate us",
        "user_id": "uid",
    }
    return TypeformCsvSettings(**{**settings, "rating_scale": "csat", **changes})


TYPEFORM = (
    "#,<b>What annoyed&nbsp;you?</b>,Rate us,uid,Response Type,Start Date (UTC),Stage Date (UTC),"
    "Submit Date (UTC),Network ID,Tags,Ending\n"
)


def test_a_complete_typeform_response(tmp_path: Path) -> None:
    content = f'{TYPEFORM}ab1,slow 🐌,4,u9,completed,2026-03-01 10:00:00,,2026-03-01 10:05:00,f0,"x, bug",\n'
    (row,), _ = read(typeform(kinds={"bug": ["Bug"]}), tmp_path, content)
    assert (row.id, row.text, row.title, row.rating) == ("ab1", "slow 🐌", "What annoyed you?", 4)
    assert (row.user_id, row.tags, row.kind) == ("u9", ("x", "bug"), "bug")
    assert row.ts == datetime(2026, 3, 1, 10, 5, tzinfo=UTC)


@pytest.mark.parametrize(("stage", "minute"), [("2026-03-01 10:02:00", 2), ("", 0)])
def test_a_partial_response_counts_from_its_last_known_time(tmp_path: Path, stage: str, minute: int) -> None:
    content = f"{TYPEFORM}ab1,slow,,u9,partial,2026-03-01 10:00:00,{stage},,f0,,\n"
    (row,), _ = read(typeform(), tmp_path, content)
    assert row.ts == row.updated_at == datetime(2026, 3, 1, 10, minute, tzinfo=UTC)


def test_older_exports_have_fewer_columns(tmp_path: Path) -> None:
    content = "#,What annoyed you?,Rate us,uid,Start Date (UTC),Submit Date (UTC),Network ID\n"
    row = "ab1,slow,4,,2026-03-01 10:00:00,2026-03-01 10:05:00,f0\n"
    (found,), _ = read(typeform(), tmp_path, content + row)
    assert (found.text, found.tags) == ("slow", ())
