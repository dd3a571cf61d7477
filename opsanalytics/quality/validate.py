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
)
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
) -> list[CheckOutcome]:
    """Check the events of the given UTC days and record the results.

    `sources` are the configured ones. A day that did not change since it was checked by the same rules is
    not checked again; its recorded results are returned. Ordered by day, then as `rules`.

    Raises:
        RuleError: a rule names an expectation, argument or column that does not exist.
    """
    partitions = event_partitions(home, days)
    usual = usual_events(home, (day for day in partitions if not day.rows))
    suite = _Suite(home, EVENTS.name, "event_id", rules, {"sources": sorted(sources)})
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

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise RuleError(f"rules of table {self.table}: several are named {', '.join(repeated)}")

    def run(
        self, partitions: Sequence[Partition], usual: Mapping[str, float], checked_at: datetime
    ) -> list[CheckOutcome]:
        by_rules = rules_version(self.rules, self.parameters)
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
        columns = {name for rule in on_rows for name in (*rule.columns, *rule.shows)}
        for frame in batches(self.home, partitions, columns, self.key):
            self._attribute(frame, session.failing_rows(frame, on_rows), on_rows, findings)
        on_partitions = [rule for rule in self.rules if rule.on == "partitions"]
        if on_partitions:
            figures = volumes(partitions, usual)
            self._attribute(figures, session.failing_rows(figures, on_partitions), on_partitions, findings)
        return [
            self._outcome(rule, partition.name, findings[rule.name, partition.name])
            for partition in partitions
            for rule in self.rules
        ]

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
                about_nulls = rule.expectation.endswith(("BeNull", "NotBeNull"))
                looked_at = ("_rows",) if about_nulls else tuple(c for c in rule.columns if c != PARTITION)
                findings[rule.name, counts[PARTITION]].checked += min(counts[name] for name in looked_at)
        for rule in rules:
            if rows := failing.get(rule.name):
                for (name,), part in frame[list(rows)].partition_by(PARTITION, as_dict=True).items():
                    finding = findings[rule.name, str(name)]
                    finding.unexpected += part.height
                    if rule.shows:
                        rows_shown = part.select(rule.shows).unique(maintain_order=True).head(EXAMPLES)
                        finding.show(example(row) for row in rows_shown.to_dicts())

    def _outcome(self, rule: Rule, partition: str, finding: "_Finding") -> CheckOutcome:
        return CheckOutcome(
            table=self.table,
            check=rule.name,
            partition=partition,
            passed=finding.unexpected <= round((1 - rule.mostly) * finding.checked, 6),
            severity=rule.severity,
            description=rule.description,
            checked=finding.checked,
            unexpected=finding.unexpected,
            examples=tuple(finding.examples),
        )


@dataclass
class _Finding:
    checked: int = 0
    unexpected: int = 0
    examples: list[str] = field(default_factory=list)

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
        columns = sorted({name for rule in rules for name in rule.columns})
        batch = self._batches.get_batch(batch_parameters={"dataframe": frame.select(columns).to_pandas()})
        # No failing value leaves the data frame: which rows failed is asked in a second round.
        broken = [rule for rule, result in self._run(batch, rules, "BASIC") if result["unexpected_count"]]
        return {
            rule.name: sorted(result["unexpected_index_list"])
            for rule, result in self._run(batch, broken, "COMPLETE")
        }

    def _run(
        self, batch: Any, rules: Sequence[Rule], result_format: str
    ) -> Iterator[tuple[Rule, dict[str, Any]]]:
        if not rules:
            return
        expectations = [self._expectation(rule) for rule in rules]
        suite = self._gx.ExpectationSuite(name=result_format, expectations=expectations)
        results = batch.validate(
            suite,
            result_format={"result_format": result_format, "partial_unexpected_count": 0},
            expectation_parameters=self._parameters,
        )
        by_name = {result.expectation_config.meta["rule"]: result for result in results.results}
        for rule in rules:
            result = by_name[rule.name]
            if "unexpected_count" not in result.result:
                raise RuleError(f"rule {rule.name} ({rule.expectation}): {_reason(result.exception_info)}")
            yield rule, result.result

    def _expectation(self, rule: Rule) -> Any:
        kind = getattr(self._gx.expectations, rule.expectation, None)
        if kind is None:
            raise RuleError(f"rule {rule.name}: Great Expectations has no expectation {rule.expectation!r}")
        kwargs = {
            key: list(value) if isinstance(value, tuple) else value for key, value in rule.kwargs.items()
        }
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
    return "; ".join(messages) or "it does not judge row by row"
