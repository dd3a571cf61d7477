"""`opsanalytics person`."""

import dataclasses
import json
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.identity.people import KEPT_APART, PersonReport, explain, nearest, persons_with


@click.command()
@click.argument("identifier", metavar="ID")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a person.")
def person(identifier: str, config: Path | None, as_json: bool) -> None:
    """Explain how an identity came about. ID is any id: user, device, distinct, or the person's own.

    Shows every id of the person, the rule that gave it, and the event that shows it. Exit code 1: nobody
    has this id.
    """
    _, settings = read_config(config)
    found = persons_with(settings.home, identifier)
    if not found:
        raise no_such_person(settings, identifier)
    console = Console(highlight=False)
    for name in found:
        report = explain(settings.home, [source.name for source in settings.event_sources], name)
        if as_json:
            click.echo(json.dumps(dataclasses.asdict(report), default=_text, ensure_ascii=False))
        else:
            _show(console, report, identifier)


def no_such_person(settings: Settings, identifier: str) -> click.ClickException:
    """What to say if nobody has an id; names ids that look alike."""
    near = nearest(settings.home, identifier)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return click.ClickException(
        f"nothing has the id {identifier!r}, neither as user, device nor distinct id.{hint}"
    )


def _show(console: Console, report: PersonReport, asked: str) -> None:
    console.print(f"[bold]Person {escape(report.person)}[/]")
    if asked != report.person:
        console.print(f"found by {escape(asked)}")
    span = f", {_moment(report.first)} to {_moment(report.last)}" if report.first and report.last else ""
    console.print(f"{report.events:,} events{span}\n")
    for each in report.ids:
        console.print(Text.assemble((f"{each.kind} id ", "bold"), (each.id, "cyan"), f"  ({each.source})"))
        console.print(f"  rule {escape(each.rule)}: {escape(each.why)}")
        if each.evidence is not None:
            shown = each.evidence
            console.print(f"  shown by {escape(shown.event)} at {_moment(shown.ts)}")
    if report.shared_devices:
        table = RichTable(title="Shared devices, kept apart", title_justify="left", header_style="bold")
        for column in ("device", "source", "users, the first one first"):
            table.add_column(column, overflow="fold")
        for device in report.shared_devices:
            users = "\n".join(f"{user} since {_moment(since)}" for user, since in device.users)
            table.add_row(Text(device.device), Text(device.source), Text(users))
        console.print()
        console.print(table)
        console.print(KEPT_APART)
    for conflict in report.conflicts:
        console.print(f"[yellow]doubt[/] {escape(conflict)}")


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
