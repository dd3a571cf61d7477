"""Definitions in words."""

from opsanalytics.behavior.describe import definitions_frame, describe_funnel, describe_retention
from opsanalytics.behavior.spec import Filter, Funnel, Retention, Step

FUNNEL = Funnel(
    name="activation",
    title="Activation",
    steps=[
        "sign_up",
        Step("tour_done", name="Tour"),
        Step(
            "purchase", where=[Filter(property="seats", op="ge", value=5), Filter(property="plan", op="set")]
        ),
    ],
    window="36h",
    sources=["web", "app"],
)
WEEKLY = Retention(name="weekly", start="sign_up", returning=["visit", "purchase"], periods=4)


def test_a_funnel_names_steps_filters_window_and_sources() -> None:
    text = describe_funnel(FUNNEL)
    assert text.startswith(
        "Of the people who did “sign_up”, how many then did Tour (“tour_done”), then “purchase” where seats "
        "is at least 5 and plan is set, in this order and all within 36 hours of the first event, counting "
        "only events from web, app."
    )


def test_a_window_of_one_week_is_said_in_days() -> None:
    assert "within 7 days" in describe_funnel(Funnel(name="f", steps=["A", "B"], window="1w"))


def test_retention_says_what_a_cohort_is() -> None:
    assert "calendar week of the first such event ever" in describe_retention(WEEKLY)
    recurring = WEEKLY.model_copy(update={"cohort": "recurring", "period": "day"})
    assert "every calendar day with such an event" in describe_retention(recurring)


def test_the_mart_has_one_row_a_definition() -> None:
    frame = definitions_frame([FUNNEL], [WEEKLY])
    assert frame.select("kind", "name", "title", "definition_id").rows() == [
        ("funnel", "activation", "Activation", FUNNEL.definition_id),
        ("retention", "weekly", "weekly", WEEKLY.definition_id),
    ]
    assert Funnel.model_validate_json(frame["rules"][0]) == FUNNEL


def test_no_definitions_give_an_empty_mart() -> None:
    assert definitions_frame([], []).height == 0
