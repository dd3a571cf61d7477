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


def test_every_rule_of_a_funnel_is_said() -> None:
    text = describe_funnel(
        Funnel(
            name="f",
            steps=["A", Step("B", optional=True), Step("C", also=["D"], after="1m")],
            window="1h",
            exclusions=[{"event": "X", "from_step": 1, "to_step": 3}],
            hold="cart",
            counting="attempts",
            date_range="all_steps",
        )
    )
    for words in (
        "“B” (may be left out), then “C” or “D”, at least 1 minute after the step before",
        "does not count with “X” between step 1 and step 3",
        "the same cart",
        "Every attempt counts",
        "limits all events",
    ):
        assert words in text


def test_orders_and_sessions_are_said() -> None:
    strict = Funnel(name="f", steps=["A", "B"], window="1h", order="strict", counting="sessions")
    assert "Any other event in between ends the attempt." in describe_funnel(strict)
    assert "a pause of more than 30 minutes ends it" in describe_funnel(strict)
    by_id = strict.model_copy(update={"session_property": "sid"})
    assert "sid tells them apart" in describe_funnel(by_id)
    limited = Funnel(name="f", steps=["A", Step("B", within="2m")], window="1h")
    assert "“B”, at most 2 minutes after the step before" in describe_funnel(limited)
    any_order = Funnel(name="f", steps=["A", "B"], window="1h", order="any", exclusions=[{"event": "X"}])
    assert "one of “A”, “B”, how many did 2, 3, ... of them, in any order" in describe_funnel(any_order)
    assert "An attempt that meets “X” before it has all steps does not count." in describe_funnel(any_order)


def test_every_rule_of_retention_is_said() -> None:
    text = describe_retention(
        Retention(
            name="r",
            start="S",
            returning="R",
            period="day",
            brackets=(1, 2, 4),
            clock="rolling",
            cohort="first_ever",
            returns="on_or_after",
            minimum=2,
        )
    )
    for words in (
        "did “R” at least 2 times in each of the periods 1, 2 to 3, 4 to 7 that follow, counted in days",
        "only if the first event ever of that name was such a one",
        "Days are counted from the moment of each person's own first such event.",
        "counts in its day and all before",
    ):
        assert words in text
    assert "Day 0 is everybody who started." in describe_retention(
        Retention(name="r", start="S", returning="R", period="day", zero="started")
    )


def test_first_events_entities_values_and_person_properties_are_said() -> None:
    pro = Filter(property="plan", op="regex", value="^pro", of="person")
    definition = Funnel(
        steps=[Step("*", where=[pro], occurrence="first"), "purchase"],
        window="1d",
        entity="account",
        reentry=False,
        value="revenue",
    )
    text = describe_funnel(definition)
    assert "the first ever any event where the person's plan matches “^pro”" in text
    assert "account stands for the person. Only the first entry starts an attempt." in text
    assert "revenue is added up" in text
    by_account = WEEKLY.model_copy(update={"entity": "account"})
    assert "account stands for the person." in describe_retention(by_account)
