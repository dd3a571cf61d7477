"""`opsanalytics backlog`."""

from pathlib import Path

import click
import polars as pl
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.improvement.tables import BACKLOG, PAIN_POINTS
from opsanalytics.lake.marts import read_mart

LANES = {
    "behaviour": ("What people do", "persons a week", "lost a week"),
    "voice": ("What people say, no trace in behaviour", "voices a week", "severity"),
}
"""Title, and what the columns reach and cost mean, by lane."""
LEGEND = {
    "behaviour": "lost a week: conversions lost, with 95 % interval; conf: confidence, 0 to 1",
    "voice": "voices: authors and votes; severity and confidence (conf) from 0 to 1",
}


@click.command()
@config_option
@click.option("--all", "everything", is_flag=True, help="Also what is only watched.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def backlog(config: Path | None, everything: bool, as_json: bool) -> None:
    """Show what to fix next, ranked, as of the last run."""
    _, settings = read_config(config)
    items = read_mart(settings.home, BACKLOG)
    if items.is_empty():
        raise click.ClickException(
            f"there is no backlog in {settings.home.marts}: run `opsanalytics run` first"
        )
    costs = read_mart(settings.home, PAIN_POINTS).select("item_id", "lost_per_week", "lost_low", "lost_high")
    shown = items.join(costs, on="item_id", how="left", maintain_order="left")
    if not everything:
        shown = shown.filter(pl.col("status") == "finding")
    if as_json:
        click.echo(shown.write_ndjson(), nl=False)
        return
    console = Console()
    for lane, (title, reach, cost) in LANES.items():
        rows = shown.filter(pl.col("lane") == lane)
        if rows.is_empty():
            continue
        table = RichTable(
            title=title,
            title_justify="left",
            header_style="bold",
            caption=LEGEND[lane],
            caption_justify="left",
        )
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("what", ratio=1, overflow="fold")
        table.add_column(reach, justify="right", max_width=8)
        table.add_column(cost, justify="right", min_width=8, max_width=11)
        for column in ("conf", "weeks", "score"):
            table.add_column(column, justify="right", no_wrap=True)
        for row in rows.iter_rows(named=True):
            table.add_row(
                str(row["rank"]),
                Text(row["title"]),
                _number(row["reach"]),
                _cost(row),
                f"{row['confidence']:.2f}",
                f"{row['effort_weeks']:g}",
                "" if row["score"] is None else _number(row["score"]),
            )
        console.print(table)
    watched = items.filter(pl.col("status") != "finding").height
    console.print(
        f"As of {items['as_of'][0]:%Y-%m-%d %H:%M} UTC. {watched} more are watched but not beyond doubt"
        + (" (shown)." if everything else "; --all shows them.")
    )


def _cost(row: dict[str, float | None]) -> str:
    if row["lost_per_week"] is not None:
        low, high = (_number(row[name] or 0.0) for name in ("lost_low", "lost_high"))
        return f"{_number(row['lost_per_week'])}\n{low} to {high}"
    return "" if row["impact"] is None else f"{row['impact']:.2f}"


def _number(value: float) -> str:
    """One decimal; below one two digits that say something: a small product's numbers are no zeros."""
    return f"{value:.1f}" if value >= 1 or value == 0 else f"{value:.2g}"
