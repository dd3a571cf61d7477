"""Running the suites with Great Expectations, partition by partition, on what changed since last time.

Great Expectations takes seconds to import and has a fixed cost for each validation. So it is imported
only when there is something to validate, small partitions are validated together, and failures are
then attributed to the partitions by row.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, FEEDBACK
from opsanalytics.quality.examples import EXAMPLES, example
from opsanalytics.quality.frames import (
    Partition,
    batches,
    event_partitions,
    feedback_partitions,
    usual_events,
    volumes,
    whole,
)
from opsanalytics.quality.plan import TrackingPlan
from opsanalytics.quality.plan_rows import PLAN_COLUMNS, plan_columns, plan_needs
from opsanalytics.quality.results import CheckOutcome, record, recorded
from opsanalytics.quality.rules import EVENT_RULES, FEEDBACK_RULES, PARTITION, Rule, rules_version

PRODUCER = "suite"


class RuleError(RuntimeError):
    """A rule could not be evaluated: it is wrong, not the data."""


def validate_events(
    home: Home,
    days: Iterable[date],
    *,
    sources: Collection[str],
    checked_at: datetime,
    rules: tuple[Rule, ...] = EVENT_RULES,
    plan: TrackingPlan | None = None,
) -> list[CheckOutcome]:
    """Check the events of the given UTC days and record the results.

    `sources` are the configured ones; `plan` is the tracking plan that rules of `plan_rows` look at. A day
    that did not change since it was checked by the same rules is not checked again; its recorded results
    are returned. Ordered by day, then as `rules`.

    Raises:
        RuleError: a rule names an expectation, argument or column that does not exist.
    """
    partitions = event_partitions(home, days)
    usual = usual_events(home, (day for day in partitions if not day.rows))
    suite = _Suite(home, EVENTS.name, "event_id", rules, {"sources": sorted(sources)}, plan or TrackingPlan())
    return suite.run(partitions, usual, checked_at)


def validate_feedback(
    home: Home,
    sources: Iterable[str],
    *,
    checked_at: datetime,
    rules: tuple[Rule, ...] = FEEDBACK_RULES,
) -> list[CheckOutcome]:
    """Check the feedback of the configured sources and record the results; as `validate_events`."""
    names = sorted(set(sources))
    suite = _Suite(home, FEEDBACK.name, "feedback_id", rules, {"sources": names})
    return suite.run(feedback_partitions(home, names), {}, checked_at)


@dataclass(frozen=True)
class _Suite:
    home: Home
    table: str
    key: str
    rules: tuple[Rule, ...]
    parameters: Mapping[str, Any]
    plan: TrackingPlan = field(default_factory=TrackingPlan)

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise RuleError(f"rules of table {self.table}: several are named {', '.join(repeated)}")

    def run(
        self, partitions: Sequence[Partition], usual: Mapping[str, float], checked_at: datetime
    ) -> list[CheckOutcome]:
        by_rules = rules_version(self.rules, {**self.parameters, "plan": self.plan.model_dump_json()})
        versions = {
            # All that a result depends on: data, rules, and the usual volume of an empty day.
            partition.name: _hash(partition.content_hash, by_rules, usual.get(partition.name))
            for partition in partitions
        }
        known = recorded(self.home, self.table, producer=PRODUCER, versions=versions)
        done = {outcome.partition for outcome in known}
        changed = [partition for partition in partitions if partition.name not in done]
        new = self._validate(changed, usual) if changed else []
        record(self.home, new, producer=PRODUCER, checked_at=checked_at, data_version=versions)
        position = {rule.name: number for number, rule in enumerate(self.rules)}
        return sorted([*known, *new], key=lambda outcome: (outcome.partition, position[outcome.check]))

    def _validate(self, partitions: Sequence[Partition], usual: Mapping[str, float]) -> list[CheckOutcome]:
        findings: dict[tuple[str, str], _Finding] = defaultdict(_Finding)
        session = _Session(self.parameters)
        on_rows = [rule for rule in self.rules if rule.on == "rows"]
        for frame in self._frames(partitions, on_rows):
            self._attribute(frame, session.failing_rows(frame, on_rows), on_rows, findings)
        on_partitions = [rule for rule in self.rules if rule.on == "partitions"]
        if on_partitions:
            figures = volumes(partitions, usual)
            self._attribute(figures, session.failing_rows(figures, on_partitions), on_partitions, findings)
        on_whole = [rule for rule in self.rules if rule.on == "whole"]
        for partition in partitions if on_whole else ():
            if partition.rows:
                frame = whole(self.home, partition, _seen(on_whole))
                for rule, result in session.judge(frame, on_whole):
                    finding = findings[rule.name, partition.name] = _finding_of_whole(result, frame.height)
                    if finding.failed and "unexpected_count" in result["result"]:
                        finding.show(_examples(rule, frame[session.failing_rows(frame, [rule])[rule.name]]))
        return [
            self._outcome(rule, partition.name, findings[rule.name, partition.name])
            for partition in partitions
            for rule in self.rules
        ]

    def _frames(self, partitions: Sequence[Partition], rules: Sequence[Rule]) -> Iterator[pl.DataFrame]:
        """Batches with all columns that the rules look at or show."""
        columns = _seen(rules)
        of_plan = [column for column in columns if column in PLAN_COLUMNS]
        if not of_plan:
            yield from batches(self.home, partitions, columns, self.key)
            return
        stored = {*(columns - set(of_plan)), *plan_needs(self.plan)}
        for frame in batches(self.home, partitions, stored, self.key):
            judged = plan_columns(frame, self.plan).select(of_plan)
            yield pl.concat(
                [frame.select(PARTITION, *sorted(columns - {PARTITION, *of_plan})), judged], how="horizontal"
            )

    def _attribute(
        self,
        frame: pl.DataFrame,
        failing: Mapping[str, Sequence[int]],
        rules: Sequence[Rule],
        findings: dict[tuple[str, str], "_Finding"],
    ) -> None:
        present = frame.group_by(PARTITION).agg(pl.len().alias("_rows"), pl.all().count())
        for counts in present.to_dicts():
            for rule in rules:
                # Expectations pass over rows where a column is null, except those that look for null.
                others = () if _about_nulls(rule) else tuple(c for c in rule.columns if c != PARTITION)
                looked_at = others or ("_rows",)
                findings[rule.name, counts[PARTITION]].checked += min(counts[name] for name in looked_at)
        for rule in rules:
            if rows := failing.get(rule.name):
                for (name,), part in frame[list(rows)].partition_by(PARTITION, as_dict=True).items():
                    finding = findings[rule.name, str(name)]
                    finding.unexpected += part.height
                    finding.show(_examples(rule, part))

    def _outcome(self, rule: Rule, partition: str, finding: "_Finding") -> CheckOutcome:
        return CheckOutcome(
            table=self.table,
            check=rule.name,
            partition=partition,
            passed=not finding.failed and finding.unexpected <= round((1 - rule.mostly) * finding.checked, 6),
            severity=rule.severity,
            description=rule.description,
            checked=finding.checked,
            unexpected=finding.unexpected,
            examples=tuple(finding.examples),
        )


def _about_nulls(rule: Rule) -> bool:
    return rule.expectation in ("ExpectColumnValuesToBeNull", "ExpectColumnValuesToNotBeNull")


def _about_equality(rule: Rule) -> bool:
    """Whether it looks at nothing but nulls and which values are equal."""
    return _about_nulls(rule) or rule.expectation == "ExpectCompoundColumnsToBeUnique"


def _numbered(column: pl.Series) -> pl.Series:
    """The values numbered, equal ones alike; null stays null."""
    if column.dtype != pl.String:
        return column
    codes = column.to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode().indices
    return pl.Series(column.name, codes)


def _examples(rule: Rule, rows: pl.DataFrame) -> list[str]:
    shown = rows.select(rule.shows).unique(maintain_order=True).head(EXAMPLES) if rule.shows else rows.head(0)
    return [example(row) for row in shown.to_dicts()]


def _seen(rules: Sequence[Rule]) -> set[str]:
    return {name for rule in rules for name in (*rule.columns, *rule.shows, *rule.needs)}


def _finding_of_whole(result: Mapping[str, Any], rows: int) -> "_Finding":
    """Of a rule on all rows together: how many failed if it says, else all; what was observed if a figure."""
    told = result["result"]
    rows = int(told.get("element_count", rows))
    if result["success"]:
        return _Finding(rows)
    observed = told.get("observed_value")
    shown = [f"observed {observed}"] if isinstance(observed, int | float) else []
    # `mostly` is judged already: what is left counts as failed.
    return _Finding(rows, max(1, int(told.get("unexpected_count") or rows)), shown, failed=True)


@dataclass
class _Finding:
    checked: int = 0
    unexpected: int = 0
    examples: list[str] = field(default_factory=list)
    failed: bool = False
    """Whether it failed whatever share of rows may."""

    def show(self, examples: Iterable[str]) -> None:
        """Keep the first few that differ."""
        self.examples = list(dict.fromkeys((*self.examples, *examples)))[:EXAMPLES]


class _Session:
    """An ephemeral Great Expectations context."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        self._gx = gx
        self._parameters = dict(parameters)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        asset = context.data_sources.add_pandas("lake").add_dataframe_asset("frame")
        self._batches = asset.add_batch_definition_whole_dataframe("all")

    def failing_rows(self, frame: pl.DataFrame, rules: Sequence[Rule]) -> dict[str, list[int]]:
        """Row numbers that break each rule, rules that hold left out."""
        batch = self._batch(frame, rules)
        # No failing value leaves the data frame: which rows failed is asked in a second round.
        broken = [rule for rule, result in self._run(batch, rules, "BASIC") if result["unexpected_count"]]
        return {
            rule.name: sorted(result["unexpected_index_list"])
            for rule, result in self._run(batch, broken, "COMPLETE")
        }

    def judge(self, frame: pl.DataFrame, rules: Sequence[Rule]) -> Iterator[tuple[Rule, dict[str, Any]]]:
        """What each rule says of all rows together: `success` and `result`."""
        if frame.is_empty():
            return
        results = self._results(self._batch(frame, rules), rules, "BASIC")
        for rule in rules:
            result = results[rule.name]
            if reason := _reason(result.exception_info):
                raise RuleError(f"rule {rule.name} ({rule.expectation}): {reason}")
            yield rule, {"success": bool(result.success), "result": result.result}

    def _batch(self, frame: pl.DataFrame, rules: Sequence[Rule]) -> Any:
        columns = sorted({name for rule in rules for name in (*rule.columns, *rule.needs)}) or [PARTITION]
        compared = {name for rule in rules if not _about_nulls(rule) for name in (*rule.columns, *rule.needs)}
        read = {name for rule in rules if not _about_equality(rule) for name in (*rule.columns, *rule.needs)}
        # Great Expectations hashes every value of a frame: where only nulls matter, none is shown to it,
        # and where values are only compared with each other, numbers that are equal where they are.
        slim = frame.select(
            pl.when(pl.col(name).is_not_null()).then(1.0).alias(name)
            if name not in compared
            else pl.col(name)
            if name in read
            else _numbered(frame[name])
            for name in columns
        )
        return self._batches.get_batch(batch_parameters={"dataframe": slim.to_pandas()})

    def _run(
        self, batch: Any, rules: Sequence[Rule], result_format: str
    ) -> Iterator[tuple[Rule, dict[str, Any]]]:
        if not rules:
            return
        by_name = self._results(batch, rules, result_format)
        for rule in rules:
            result = by_name[rule.name]
            if "unexpected_count" not in result.result:
                reason = _reason(result.exception_info) or "it does not judge row by row"
                raise RuleError(f"rule {rule.name} ({rule.expectation}): {reason}")
            yield rule, result.result

    def _results(self, batch: Any, rules: Sequence[Rule], result_format: str) -> dict[str, Any]:
        expectations = [self._expectation(rule) for rule in rules]
        results = batch.validate(
            self._gx.ExpectationSuite(name=result_format, expectations=expectations),
            result_format={"result_format": result_format, "partial_unexpected_count": 0},
            expectation_parameters=self._parameters,
        )
        return {result.expectation_config.meta["rule"]: result for result in results.results}

    def _expectation(self, rule: Rule) -> Any:
        kind = getattr(self._gx.expectations, rule.expectation, None)
        if kind is None:
            raise RuleError(f"rule {rule.name}: Great Expectations has no expectation {rule.expectation!r}")
        kwargs = {
            key: list(value) if isinstance(value, tuple) else value for key, value in rule.kwargs.items()
        }
        if rule.on == "whole" and rule.mostly < 1:
            kwargs["mostly"] = rule.mostly
        try:
            return kind(**kwargs, meta={"rule": rule.name})
        except ValueError as error:
            told = " ".join(str(error).split())
            raise RuleError(f"rule {rule.name} ({rule.expectation}): {told}") from error


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _reason(exception_info: Mapping[str, Any]) -> str:
    """Great Expectations gives one exception, or one for each metric."""
    infos = [exception_info, *(info for info in exception_info.values() if isinstance(info, Mapping))]
    messages = [str(info["exception_message"]) for info in infos if info.get("exception_message")]
    return "; ".join(messages)
