"""Data Docs: what is expected of each table and how the data met it, as pages that need no network.

Great Expectations' own pages load scripts and styles from nine hosts and know one validation each;
these are rendered from the record of results, with the expectations of the suites beside them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from opsanalytics.lake.files import write_text
from opsanalytics.lake.paths import Home
from opsanalytics.quality.results import State, latest, state
from opsanalytics.quality.rules import RULES, Rule

CELLS = 130
"""Partitions shown one by one; more are shown by month."""

FAILURES = 50
"""Failed partitions of a check that are listed with examples, newest first."""


@dataclass(frozen=True)
class Cell:
    """One square of a check's history."""

    label: str
    state: State
    title: str


@dataclass(frozen=True)
class CheckSection:
    """One check of one table over all its partitions."""

    name: str
    severity: str
    description: str
    expectation: str
    """Expectation and arguments; empty for a check that is not part of a suite."""
    state: State
    partitions: int
    failed: int
    checked: int
    unexpected: int
    cells: tuple[Cell, ...]
    failures: tuple[Mapping[str, Any], ...]
    """Rows of `quality_results`."""


@dataclass(frozen=True)
class TablePage:
    """All checks of one table, failed ones first."""

    table: str
    state: State
    partitions: int
    first: str
    last: str
    sections: tuple[CheckSection, ...]


def build_data_docs(home: Home, *, rules: Mapping[str, tuple[Rule, ...]] = RULES) -> Path:
    """Write the pages below `home.quality / "docs"` from the recorded results; return the index page.

    The same results give the same bytes. Everything that came from data is escaped.
    """
    results = latest(home)
    pages = [
        _page(home, str(table), frame, {rule.name: rule for rule in rules.get(str(table), ())})
        for (table,), frame in results.partition_by("table", as_dict=True, maintain_order=True).items()
    ]
    environment = Environment(
        loader=PackageLoader("opsanalytics.quality"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = home.quality / "docs"
    index = folder / "index.html"
    shared = {"pages": pages, "checked_at": results["checked_at"].max()}
    write_text(index, environment.get_template("index.html.j2").render(shared))
    written = {index}
    for page in pages:
        path = folder / f"{page.table}.html"
        write_text(path, environment.get_template("table.html.j2").render(shared, page=page))
        written.add(path)
    for stale in set(folder.glob("*.html")) - written:
        stale.unlink()
    return index


def _page(home: Home, table: str, results: pl.DataFrame, rules: Mapping[str, Rule]) -> TablePage:
    sections = [
        _section(frame, rules.get(str(check)))
        for (check,), frame in results.partition_by("check", as_dict=True, maintain_order=True).items()
    ]
    worst: Mapping[State, int] = {"failed": 0, "warning": 1, "not_checked": 2, "passed": 3}
    order = list(rules)
    sections.sort(
        key=lambda s: (worst[s.state], order.index(s.name) if s.name in order else len(order), s.name)
    )
    partitions = sorted(set(results["partition"]))
    return TablePage(
        table=table,
        state=state(home, [table]),
        partitions=len(partitions),
        first=partitions[0],
        last=partitions[-1],
        sections=tuple(sections),
    )


def _section(results: pl.DataFrame, rule: Rule | None) -> CheckSection:
    results = results.sort("partition")
    newest = results.row(-1, named=True)
    failed = results.filter(~pl.col("passed"))
    return CheckSection(
        name=newest["check"],
        severity=newest["severity"],
        description=newest["description"],
        expectation=f"{rule.expectation}({_arguments(rule)})" if rule else "",
        state=_state(results),
        partitions=results.height,
        failed=failed.height,
        checked=int(results["checked"].sum()),
        unexpected=int(results["unexpected"].sum()),
        cells=tuple(_cells(results)),
        failures=tuple(failed.reverse().head(FAILURES).to_dicts()),
    )


def _arguments(rule: Rule) -> str:
    kwargs = dict(rule.kwargs) | ({"mostly": rule.mostly} if rule.mostly < 1 else {})
    return ", ".join(f"{name}={json.dumps(value, default=str)}" for name, value in kwargs.items())


def _state(results: pl.DataFrame) -> State:
    failed = results.filter(~pl.col("passed"))
    if not failed.is_empty():
        return "failed" if "error" in failed["severity"] else "warning"
    return "passed" if results["checked"].sum() else "not_checked"


def _cells(results: pl.DataFrame) -> list[Cell]:
    by_month = results.height > CELLS
    label = pl.col("partition").str.head(7) if by_month else pl.col("partition")
    cells = []
    for (name,), part in (
        results.with_columns(_label=label).partition_by("_label", as_dict=True, maintain_order=True).items()
    ):
        failed = part.filter(~pl.col("passed"))
        counts = f"{int(failed['unexpected'].sum()):,} of {int(part['checked'].sum()):,} rows unexpected"
        days = f"{failed.height} of {part.height} partitions failed, " if by_month else ""
        told = f"{days}{counts}" if failed.height else f"{int(part['checked'].sum()):,} rows, none unexpected"
        cells.append(Cell(label=str(name), state=_state(part), title=f"{name}: {told}"))
    return cells
