"""What of the events has to travel: columns that a definition looks at, and rows that can count."""

from collections.abc import Collection, Sequence

from opsanalytics.behavior.conditions import ANY_EVENT, Match, Step
from opsanalytics.behavior.filters import PERSON, PERSON_PROPERTIES, event_matches, property_text
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.semantics import Semantics
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.subjects import person_properties

ALWAYS = ("person", "event", "ts")


def needed_columns(
    definition: Funnel | Retention, columns: Sequence[str], segments: Sequence[Segment] = ()
) -> list[str]:
    """The columns that decide the answer, in the order of `columns`; all where a cohort does.

    Raises:
        PropertyError: the definition names a property that the events cannot have.
    """
    if definition.among is not None or any(one.cohorts() for one in segments):
        return list(columns)
    of_persons = {*person_properties(definition), *(n for one in segments for n in one.person_properties())}
    known = [*columns, *(PERSON + name for name in of_persons)]
    found = {*ALWAYS, *(["source"] if definition.sources is not None else [])}
    for match in matches_of(definition):
        found.update(event_matches(match, known).meta.root_names())
    for name in _properties(definition):
        found.update(property_text(name, columns).meta.root_names())
    for one in segments:
        found.update(one.text(known).meta.root_names())
    for name in of_persons:
        if PERSON + name in columns:
            continue
        if PERSON_PROPERTIES in columns:
            found.add(PERSON_PROPERTIES)
        else:
            found.update(property_text(name, columns).meta.root_names())
    return [name for name in columns if name in found]


def counted_events(definition: Funnel | Retention, semantics: Semantics, *, bare: bool) -> set[str] | None:
    """Names of the only events that count; None where others matter too.

    `bare`: no segment looks at persons.
    """
    others = definition.among is not None or person_properties(definition) or not bare
    if isinstance(definition, Funnel):
        others = (
            others
            or definition.order == "strict"
            or "strict_order" in semantics.modes
            or (definition.counting == "sessions" and definition.session_property is None)
        )
    names = {match.event for match in matches_of(definition)}
    if isinstance(definition, Retention) and definition.cohort == "first_ever":
        names.update(definition.start.events)
    return None if others or ANY_EVENT in names else names


def looks_at_first_events(definition: Funnel | Retention) -> bool:
    """Whether it matters which event of nobody comes first."""
    return any(isinstance(step, Step) and step.occurrence != "any" for step in _steps(definition))


def matches_of(definition: Funnel | Retention) -> list[Match]:
    """Every event that the definition names, with its filters."""
    return [
        one for step in _steps(definition) for one in (step.matches if isinstance(step, Step) else (step,))
    ]


def _steps(definition: Funnel | Retention) -> Collection[Step | Match]:
    if isinstance(definition, Funnel):
        return [*definition.steps, *definition.exclusions]
    return [definition.start, *definition.returning]


def _properties(definition: Funnel | Retention) -> list[str]:
    names = [definition.entity, definition.value]
    if isinstance(definition, Funnel):
        names += [
            *definition.hold,
            definition.session_property if definition.counting == "sessions" else None,
        ]
    return [name for name in names if name is not None]
