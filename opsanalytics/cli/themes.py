"""`opsanalytics themes`."""

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import polars as pl
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.feedback.decisions import (
    ThemeDecision,
    ThemeDecisionError,
    decide,
    in_force,
    read_decisions,
)
from opsanalytics.feedback.keyword_themes import KeywordTheme
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES, THEME_HISTORY
from opsanalytics.lake.marts import read_mart

NEXT = "It shows from the next run on: opsanalytics run"
ANCHORS = 20


@click.group()
def themes() -> None:
    """What people talk about: list and show themes, and decide about them.

    Decisions are kept apart from what is computed; no run and no new message takes them back.
    """


@themes.command("list")
@config_option
@click.option("--muted", is_flag=True, help="Also those that were muted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_themes(config: Path | None, muted: bool, as_json: bool) -> None:
    """List themes by rank, as of the last run."""
    _, settings = read_config(config)
    found = _found(settings)
    shown = found if muted else found.filter(~pl.col("muted"))
    if as_json:
        click.echo(shown.write_ndjson(), nl=False)
        return
    table = RichTable(header_style="bold")
    for title in (
        "#",
        "id",
        "theme",
        "authors",
        "share",
        "4 weeks",
        "before",
        "satisfaction",
        "",
    ):
        left = title in ("id", "theme", "")
        table.add_column(title, justify="left" if left else "right", overflow="fold")
    for row in shown.iter_rows(named=True):
        marks = [mark for mark in ("pinned", "muted", "named") if row[mark]]
        marks += [row["trend"]] if row["trend"] != "none" else []
        happy = "" if row["satisfaction"] is None else f"{row['satisfaction']:.2f}"
        table.add_row(
            str(row["rank"]),
            row["theme_id"],
            Text(row["label"]),
            f"{row['authors']:,}",
            f"{row['share']:.1%}",
            f"{row['recent']:,}",
            f"{row['earlier']:,}",
            happy,
            ", ".join(marks),
        )
    Console().print(table)


@themes.command()
@click.argument("theme_id", metavar="THEME")
@config_option
def show(theme_id: str, config: Path | None) -> None:
    """Show one theme: keywords, quotes, and what happened to it."""
    _, settings = read_config(config)
    row = _theme(settings, theme_id)
    console = Console(highlight=False)
    console.print(f"[bold]{escape(row['label'])}[/] ({row['theme_id']}, {row['origin']})")
    console.print(f"  {row['authors']:,} authors, {row['messages']:,} messages, {row['open']:,} open")
    console.print(f"  first {row['first_seen']:%Y-%m-%d}, last {row['last_seen']:%Y-%m-%d}")
    console.print(f"  words now: {escape(', '.join(row['keywords']) or 'none in common')}")
    for quote, message in zip(row["quotes"], row["quote_ids"], strict=True):
        console.print(f"  “{escape(quote)}” [dim]{escape(message)}[/]")
    for each in read_mart(settings.home, THEME_HISTORY).iter_rows(named=True):
        if theme_id in (each["from_id"], each["to_id"]):
            origin = f"{each['from_id']} ({each['from_label']}) to " if each["from_id"] else ""
            console.print(
                f"  {each['at']:%Y-%m-%d} {each['what']}: "
                + escape(f"{origin}{each['to_id']} ({each['to_label']}), {each['messages']:,} messages")
            )


@themes.command()
@click.argument("theme_id", metavar="THEME")
@click.argument("name")
@config_option
def rename(theme_id: str, name: str, config: Path | None) -> None:
    """Give a theme a name that stays."""
    name = " ".join(name.split())
    if not name:
        raise click.ClickException("the name is empty: give the theme a name people recognise")
    _decide(config, "rename", theme_id, name)


@themes.command()
@click.argument("theme_id", metavar="THEME")
@click.argument("into", metavar="INTO")
@config_option
def merge(theme_id: str, into: str, config: Path | None) -> None:
    """Count a theme as part of another one, from now on and in earlier weeks."""
    if theme_id == into:
        raise click.ClickException(f"{theme_id} cannot be merged into itself: name two themes")
    _, settings = read_config(config)
    _theme(settings, into)
    _decide(config, "merge", theme_id, into)


@themes.command()
@click.argument("theme_id", metavar="THEME")
@config_option
def pin(theme_id: str, config: Path | None) -> None:
    """Rank a theme first."""
    _decide(config, "pin", theme_id)


@themes.command()
@click.argument("theme_id", metavar="THEME")
@config_option
def mute(theme_id: str, config: Path | None) -> None:
    """Hear no more of a theme: it is ranked last, opens no item, and is on no page."""
    _decide(config, "mute", theme_id)


@themes.command()
@click.argument("name")
@click.argument("words", nargs=-1, required=True)
@click.option("--none", "unwanted", multiple=True, help="Not if this word occurs; may be repeated.")
@config_option
def keyword(name: str, words: tuple[str, ...], unwanted: tuple[str, ...], config: Path | None) -> None:
    """Define a theme: all messages with one of WORDS (`refund*` for any ending, quotes for several in a row).

    Of an existing NAME it replaces the words.
    """
    try:
        theme = KeywordTheme(name=name, any=words, none=unwanted)
    except ValidationError as error:
        raise click.ClickException("; ".join(each["msg"] for each in error.errors())) from error
    _, settings = read_config(config)
    _write(settings, ThemeDecision("keyword", theme.theme_id, theme.model_dump_json()))


@themes.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def decisions(config: Path | None, as_json: bool) -> None:
    """List the decisions in force, with the numbers that `undo` takes."""
    _, settings = read_config(config)
    for each in in_force(read_decisions(settings.home)):
        told = {"seq": each.seq, "at": each.at, "by": each.by, "action": each.action}
        told |= {"theme_id": each.theme_id, "value": each.value}
        if as_json:
            click.echo(json.dumps(told, default=str, ensure_ascii=False))
        else:
            click.echo(
                f"{each.seq}  {each.at:%Y-%m-%d}  {each.by}  {each.action} {each.theme_id} {each.value}"
            )


@themes.command()
@click.argument("number", type=int)
@config_option
def undo(number: int, config: Path | None) -> None:
    """Take back a decision."""
    _, settings = read_config(config)
    _write(settings, ThemeDecision("undo", "", str(number)))


def _decide(config: Path | None, action: Any, theme_id: str, value: str = "") -> None:
    _, settings = read_config(config)
    theme = _theme(settings, theme_id)
    members = (
        read_mart(settings.home, FEEDBACK_ASSIGNMENTS)
        .filter((pl.col("theme_id") == theme_id) & pl.col("duplicate_of").is_null())
        .sort("similarity", "feedback_id", descending=[True, False], nulls_last=True)
    )
    anchors = tuple(members["feedback_id"].head(ANCHORS))
    _write(settings, ThemeDecision(action, theme_id, value, anchors, theme["since"]))


def _write(settings: Settings, decision: ThemeDecision) -> None:
    try:
        written = decide(settings.home, decision, at=datetime.now(UTC), by=getpass.getuser())
    except ThemeDecisionError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Decision {written.seq} is kept. {NEXT}")


def _found(settings: Settings) -> pl.DataFrame:
    found = read_mart(settings.home, FEEDBACK_THEMES)
    if found.is_empty():
        raise click.ClickException(
            f"there are no themes in {settings.home.marts}: run `opsanalytics run` first"
        )
    return found


def _theme(settings: Settings, theme_id: str) -> dict[str, Any]:
    rows = _found(settings).filter(pl.col("theme_id") == theme_id)
    if rows.is_empty():
        raise click.ClickException(f"there is no theme {theme_id}; `opsanalytics themes list` names them")
    return rows.row(0, named=True)
