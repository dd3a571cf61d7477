"""Sessions, paths, cohorts and diagnoses in words, for the mart that says what every number means."""

from collections.abc import Sequence

import polars as pl

from opsanalytics.behavior.cohort_spec import (
    All,
    AnyOf,
    Cohort,
    Did,
    DidNot,
    In,
    Not,
    Period,
    PersonIs,
    Seen,
    as_filter,
)
from opsanalytics.behavior.conditions import ANY_EVENT, Definition, Step
from opsanalytics.behavior.describe import in_words, length_in_words, sources_in_words, step_in_words
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.journey_spec import Paths, Sessions
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.tables import METRIC_DEFINITIONS


def journey_definitions(
    sessions: Sequence[Sessions],
    paths: Sequence[Paths],
    cohorts: Sequence[Cohort],
    diagnoses: Sequence[Diagnosis] = (),
) -> pl.DataFrame:
    """Rows of the mart METRIC_DEFINITIONS, one a definition."""
    described: list[tuple[Sessions | Paths | Cohort | Diagnosis, str]] = [
        *((one, describe_sessions(one)) for one in sessions),
        *((one, describe_paths(one)) for one in paths),
        *((one, describe_cohort(one)) for one in cohorts),
        *((one, describe_diagnosis(one)) for one in diagnoses),
    ]
    rows = [
        {
            "definition_id": definition.definition_id,
            "kind": type(definition).__name__.lower(),
            "name": definition.name,
            "title": definition.label,
            "semantics": semantics,
            "rules": definition.model_dump_json(),
        }
        for definition, semantics in described
    ]
    return METRIC_DEFINITIONS.conform(pl.DataFrame(rows, schema=METRIC_DEFINITIONS.schema))


def describe_sessions(definition: Sessions) -> str:
    """What a session is, in words."""
    made_of = "" if _everything(definition.events) else f", made of {_either(definition.events)}"
    if definition.session_property is not None:
        apart = f"told apart by {definition.session_property}"
    else:
        ends = [f"a pause of more than {length_in_words(definition.gap)}"]
        ends += ["local midnight"] if definition.midnight else []
        ends += [_either(definition.end)] if definition.end else []
        apart = f"ended by {' or '.join(ends)}"
        if definition.start:
            only = " and by nothing else" if definition.only_started else ""
            apart += f"; begun by {_either(definition.start)}{only}"
    unless = []
    if definition.engaged_after is not None:
        unless.append(f"lasts {length_in_words(definition.engaged_after)}")
    if definition.engaging:
        unless.append(f"has {_either(definition.engaging)}")
    bounce = f"It bounces with at most {definition.bounce_events} event{'s' * (definition.bounce_events > 1)}"
    if unless:
        bounce += f", unless it {' or '.join(unless)}"
    return (
        f"Sessions are events of one person{made_of}, {apart}{sources_in_words(definition.sources)}"
        f"{_among(definition.among)}. {bounce}. "
        "Sessions that may still go on are kept apart."
    )


def describe_paths(definition: Paths) -> str:
    """What the paths lead from and to, in words."""
    if definition.funnel is not None:
        name = definition.funnel.name if isinstance(definition.funnel, Funnel) else definition.funnel
        who = {
            "dropped": ", by those who got no further",
            "continued": ", by those who went on",
            "all": "",
        }[definition.outcome]
        anchor = f"step {definition.step} of the funnel {name}{who}"
    elif definition.start is not None:
        anchor = step_in_words(definition.start)
        if definition.end is not None:
            anchor += f" until {step_in_words(definition.end)}"
    elif definition.end is not None:
        anchor = step_in_words(definition.end)
    else:
        anchor = "the first event of a session"
    window = "" if definition.window is None else f" and {length_in_words(definition.window)}"
    which = "first such moment of each person" if definition.occurrence == "first" else "every such moment"
    return (
        f"What people did {'before' if definition.backwards else 'after'} {anchor}: up to {definition.steps} "
        f"events within pauses of {length_in_words(definition.gap)}{window}, from the {which}"
        f"{sources_in_words(definition.sources)}{_among(definition.among)}. "
        f"{'Repeats count once. ' if definition.collapse else ''}"
        f"What fewer than {definition.min_persons} persons did is put together as (other)."
    )


def describe_diagnosis(definition: Diagnosis) -> str:
    """Who is compared with whom, in words."""
    funnel = definition.funnel.name if isinstance(definition.funnel, Funnel) else definition.funnel
    which = "the step that most drop out after" if definition.step is None else f"step {definition.step}"
    if definition.landmark is None:
        landmark = "the time by which half of those who went on had done so"
    else:
        landmark = length_in_words(definition.landmark)
    within = ", ".join([*definition.strata, "activity before the step", "time"])
    return (
        f"What goes with dropping out of the funnel {funnel} after {which}, in first attempts. What "
        f"happened after the step counts up to {landmark}, among people who had not gone on by then; "
        f"what was known at the step, "
        f"among everybody. Compared within {within}; "
        f"false discovery rate {definition.false_discovery_rate:g} over all comparisons of at least "
        f"{definition.min_n} persons on both sides."
    )


def describe_cohort(definition: Cohort) -> str:
    """Who belongs, in words."""
    conditions = " and ".join(map(_condition, definition.where))
    return f"People who {conditions}{sources_in_words(definition.sources)}."


def _condition(one: Definition) -> str:
    if isinstance(one, Did):
        most = "" if one.at_most is None else f" and at most {one.at_most}"
        times = "" if (one.times, one.at_most) == (1, None) else f" at least {one.times}{most} times"
        return f"did {step_in_words(one.did)}{times}{_period(one)}"
    if isinstance(one, DidNot):
        return f"did not do {step_in_words(one.did_not)}{_period(one)}"
    if isinstance(one, Seen):
        return f"were {one.seen} seen{_period(one) or ' at any time'}"
    if isinstance(one, PersonIs):
        return f"have {in_words(as_filter(one))}"
    if isinstance(one, In):
        return f"are in the cohort {one.cohort.name if isinstance(one.cohort, Cohort) else one.cohort}"
    if isinstance(one, Not):
        return f"not ({_condition(one.not_)})"
    if isinstance(one, All):
        return f"({' and '.join(map(_condition, one.all))})"
    if isinstance(one, AnyOf):
        return f"({' or '.join(map(_condition, one.any))})"
    raise TypeError(f"{type(one).__name__} is not a condition")


def _period(period: Period) -> str:
    words = []
    if period.within is not None:
        words.append(f"in the last {length_in_words(period.within)}")
    if period.before is not None:
        words.append(f"at least {length_in_words(period.before)} ago")
    if period.first is not None:
        words.append(f"from {period.first.isoformat()}")
    if period.last is not None:
        words.append(f"until {period.last.isoformat()}")
    return "".join(f" {one}" for one in words)


def _either(steps: Sequence[Step]) -> str:
    return " or ".join(map(step_in_words, steps))


def _everything(steps: Sequence[Step]) -> bool:
    return any(match.event == ANY_EVENT and not match.where for step in steps for match in step.matches)


def _among(among: Cohort | str | None) -> str:
    if among is None:
        return ""
    return f", of persons in the cohort {among.name if isinstance(among, Cohort) else among}"
