"""The same funnel as other tools count it, and which of their rules makes each difference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from html import escape
from typing import Any

import polars as pl

from opsanalytics.behavior.folding import PresetError
from opsanalytics.behavior.funnel import FunnelResult, funnel
from opsanalytics.behavior.funnel_rows import check_range
from opsanalytics.behavior.periods import zone
from opsanalytics.behavior.rows import Events, check_as_of
from opsanalytics.behavior.semantics import OPSANALYTICS, PRESETS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel

MEANINGS = {
    "maturity": "attempts whose window is still open count, as drop-offs until they convert",
    "date_range": "what the date range limits: entries, or the events of all steps",
    "entries": "only a person's first entry in the range starts an attempt",
    "of_equals": "of attempts that get equally far the earliest entry counts",
    "unordered_entry": "of unordered attempts that complete together the earliest entry gives the times",
    "grace": "steps this close together may come in either order",
    "one_event": "one event may serve several steps",
    "exclusions": "an excluded attempt counts as dropped instead of removing the person",
    "tied_exclusions": "an excluded event at the instant of another event of the funnel does not count",
    "strict_ties": "strict order overlooks instants with several kinds of events",
    "strict_repeats": "strict order overlooks repeats of the step just made",
    "hold": "which value of a property held constant counts",
    "zero_gaps": "averages leave out times of zero seconds between steps",
    "scan": "windowFunnel's scan of (time, condition) pairs and its modes",
}
TOGETHER = {"scan": ("scan", "modes")}
"""Switches that are flipped as one."""
COUNTS = {
    "preset": pl.String,
    "step": pl.Int32,
    "step_name": pl.String,
    "entered": pl.Int64,
    "persons": pl.Int64,
    "rate": pl.Float64,
    "rate_low": pl.Float64,
    "rate_high": pl.Float64,
    "mean_seconds": pl.Float64,
    "note": pl.String,
}
RULES = {
    "preset": pl.String,
    "rule": pl.String,
    "value": pl.String,
    "meaning": pl.String,
    "step": pl.Int32,
    "before": pl.Int64,
    "after": pl.Int64,
    "change": pl.Int64,
}


@dataclass(frozen=True, eq=False)
class Reconciliation:
    """Counts by preset, and the steps from `opsanalytics` to each of them, one rule at a time."""

    definition: Funnel
    as_of: datetime
    counts: pl.DataFrame
    """`preset`, `step`, `step_name`, `entered`, `persons`, `rate`, `rate_low`, `rate_high` (Wilson, 95 %),
    `mean_seconds`, `note`. A tool that cannot express the funnel has one row, whose `note` says why."""
    rules: pl.DataFrame
    """`preset`, `rule`, `value`, `meaning`, `step`, `before`, `after`, `change`: persons at a step before and
    after one more rule is the tool's. The changes of a preset and step add up to its difference from
    `opsanalytics`. Rules that change nothing are among them, with 0."""

    def to_polars(self) -> pl.DataFrame:
        return self.counts

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "counts": self.counts.to_dicts(),
            "rules": self.rules.to_dicts(),
        }

    def __repr__(self) -> str:
        lines = [f"{self.definition.label}, persons by step at {self.as_of.isoformat(timespec='minutes')}"]
        for (preset,), rows in self.counts.group_by("preset", maintain_order=True):
            note = rows["note"][0]
            shown = note if note else " > ".join(map(str, rows["persons"]))
            lines.append(f"  {preset}: {shown}")
            changed = self.rules.filter((pl.col("preset") == preset) & (pl.col("change") != 0))
            for (rule, value), steps in changed.group_by("rule", "value", maintain_order=True):
                changes = ", ".join(f"step {k} {n:+}" for k, n in steps.select("step", "change").rows())
                lines.append(f"    {rule} = {value} ({MEANINGS[str(rule)]}): {changes}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def reconcile(
    events: Events,
    definition: Funnel,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    presets: Sequence[str | Semantics] = tuple(PRESETS),
    ask: Callable[[Semantics], FunnelResult] | None = None,
) -> Reconciliation:
    """Evaluate a funnel as each preset does, and explain the differences from `opsanalytics`.

    The rules in which a preset differs are taken over one after the other, in the order of the fields of
    `Semantics`; what each changes is counted.

    In: as `funnel`; `ask` evaluates the funnel with some switches in place of `funnel` on the events, from
    the index for example. Raises: as `funnel`, except that what a tool cannot express becomes a note.
    """
    check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    done: dict[str, FunnelResult] = {}

    def evaluate(semantics: Semantics) -> FunnelResult:
        key = semantics.identity()
        if key not in done and ask is not None:
            done[key] = ask(semantics)
        elif key not in done:
            done[key] = funnel(
                events, definition, as_of=as_of, first=first, last=last, timezone=timezone, preset=semantics
            )
        return done[key]

    counts: list[dict[str, Any]] = []
    rules: list[dict[str, Any]] = []
    for preset in map(preset_named, presets):
        try:
            steps = evaluate(preset).to_polars()
        except PresetError as error:
            counts.append({"preset": preset.name, "note": str(error)})
            continue
        shown = steps.select([name for name in COUNTS if name not in ("preset", "note")])
        counts += [{"preset": preset.name, **row} for row in shown.to_dicts()]
        rules += _explained(preset, evaluate)
    return Reconciliation(
        definition=definition,
        as_of=as_of,
        counts=pl.DataFrame(counts, schema=COUNTS),
        rules=pl.DataFrame(rules, schema=RULES),
    )


def _explained(preset: Semantics, evaluate: Any) -> list[dict[str, Any]]:
    found = []
    wanted = OPSANALYTICS.differences(preset)
    current = OPSANALYTICS
    persons = evaluate(current).to_polars()["persons"].to_list()
    for rule, meaning in MEANINGS.items():
        changed = {name: wanted[name] for name in TOGETHER.get(rule, (rule,)) if name in wanted}
        if not changed:
            continue
        current = replace(current, name=preset.name, **changed)
        after = evaluate(current).to_polars()["persons"].to_list()
        value = ", ".join(_written(one) for one in changed.values() if one != frozenset())
        found += [
            {
                "preset": preset.name,
                "rule": rule,
                "value": value,
                "meaning": meaning,
                "step": step,
                "before": old,
                "after": new,
                "change": new - old,
            }
            for step, (old, new) in enumerate(zip(persons, after, strict=True), 1)
        ]
        persons = after
    return found


def _written(value: Any) -> str:
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else str(value)
