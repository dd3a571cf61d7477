from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES
from opsanalytics.feedback.themes import Themes, ThemeSettings, find_themes
from opsanalytics.lake.schemas import PERSONS
from opsanalytics_tests.feedback.messages import START, messages

AS_OF = START + timedelta(days=60)
SUBJECTS = {
    "bank": [
        "Connecting my bank fails every time",
        "The bank connection broke after the update",
        "I cannot connect my bank account",
        "Bank connection stops at the login",
        "My bank will not connect any more",
        "Linking the bank account gives an error",
        "Bank account connection never finishes",
        "It asks for my bank again and again, the connection is lost",
    ],
    "export": [
        "The CSV export is missing columns",
        "Exporting to CSV drops half of the rows",
        "CSV file from the export has wrong columns",
        "Export as CSV opens with broken umlauts",
        "Columns of the exported CSV are shifted",
        "When I export a CSV the file is empty",
        "Please fix the CSV export, columns are wrong",
        "The exported file has no header row in CSV",
    ],
    "price": [
        "The yearly price is too high",
        "Price went up, too expensive now",
        "Your plan is too expensive for freelancers",
        "Expensive compared with others, lower the price",
        "The price of the yearly plan doubled",
        "Too expensive, I would pay half the price",
        "Cheaper yearly plan please, the price is steep",
        "I cancelled because the price is too high",
    ],
}
FILLERS = ["", "Thanks for reading.", "Cheers from Berlin!", "Sent in a hurry."]


def corpus(extra: str = "") -> list[str]:
    return [
        f"{text}. {filler} {extra}" for filler in FILLERS for texts in SUBJECTS.values() for text in texts
    ]


def subject_of(text: str) -> str:
    return next(name for name, texts in SUBJECTS.items() if any(text.startswith(one) for one in texts))


def run(feedback: pl.DataFrame, **settings: object) -> Themes:
    return find_themes(feedback, as_of=AS_OF, settings=ThemeSettings.model_validate(settings))


def test_each_subject_gets_a_theme_of_its_own() -> None:
    texts = corpus()
    found = run(messages(texts)).assignments
    subjects = [subject_of(text) for text in texts]
    pairs = found.with_columns(subject=pl.Series(subjects)).drop_nulls("theme_id")
    assert pairs.height > 0.8 * len(texts)
    largest = pairs.group_by("theme_id", "subject").len().group_by("theme_id").agg(pl.col("len").max())
    assert largest["len"].sum() > 0.9 * pairs.height


@pytest.mark.parametrize("texts", [[], ["help"], ["", None, "!!!", "ok", "bank broken"]])
def test_few_messages_make_no_theme(texts: list[str]) -> None:
    found = run(messages(texts))
    assert found.themes.schema == FEEDBACK_THEMES.schema
    assert found.assignments.schema == FEEDBACK_ASSIGNMENTS.schema
    assert found.themes.is_empty()
    assert found.unassigned == len(texts)


def test_five_alike_make_one_theme() -> None:
    texts = [f"bank connection fails {word}" for word in ("always", "monday", "tuesday", "badly", "twice")]
    found = run(messages(texts))
    assert found.themes["messages"].to_list() == [5]


def test_a_message_that_shares_nothing_with_others_is_in_no_theme() -> None:
    texts = [*corpus(), "שלום", "xyzzy"]
    assert run(messages(texts)).assignments.tail(2)["theme_id"].to_list() == [None, None]


def test_answers_of_one_response_have_one_author_and_a_question_is_no_title() -> None:
    texts = [
        f"bank connection fails {word}" for word in ("always", "monday", "tuesday", "badly", "twice", "now")
    ]
    answers = messages(texts).with_columns(
        title=pl.lit("What should we improve?"),
        response_id=pl.Series([f"survey:{number // 2}" for number in range(len(texts))]),
    )
    (found,) = run(answers).themes.rows(named=True)
    assert (found["messages"], found["authors"], found["example"]) == (6, 3, None)


def test_row_order_changes_nothing() -> None:
    feedback = messages(corpus(), users=[f"u{i % 40}" for i in range(len(corpus()))])
    first, second = run(feedback), run(feedback.sample(fraction=1, shuffle=True, seed=3))
    assert first.themes.equals(second.themes)
    assert first.assignments.equals(second.assignments)


