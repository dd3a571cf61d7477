"""What may go with dropping out: groups of persons who did, met or were something, and their comparison."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.diagnosis_rows import Surroundings, values_of
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.exposure import (
    Estimate,
    Floats,
    Labels,
    Stratified,
    odds_tables,
    stratified,
    time_matched,
)
from opsanalytics.behavior.population import strata_of
from opsanalytics.behavior.statistics import CONFIDENCE, two_proportion_p

Flags: TypeAlias = npt.NDArray[np.bool_]
BUSY = 6
"""Persons with so many events between step and landmark, or more, count as equally active."""
RECENT = 10
"""Groups of persons by when they were last seen before the landmark."""
MIN_CONTROLS = 10
"""Of one stratum, for a time-matched comparison."""


@dataclass(frozen=True, eq=False)
class Compared:
    """One group against the others at risk."""

    kind: str
    name: str
    value: str
    n: int
    n_with: int
    passed_with: int
    passed_without: int
    found: Stratified
    crude: float
    crude_p: float
    risk: "AtRisk"
    members: Labels
    """Those of the persons at risk who have it."""
    met: tuple[Labels, Floats] | None
    """Who met it before going on, and when first, whatever the landmark."""
    naive: float | None

    def odds(self) -> dict[str, float]:
        """Odds ratio with its interval, and the test that strata agree; NaN where strata are too thin."""
        n1, n0, a, b = _tables(self.risk.stratum, self.risk, self.members)
        kept = (n1 > 0) & (n0 > 0)
        table = odds_tables(n1[kept], n0[kept], a[kept], b[kept])
        with np.errstate(all="ignore"):
            low, high = table.oddsratio_pooled_confint(alpha=1 - CONFIDENCE)
            ratio = table.oddsratio_pooled
            strata = table.table.shape[2]
            same = table.test_equal_odds().pvalue if strata > 1 else np.nan
        values = {"odds_ratio": ratio, "odds_low": low, "odds_high": high, "homogeneity_p": same}
        return {name: float(each) if np.isfinite(each) else np.nan for name, each in values.items()}

    def among_active(self) -> Stratified | None:
        """The comparison among persons with equally many events between step and landmark."""
        if self.risk.active is None:
            return None
        return stratified(*_tables(self.risk.active, self.risk, self.members))

    def among_present(self, harmed: Flags) -> Stratified | None:
        """The comparison among equally active persons last seen at about the same time, without `harmed`."""
        if self.risk.present is None:
            return None
        kept = replace(self.risk, who=self.risk.who & ~harmed)
        return stratified(*_tables(self.risk.present, kept, self.members[~harmed[self.members]]))


@dataclass(frozen=True, eq=False)
class AtRisk:
    """Who is compared, and in which strata."""

    who: Flags
    passed: Flags
    stratum: Labels
    strata: str
    landmark: float | None = None
    active: Labels | None = None
    """Stratum and number of events between step and landmark, without time."""
    present: Labels | None = None
    """The same, and when last seen before the landmark."""

    def narrowed(self, members: Labels) -> "AtRisk":
        """Only these persons."""
        only = np.zeros(len(self.who), np.bool_)
        only[members] = True
        return replace(self, who=self.who & only)


def at_landmark(around: Surroundings, landmark: float) -> AtRisk:
    """Who had not gone on by the landmark, still could, and was seen after the step by then."""
    seen, last = around.seen_until(landmark)
    who = around.still_there(landmark) & (seen > 0)
    # Time is left out: it is a matter of minutes here, and strata would become thin.
    persons = around.population.persons.select(*around.by, "tercile")
    like = _numbered(persons.with_columns(n=pl.Series(np.minimum(seen, BUSY))))
    edges = np.quantile(last[who], np.arange(1, RECENT) / RECENT) if who.any() else np.empty(0)
    return AtRisk(
        who=who,
        passed=np.isfinite(around.passed),
        stratum=around.population.persons["stratum"].to_numpy().astype(np.int64),
        strata=around.population.strata,
        landmark=landmark,
        active=like,
        present=like * RECENT + np.searchsorted(edges, last, side="left"),
    )


def _numbered(rows: pl.DataFrame) -> Labels:
    """A number for each different row, from 0."""
    if rows.is_empty():
        return np.empty(0, np.int64)
    return rows.select(pl.struct(pl.all()).rank("dense")).to_series().to_numpy().astype(np.int64) - 1


def before_step(around: Surroundings) -> AtRisk:
    """Everybody who made the step, for events just before it: of their activity only what is older counts."""
    persons = around.population.persons.with_columns(tercile=around.older)
    return AtRisk(
        who=np.ones(len(around.passed), np.bool_),
        passed=np.isfinite(around.passed),
        stratum=strata_of(persons, around.by).to_numpy().astype(np.int64),
        strata=around.population.strata.replace("activity before the step", "activity before that"),
    )


def at_step(around: Surroundings, without: Collection[str] = ()) -> AtRisk:
    """Everybody who made the step; strata leave out the properties that are compared themselves."""
    by = tuple(name for name in around.by if name not in without)
    left_out = tuple(f"{name} (" for name in without)
    words = ", ".join(part for part in around.population.strata.split(", ") if not part.startswith(left_out))
    persons = around.population.persons
    return AtRisk(
        who=np.ones(len(around.passed), np.bool_),
        passed=np.isfinite(around.passed),
        stratum=strata_of(persons, by).to_numpy().astype(np.int64),
        strata=words,
    )


def candidates(around: Surroundings, definition: Diagnosis, landmark: float | None) -> Iterator[Compared]:
    """Everything that enough persons did, met or were, compared; the same persons under two names once."""
    seen: set[bytes] = set()
    for risk, kind, name, value, members, met in _groups(around, definition, landmark):
        inside = members[risk.who[members]]
        both = hashlib.sha256(np.packbits(risk.who).tobytes() + np.sort(inside).tobytes()).digest()
        n, n_with = int(risk.who.sum()), len(inside)
        if n_with < definition.min_n or n - n_with < definition.min_n or both in seen:
            continue
        seen.add(both)
        yield _compared(risk, kind, name, value, inside, met, around)


Group: TypeAlias = tuple[AtRisk, str, str, str, Labels, tuple[Labels, Floats] | None]


def _groups(around: Surroundings, definition: Diagnosis, landmark: float | None) -> Iterator[Group]:
    """At risk, kind, name, value, who has it, who met it when: friction first, as it says most."""
    least = definition.min_n
    if landmark is not None:
        risk = at_landmark(around, landmark)
        for (signal, place), when in _first(around, around.signals, ["signal", "place"]):
            yield risk, "signal", signal, place, _by(when, landmark), (when[0], when[1])
    for known in around.known:
        whole = at_step(around, known.properties)
        for value, members in values_of(known.values, definition.limit, least):
            yield whole, known.kind, known.name, value, members, None
    left_out = pl.col("event").is_in(list(definition.without))
    if landmark is not None:
        for (event,), when in _first(around, around.after.filter(~left_out), ["event"]):
            did = _by(when, landmark)
            yield risk, "event", event, "", did, (when[0], when[1])
        times = (
            around.after.filter(~left_out, pl.col("seconds") <= landmark)
            .group_by("event", "at")
            .agg(n=pl.len())
            .sort("event", "at")
        )
        for (event,), rows in times.group_by("event", maintain_order=True):
            did, n = rows["at"].to_numpy(), rows["n"].to_numpy()
            often = did[n >= definition.repeats]
            yield risk.narrowed(did), "repeated", str(event), f"{definition.repeats} times", often, None
    whole = before_step(around)
    before = around.before.filter(~left_out).unique().sort("event", "at")
    for (event,), rows in before.group_by("event", maintain_order=True):
        yield whole, "before", str(event), "", rows["at"].to_numpy(), None


def _by(when: tuple[Labels, Floats], landmark: float) -> Labels:
    return when[0][when[1] <= landmark]


def _first(
    around: Surroundings, rows: pl.DataFrame, keys: list[str]
) -> Iterator[tuple[tuple[Any, ...], tuple[Labels, Floats]]]:
    """By key: who met it before going on, and seconds from the step to the first time."""
    first = rows.group_by(*keys, "at").agg(pl.col("seconds").min()).sort(*keys, "at")
    passed = around.passed[first["at"].to_numpy()] if first.height else np.empty(0)
    first = first.filter(first["seconds"] < pl.Series(passed))
    for key, group in first.group_by(keys, maintain_order=True):
        yield key, (group["at"].to_numpy(), group["seconds"].to_numpy())


def _compared(
    risk: AtRisk,
    kind: str,
    name: str,
    value: str,
    inside: Labels,
    met: tuple[Labels, Floats] | None,
    around: Surroundings,
) -> Compared:
    tables = _tables(risk.stratum, risk, inside)
    n1, n0, a, b = (float(each.sum()) for each in tables)
    return Compared(
        kind=kind,
        name=name,
        value=value,
        n=int(n1 + n0),
        n_with=int(n1),
        passed_with=int(a),
        passed_without=int(b),
        found=stratified(*tables),
        crude=a / n1 - b / n0,
        crude_p=float(two_proportion_p([a], [n1], [b], [n0])[0]),
        risk=risk,
        members=inside,
        met=met,
        naive=None if met is None else naive_odds_ratio(around.passed, met[0]),
    )


def _tables(stratum: Labels, risk: AtRisk, inside: Labels) -> tuple[Floats, Floats, Floats, Floats]:
    """By stratum: persons with it and without, and of each how many went on."""
    length = int(stratum.max()) + 1

    def counted(of: Labels) -> tuple[Floats, Floats]:
        weights = risk.passed[of].astype(np.float64)
        return (
            np.bincount(stratum[of], minlength=length).astype(np.float64),
            np.bincount(stratum[of], weights=weights, minlength=length).astype(np.float64),
        )

    n, passed = counted(np.flatnonzero(risk.who))
    n1, a = counted(inside)
    return n1, n - n1, a, passed - a


def naive_odds_ratio(passed: Floats, met: Labels) -> float:
    """Odds ratio of going on for who met something at any time before going on or running out of time.

    As PostHog's correlation counts (events strictly between, one added to each cell): those who drop out are
    observed longer, so they have met more.
    """
    through = np.isfinite(passed)
    success, failure = int(through.sum()), int((~through).sum())
    s = int(through[met].sum())
    f = len(met) - s
    return (s + 1) * (failure - f + 1) / ((success - s + 1) * (f + 1))


def against_those_there(around: Surroundings, compared: Compared) -> Estimate | None:
    """The time-matched estimate of what was met, over all times, not only up to the landmark."""
    if compared.met is None:
        return None
    when = np.full(len(around.passed), np.inf)
    when[compared.met[0]] = compared.met[1]
    stratum = around.population.persons["stratum"].to_numpy().astype(np.int64)
    usable = np.unique(stratum[compared.met[0]])
    return time_matched(around.passed, when, stratum, usable, MIN_CONTROLS)
