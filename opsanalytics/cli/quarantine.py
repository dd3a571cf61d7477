"""`opsanalytics quarantine`."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from opsanalytics.cleaning.quarantined import (
    Selection,
    counts,
    exported,
    landed_file,
    quarantined,
    replay,
    shown_text,
)
from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.lake.files import write_text
from opsanalytics.lake.locks import LockHeldError
from opsanalytics.sources.errors import SourceError

RAW_CHARACTERS = 400


@click.group()
def quarantine() -> None:
    """Records that could not be read: how many, which, why, and through after a fix.

    They are kept with their reason, counted in the ledger, and stay in the landed files as well.
    """


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Options that choose records; the command gets settings and a selection."""

    @wraps(command)
    def chosen(
        config: Path | None,
        source: str | None,
        reason: str | None,
        day: datetime | None,
        delivery: str | None,
        **others: Any,
    ) -> None:
        _, settings = read_config(config)
        names = [each.name for each in settings.sources]
        if source is not None and source not in names:
            raise click.ClickException(
                f"there is no source {source!r}; the configuration has {', '.join(names)}"
            )
        command(settings, Selection(source, reason, _date(day), delivery), **others)

    for option in (
        config_option,
        click.option("--delivery", help="Only this delivery."),
        click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Only records of this UTC day."),
        click.option("--reason", help="Only this reason."),
        click.option("--source", help="Only this source."),
    ):
        chosen = option(chosen)
    return chosen


@quarantine.command("list")
@selecting
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(settings: Settings, selection: Selection, as_json: bool) -> None:
    """Count them by source, reason and day."""
    found = counts(_records(settings, selection))
    if as_json:
        click.echo(found.write_ndjson(), nl=False)
        return
    console = Console(highlight=False)
    if found.is_empty():
        console.print("Nothing is in quarantine.")
        return
    table = RichTable(header_style="bold")
    for column in ("source", "reason", "day"):
        table.add_column(column, overflow="fold")
    table.add_column("records", justify="right")
    table.add_column("deliveries", justify="right")
    for source, reason, day, records, deliveries in found.iter_rows():
        table.add_row(
            Text(source), Text(reason), str(day) if day else "not known", f"{records:,}", f"{deliveries:,}"
        )
    console.print(table)
    console.print(f"{found['records'].sum():,} records. See them: opsanalytics quarantine show")


@quarantine.command()
@selecting
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(min=1), help="Show at most so many."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show(settings: Settings, selection: Selection, limit: int, as_json: bool) -> None:
    """Show records: what was wrong, in which file and line, and their text, shortened and redacted."""
    found = _records(settings, selection)
    console = Console(highlight=False)
    for row in found.head(limit).iter_rows(named=True):
        file = landed_file(settings.home, row["source"], row["delivery"], row["member"])
        text = shown_text(row["raw"], RAW_CHARACTERS)
        if as_json:
            shown = {
                **row,
                "day": row["day"].isoformat() if row["day"] else None,
                "file": str(file),
                "raw": text,
            }
            click.echo(json.dumps(shown, ensure_ascii=False))
            continue
        console.print(
            f"[bold]{escape(row['reason'])}[/] in {escape(row['source'])}, {row['day'] or 'day not known'}"
        )
        console.print(f"  {escape(row['detail'])}")
        member = "" if file.name == row["member"] else f", {row['member']}"
        console.print(f"  {escape(str(file))}{escape(member)}, record {row['record']}", soft_wrap=True)
        console.print(Text(text, style="dim"))
        console.print()
    if not as_json:
        console.print(
            f"{min(limit, found.height):,} of {found.height:,} records."
            if found.height
            else none_of(settings, selection)
        )


def none_of(settings: Settings, selection: Selection) -> str:
    """What to say where nothing was found: broken records often tell no day."""
    undated = 0
    if selection.day is not None:
        others = _records(settings, replace(selection, day=None))
        undated = others["day"].null_count()
    return f"None. Of {undated:,} records the day is not known: leave --day out." if undated else "None."


@quarantine.command("replay")
@selecting
@click.option("--json", "as_json", is_flag=True, help="One JSON object a source.")
def replay_(settings: Settings, selection: Selection, as_json: bool) -> None:
    """Read them again after a fix, and say how many get through now.

    The fix may be another configuration, another version of opsanalytics, or a record that was edited in
    its landed file. The deliveries they came in are read again, the days they belong to written again.
    Exit code 1: some are still set aside.
    """
    console = Console(highlight=False)
    try:
        rules = settings.privacy_rules(os.environ)
        results = [
            replay(source, settings.home, settings.event_names, rules.get(source.name), selection)
            for source in settings.sources
            if selection.source in (None, source.name)
        ]
    except (SourceError, LockHeldError) as error:
        raise click.ClickException(str(error)) from error
    results = [result for result in results if result.deliveries]
    for result in results:
        if as_json:
            shown = {
                "source": result.source, "deliveries": result.deliveries, "before": result.before,
                "after": result.after, "through": result.through, "by_reason": dict(result.by_reason),
            }  # fmt: skip
            click.echo(json.dumps(shown))
            continue
        console.print(
            f"[bold]{escape(result.source)}[/]: {result.through:,} of {result.before:,} records got through; "
            f"{result.deliveries:,} deliveries were read again"
        )
        for reason, (before, after) in result.by_reason.items():
            console.print(f"  {escape(reason)}: {before:,} before, {after:,} now")
    if not as_json:
        if not results:
            console.print("Nothing to read again.")
        elif any(result.through for result in results):
            console.print("Marts and reports do not know them yet: opsanalytics run")
    sys.exit(1 if any(result.after for result in results) else 0)


@quarantine.command()
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@selecting
def export(settings: Settings, selection: Selection, target: Path) -> None:
    """Write them to TARGET as lines of JSON, their text as it came (not redacted)."""
    lines = exported(settings.home, _records(settings, selection))
    write_text(target, "".join(f"{line}\n" for line in lines))
    click.echo(f"Wrote {len(lines):,} records to {target}")


def _records(settings: Settings, selection: Selection) -> pl.DataFrame:
    return quarantined(settings.home, [source.name for source in settings.sources], selection)


def _date(day: datetime | None) -> date | None:
    return day.date() if day else None
