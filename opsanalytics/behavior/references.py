"""Definitions that name others: the names replaced by what they stand for, so that ids tell all the rules."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from opsanalytics.behavior.cohort_spec import All, AnyOf, Cohort, In, Not
from opsanalytics.behavior.conditions import Definition
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.journey_spec import Paths, check_funnel
from opsanalytics.behavior.spec import Funnel

Asked = TypeVar("Asked", bound=Definition)


def resolved_cohorts(cohorts: Sequence[Cohort]) -> dict[str, Cohort]:
    """Cohorts by name, with those that their conditions name put in.

    Raises:
        ValueError: a condition names a cohort that there is not, or cohorts name each other in a circle.
    """
    return {one.name: _cohort(one, {each.name: each for each in cohorts}, (one.name,)) for one in cohorts}


def resolved(definition: Asked, cohorts: Mapping[str, Cohort], funnels: Mapping[str, Funnel]) -> Asked:
    """A definition with the cohort and the funnel that it names put in.

    In: `cohorts` as `resolved_cohorts` gives them; `funnels`, themselves resolved.

    Raises:
        ValueError: there is no such cohort or funnel, or the funnel has no such step.
    """
    if isinstance(definition, Cohort):
        return definition.model_copy(update={"where": _cohort(definition, cohorts, ()).where})
    name = getattr(definition, "name", "definition")
    changed: dict[str, Any] = {}
    among = getattr(definition, "among", None)
    if isinstance(among, str):
        changed["among"] = _known(among, cohorts, f"{name}: among names the cohort")
    elif isinstance(among, Cohort):
        changed["among"] = _cohort(among, cohorts, ())
    if isinstance(definition, Paths) and isinstance(definition.funnel, str):
        funnel = _known(definition.funnel, funnels, f"{name}: funnel names")
        try:
            check_funnel(funnel, definition)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        changed["funnel"] = funnel
    if isinstance(definition, Diagnosis) and isinstance(definition.funnel, str):
        funnel = _known(definition.funnel, funnels, f"{name}: funnel names")
        try:
            changed["funnel"] = Diagnosis(
                funnel=funnel, step=definition.step, landmark=definition.landmark
            ).funnel
        except ValidationError as error:
            raise ValueError(f"{name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    return definition.model_copy(update=changed) if changed else definition


def _cohort(cohort: Cohort, known: Mapping[str, Cohort], inside: tuple[str, ...]) -> Cohort:
    where = tuple(_condition(one, cohort, known, inside) for one in cohort.where)
    return cohort.model_copy(update={"where": where})


def _condition(
    one: Definition, cohort: Cohort, known: Mapping[str, Cohort], inside: tuple[str, ...]
) -> Definition:
    if isinstance(one, In):
        other = one.cohort
        if isinstance(other, str):
            if other in inside:
                raise ValueError(f"cohorts: {' -> '.join((*inside, other))} is a circle")
            inside = (*inside, other)
            other = _known(other, known, f"{cohort.name}: where names the cohort")
        return one if other is None else one.model_copy(update={"cohort": _cohort(other, known, inside)})
    if isinstance(one, All):
        return one.model_copy(
            update={"all": tuple(_condition(each, cohort, known, inside) for each in one.all)}
        )
    if isinstance(one, AnyOf):
        return one.model_copy(
            update={"any": tuple(_condition(each, cohort, known, inside) for each in one.any)}
        )
    if isinstance(one, Not):
        return one.model_copy(update={"not_": _condition(one.not_, cohort, known, inside)})
    return one


Found = TypeVar("Found")


def _known(name: str, known: Mapping[str, Found], what: str) -> Found:
    if name not in known:
        raise ValueError(f"{what} {name!r}, but the configuration has {', '.join(known) or 'none'}")
    return known[name]
