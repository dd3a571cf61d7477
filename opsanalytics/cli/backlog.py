"""`opsanalytics backlog`: what to fix next, one item with its evidence, and how it came to stand there."""

from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from opsanalytics.analysis.backlog import current_backlog
from opsanalytics.analysis.trackers import tracker_issues
from opsanalytics.cli.backlog_decisions import DECISIONS, find_item
from opsanalytics.cli.backlog_trackers import sync
from opsanalytics.cli.backlog_verification import COMMANDS as VERIFICATION
from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.improvement.briefing import briefing, trust
from opsanalytics.improvement.decision_log import read_log
from opsanalytics.improvement.decisions import STATES, follow_up, head_of, spoken
from opsanalytics.improvement.ranking import FORMULAS
from opsanalytics.improvement.tables import PAIN_POINTS
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


@click.group(invoke_without_command=True)
@config_option
@click.option("--all", "everything", is_flag=True, help="Also what is only watched or set aside.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def backlog(ctx: click.Context, config: Path | None, everything: bool, as_json: bool) -> None:
    """Show what to fix next, ranked, as of the last run; decide about it.

    Without a command: list. ITEM is an id such as PP-1a2b3c4d, or its beginning. Decisions are kept in
    state.sqlite of the home folder; no run changes them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, config=config, everything=everything, as_json=as_json, state=None, owner=None)
    elif everything or as_json:
        raise click.UsageError(f"put --all and --json after {ctx.invoked_subcommand}")
    elif config is not None:
        raise click.UsageError(f"put --config after {ctx.invoked_subcommand}")


for _command in (*DECISIONS, *VERIFICATION, sync):
    backlog.add_command(_command)


@backlog.command("list")
@config_option
@click.option("--all", "everything", is_flag=True, help="Also what is only watched or set aside.")
@click.option("--state", type=click.Choice(STATES), help="Only items in this state.")
@click.option("--owner", help="Only items of this owner.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(config: Path | None, everything: bool, state: str | None, owner: str | None, as_json: bool) -> None:
    """List items by rank: findings, and whatever somebody has taken on."""
    _, settings = read_config(config)
    items = _items(settings)
    chosen = (
        pl.lit(everything or state is not None or owner is not None)
        | ((pl.col("stage") == "open") & ((pl.col("status") == "finding") | (pl.col("state") != "new")))
        | (pl.col("stage") == "shipped")
    )
    if state is not None:
        chosen &= pl.col("state") == state
    if owner is not None:
        chosen &= (pl.col("owner") == owner).fill_null(value=False)
    shown = items.filter(chosen)
    if as_json:
        click.echo(shown.write_ndjson(), nl=False)
        return
    console = Console(highlight=False)
    for lane, (title, reach, cost) in LANES.items():
        rows = shown.filter(pl.col("lane") == lane)
        if not rows.is_empty():
            console.print(_table(rows, title, reach, cost, LEGEND[lane]))
    left = items.filter(~chosen)
    more = "" if shown.is_empty() else "more "
    hidden = [
        f"{count} {more}are {what}"
        for count, what in (
            (left.filter(pl.col("stage") != "apart").height, "watched but not beyond doubt"),
            (left.filter(pl.col("stage") == "apart").height, "set aside"),
        )
        if count
    ]
    tail = f" {'; '.join(hidden)}; --all shows them." if hidden and state is owner is None else ""
    if shown.is_empty():
        console.print(
            "No item." if state or owner else "Nothing is a finding, and nobody has taken on anything."
        )
    console.print(
        f"As of {items['as_of'][0]:%Y-%m-%d %H:%M} UTC. Score: {FORMULAS[items['ranking'][0]]}.{tail}"
    )


def _items(settings: Settings) -> pl.DataFrame:
    """As BACKLOG; not empty."""
    items = current_backlog(settings).items
    if items.is_empty():
        raise click.ClickException(
            f"there is no backlog in {settings.home.marts}: run `opsanalytics run` first"
        )
    return items


def _table(rows: pl.DataFrame, title: str, reach: str, cost: str, legend: str) -> RichTable:
    table = RichTable(
        title=title, title_justify="left", header_style="bold", caption=legend, caption_justify="left"
    )
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("what", ratio=1, overflow="fold")
    table.add_column(reach, justify="right", max_width=8)
    table.add_column(cost, justify="right", min_width=8, max_width=11)
    for column in ("conf", "score", "top 5"):
        table.add_column(column, justify="right", no_wrap=True)
    tied = {rank for rank, count in rows["tied"].drop_nulls().value_counts().iter_rows() if count > 1}
    for row in rows.iter_rows(named=True):
        what = Text(row["title"])
        what.append(f"\n{_standing(row)}", style="dim")
        table.add_row(
            "" if row["tied"] is None else f"{row['tied']}=" if row["tied"] in tied else str(row["rank"]),
            what,
            _number(row["reach"]) if row["seen"] else "",
            _cost(row),
            f"{row['confidence']:.2f}" if row["seen"] else "",
            "" if row["score"] is None else _number(row["score"]),
            "" if row["top_5"] is None else _chance(row["top_5"]),
        )
    return table


def _standing(row: dict[str, Any]) -> str:
    """Such as "PP-1a2b3c4d, planned since 2026-11-03, Ann, 2 weeks; with PP-5e6f7a8b"."""
    since = "" if row["state_since"] is None else f" since {row['state_since']:%Y-%m-%d}"
    told = [row["item_id"], spoken(row["state"]) + since]
    if row["owner"]:
        told.append(row["owner"])
    if row["effort_source"] != "default":
        told.append(f"{row['effort_weeks']:g} {'week' if row['effort_weeks'] == 1 else 'weeks'}")
    return ", ".join(told) + (f"; {row['note']}" if row["note"] else "")


@backlog.command()
@config_option
@click.argument("item")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(config: Path | None, item: str, as_json: bool) -> None:
    """Show one item: where it stands, what it costs, and the evidence."""
    _, settings = read_config(config)
    items = _items(settings)
    log = read_log(settings.home)
    asked = find_item(item, {*items["item_id"], *log.lives})
    name = head_of(log.lives, asked)
    rows = items.filter(pl.col("item_id") == name)
    if rows.is_empty():
        parts = ", ".join(log.lives[name].parts) or "nothing that the data shows"
        raise click.ClickException(f"{asked} stands for {parts} now: opsanalytics backlog history {asked}")
    row = rows.row(0, named=True)
    known = read_mart(settings.home, PAIN_POINTS).filter(pl.col("item_id") == (row["evidence_id"] or ""))
    evidence = known.row(0, named=True) if known.height else None
    if as_json:
        click.echo(rows.write_ndjson() if evidence is None else _together(rows, known), nl=False)
        return
    console = Console(highlight=False)
    if asked != name:
        console.print(f"{asked} is merged into {name}.")
    console.print(f"[bold]{escape(row['title'])}[/]")
    told = briefing(row, evidence)
    for sentence in (told.short, told.lately, told.next and f"Next: {told.next}"):
        if sentence:
            console.print(escape(sentence))
    for label, text in [*_facts(row, evidence), *_issues(settings, name)]:
        console.print(f"[bold]{label}[/]  {escape(text)}")
    for quote in evidence["quotes"] if evidence else ():
        console.print(f"  [dim]“{escape(quote)}”[/]")
    if evidence:
        console.print(Text(evidence["query"], style="dim"))
    possible = ", ".join(action.replace("_", "-") for action in follow_up(row["state"]))
    console.print(f"Possible now: {possible}, assign, effort, rename, merge, split")


def _issues(settings: Settings, item: str) -> list[tuple[str, str]]:
    issues = tracker_issues(settings).filter(pl.col("item_id") == item)
    return [
        (row["tracker"], f"{row['issue']} {row['status']} {row['url']}" if row["url"] else row["standing"])
        for row in issues.iter_rows(named=True)
    ]


def _together(rows: pl.DataFrame, known: pl.DataFrame) -> str:
    new = [name for name in known.columns if name not in rows.columns]
    return pl.concat([rows, known.select(new)], how="horizontal").write_ndjson()


def _facts(row: dict[str, Any], evidence: dict[str, Any] | None) -> list[tuple[str, str]]:
    facts = [("stands", _standing(row))]
    if row["state_by"]:
        facts.append(("by", row["state_by"]))
    facts.append(("owner", row["owner"] or "nobody"))
    if row["verdict"]:
        facts.append(("fix", row["verdict"]))
    if row["tied"] is not None:
        facts.append(
            (
                "rank",
                f"{row['rank']} of its lane (likely {row['rank_low']} to {row['rank_high']}"
                + (f", tied from {row['tied']}" if row["tied"] != row["rank"] else "")
                + f"); {_chance(row['top_5'])} sure to belong to the top 5",
            )
        )
    if row["score"] is not None:
        facts.append(
            (
                "score",
                f"{_number(row['score'])} ({_number(row['score_low'])} to {_number(row['score_high'])}) = "
                f"{FORMULAS[row['ranking']]}",
            )
        )
    facts.append(("effort", f"{row['effort_weeks']:g} person-weeks ({row['effort_source']})"))
    caveat = evidence["caveat"] if evidence else ""
    reason = row["confidence_reason"].removesuffix(f"; {caveat}")
    facts.append(("confidence", f"{trust(row['confidence'])}, {row['confidence']:.2f} of 1: {reason}"))
    if evidence is None:
        return facts
    if row["lane"] == "behaviour" and row["value"] is not None:
        facts.append(("costs", _cost(row).replace("\n", " (") + ") conversions a week"))
    share = f"{evidence['affected']:,} of {evidence['n']:,}"
    facts.append(("reach", f"{share}, about {_number(evidence['reach_per_week'] or 0.0)} a week"))
    if evidence["effect"] is not None:
        low, high = evidence["effect_low"] * 100, evidence["effect_high"] * 100
        facts.append(("effect", f"{evidence['effect'] * 100:+.1f} points ({low:+.1f} to {high:+.1f})"))
    if evidence["first_seen"] is not None:
        version = f", version {evidence['first_version']}" if evidence["first_version"] else ""
        facts.append(
            ("seen", f"{evidence['first_seen']:%Y-%m-%d} to {evidence['last_seen']:%Y-%m-%d}{version}")
        )
    if caveat:
        facts.append(("caveat", caveat))
    if evidence["example_persons"]:
        facts.append(("such as", ", ".join(evidence["example_persons"])))
    return facts


@backlog.command()
@config_option
@click.argument("item", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def history(config: Path | None, item: str | None, as_json: bool) -> None:
    """Show what was decided, by whom, and what data changed since; of all items or of ITEM."""
    _, settings = read_config(config)
    lines = current_backlog(settings).history
    if item is not None:
        name = find_item(item, {*lines["item_id"], *read_mart(settings.home, PAIN_POINTS)["item_id"]})
        lines = lines.filter(pl.col("item_id") == name)
    if as_json:
        click.echo(lines.write_ndjson(), nl=False)
        return
    console = Console(highlight=False)
    if lines.is_empty():
        console.print("Nobody has decided anything yet: opsanalytics backlog accept ITEM")
        return
    table = RichTable(header_style="bold")
    for column in ("item", "when", "by", "action", "then", "detail"):
        table.add_column(column, overflow="fold", no_wrap=column == "item")
    for row in lines.iter_rows(named=True):
        table.add_row(
            row["item_id"],
            f"{row['at']:%Y-%m-%d %H:%M}",
            Text(row["by"]),
            row["action"].replace("_", "-"),
            spoken(row["state"]),
            Text(row["detail"]),
        )
    console.print(table)


def _cost(row: dict[str, Any]) -> str:
    if row["lane"] == "behaviour" and row["value"] is not None:
        return f"{_number(row['value'])}\n{_number(row['value_low'])} to {_number(row['value_high'])}"
    return "" if row["impact"] is None else f"{row['impact']:.2f}"


def _number(value: float) -> str:
    """One decimal; below one two digits that say something: a small product's numbers are no zeros."""
    return f"{value:.1f}" if value >= 1 or value == 0 else f"{value:.2g}"


def _chance(share: float) -> str:
    """Never surer than the draws can tell."""
    return ">99 %" if share > 0.99 else "<1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")
