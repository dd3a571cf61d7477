"""`opsanalytics compare-sources`."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from opsanalytics.behavior.source_comparison import SOURCE_COMPARISON
from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.lake.marts import read_mart

COLUMNS = (
    "day (UTC)",
    "event",
    "first",
    "second",
    "in both (persons)",
    "ratio (95 %)",
    "verdict",
    "relation",
)


@click.command("compare-sources")
@config_option
@click.option("--event", help="Only this event (canonical name).")
@click.option("--days", is_flag=True, help="Day by day; otherwise all days together.")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="With --days: first UTC day.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="With --days: last UTC day.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def compare_sources(
    config: Path | None,
    event: str | None,
    days: bool,
    first: datetime | None,
    last: datetime | None,
    as_json: bool,
) -> None:
    """Show every two sources side by side, by the events that both send, as of the last run."""
    _, settings = read_config(config)
    rows = read_mart(settings.home, SOURCE_COMPARISON)
    if rows.is_empty():
        raise click.ClickException(
            f"there is nothing to compare in {settings.home.marts}: no two sources send an event of the same "
            "name (see [events] in the configuration), or `opsanalytics run` has not run yet"
        )
    shown = rows.filter(pl.col("day").is_not_null() if days else pl.col("day").is_null())
    if event is not None:
        shown = shown.filter(pl.col("event") == event)
    if first is not None:
        shown = shown.filter(pl.col("day") >= first.date())
    if last is not None:
        shown = shown.filter(pl.col("day") <= last.date())
    if as_json:
        click.echo(shown.write_ndjson(), nl=False)
        return
    console = Console()
    for (a, b), part in shown.partition_by("source_a", "source_b", as_dict=True, maintain_order=True).items():
        table = RichTable(title=f"{a} and {b}", title_justify="left", header_style="bold")
        for column in COLUMNS:
            named = {"first": str(a), "second": str(b)}.get(column, column)
            table.add_column(named, justify="left" if column in ("event", "verdict", "relation") else "right")
        for row in part.iter_rows(named=True):
            table.add_row(
                "all" if row["day"] is None else str(row["day"]),
                Text(row["event"]),
                f"{row['events_a']:,}",
                f"{row['events_b']:,}",
                f"{row['persons_both']:,} of {row['persons_a']:,} and {row['persons_b']:,}",
                _ratio(row),
                row["verdict"],
                row["relation"],
            )
        console.print(table)
    console.print(
        f"As recorded, before [[overlaps]] are settled; as of {rows['as_of'][0]:%Y-%m-%d %H:%M} UTC.",
        markup=False,
    )


def _ratio(row: dict[str, Any]) -> str:
    if row["ratio"] is None:
        return ""
    high = "" if row["ratio_high"] is None else f"{row['ratio_high']:.2f}"
    return f"{row['ratio']:.3f} ({row['ratio_low']:.2f} to {high})"