def test_repeats_by_one_author_count_once_and_by_others_for_each() -> None:
    texts = ["bank connection fails"] * 9
    found = run(messages(texts, users=["a", "a", "a", "b", "c", "d", "e", "f", "g"])).themes
    assert found["messages"].to_list() == [7]
    assert found["authors"].to_list() == [7]


def test_repeats_by_nobody_known_count_once() -> None:
    found = run(messages(["bank connection fails"] * 9))
    assert found.themes.is_empty()
    assert found.assignments["duplicate_of"].null_count() == 1


def test_user_ids_of_one_person_are_one_author() -> None:
    persons = (
        PERSONS.empty()
        .clear(2)
        .with_columns(
            source=pl.Series(["app", "web"]),
            id_kind=pl.lit("user"),
            id=pl.Series(["u1", "u2"]),
            person=pl.lit("p"),
            rule=pl.lit("user_id"),
            since=pl.lit(START).cast(pl.Datetime("us", "UTC")),
        )
    )
    feedback = messages(
        [f"bank connection fails {i} {w}" for i, w in enumerate("abcdef")], users=["u1", "u2"] * 3
    )
    found = find_themes(feedback, persons, as_of=AS_OF)
    assert found.assignments["author"].unique().to_list() == ["p"]


def test_ids_stay_while_newer_messages_arrive() -> None:
    feedback = messages(corpus())
    before = find_themes(feedback, as_of=AS_OF).assignments
    new = corpus("Honestly.")[::3]
    more = messages(new, ids=[f"new:{i}" for i in range(len(new))], start=AS_OF)
    after = find_themes(pl.concat([feedback, more]), as_of=AS_OF + timedelta(days=60)).assignments
    both = before.join(after, on="feedback_id", suffix="_after").drop_nulls(["theme_id", "theme_id_after"])
    assert (both["theme_id"] == both["theme_id_after"]).mean() > 0.8


def test_messages_after_as_of_do_not_count() -> None:
    feedback = messages(corpus(), apart=timedelta(days=1))
    found = find_themes(feedback, as_of=START + timedelta(days=19, hours=1))
    assert found.assignments.height == 20


def test_more_texts_than_the_sample_are_all_placed() -> None:
    texts = [*corpus(), *corpus("Honestly.")]
    found = run(messages(texts), sample=100)
    assert len(texts) > 150
    assert found.unassigned < 0.2 * len(texts)
    assert found.themes["messages"].sum() + found.unassigned == len(texts)


def test_hostile_text_reaches_no_label() -> None:
    bad = '<script>alert("x")</script> =HYPERLINK("evil") bank broken \u202e\x00 \U0001f621 connection'
    found = run(messages([f"{bad} {i} {w}" for i, w in enumerate("abcdefgh")])).themes
    assert found.height == 1
    shown = found["label"][0] + "".join(found["keywords"][0])
    assert not set(shown) & set('<>="\x00\u202e')
    assert all("\x00" not in quote and "\n" not in quote for quote in found["quotes"][0])


def test_ratings_and_trend() -> None:
    texts = [
        f"bank connection fails {word}" for word in ("always", "monday", "tuesday", "badly", "twice", "here")
    ]
    feedback = messages(texts, satisfaction=[0.0, 0.25, 0.5, 1.0, None, None], apart=timedelta(days=10))
    theme = find_themes(feedback, as_of=START + timedelta(days=50, hours=1)).themes.row(0, named=True)
    assert (theme["rated"], theme["negative"], theme["satisfaction"]) == (4, 2, 0.4375)
    assert (theme["recent"], theme["earlier"]) == (3, 3)
    assert (theme["trend"], theme["trend_q"]) == ("none", 1.0)
    assert theme["weekly"] == [0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1]
    assert (theme["negative_low"], theme["negative_high"]) == pytest.approx((0.150, 0.850), abs=1e-3)


def test_random_letters_are_in_no_theme() -> None:
    random = np.random.default_rng(5)
    noise = ["".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), 12)) for _ in range(20)]
    given = run(messages([*corpus(), *noise])).assignments["theme_id"].to_list()
    assert given[-20:] == [None] * 20
