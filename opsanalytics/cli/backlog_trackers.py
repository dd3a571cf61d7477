"""`opsanalytics backlog sync`: issues in GitHub, Jira and Linear about items of the backlog."""

import dataclasses
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from opsanalytics.analysis.trackers import planned, synced, tracker_mart
from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.improvement.trackers.errors import TrackerError
from opsanalytics.improvement.trackers.settings import TrackerSettings
from opsanalytics.improvement.trackers.sync import Step
from opsanalytics.lake.locks import LockHeldError

WOULD = {
    "create": "would be made",
    "update": "would be updated",
    "same": "up to date",
    "waiting": "in doubt",
}
DONE = {
    "create": "made",
    "found": "found",
    "update": "updated",
    "same": "up to date",
    "decide": "read back",
    "waiting": "in doubt",
    "problem": "problem",
}


@click.command("sync")
@config_option
@click.argument("trackers", metavar="[TRACKER]...", nargs=-1)
@click.option("--send", is_flag=True, help="Do it. Without it nothing is sent and no tracker is asked.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def sync(config: Path | None, trackers: tuple[str, ...], send: bool, as_json: bool) -> None:
    """Make and update issues about accepted items, and read back what people did to them.

    TRACKER is the name of one of [[trackers]]; all if not given. What is started, closed, dropped or opened
    again in the tracker becomes a decision here, as if taken with `opsanalytics backlog`.
    """
    _, settings = read_config(config)
    failed = False
    for tracker in _chosen(settings, trackers):
        try:
            steps = (
                synced(settings, tracker, os.environ, now=datetime.now(UTC))
                if send
                else planned(settings, tracker)
            )
        except (TrackerError, LockHeldError) as error:
            raise click.ClickException(str(error)) from error
        failed = failed or any(step.what == "problem" for step in steps)
        _tell(tracker, steps, send=send, as_json=as_json)
    if send:
        tracker_mart(settings)
    elif not as_json:
        click.echo("Nothing was sent. --send does it.")
    if failed:
        raise SystemExit(1)


def _chosen(settings: Settings, names: Sequence[str]) -> list[TrackerSettings]:
    known: dict[str, TrackerSettings] = {each.name: each for each in settings.trackers}
    if not known:
        raise click.ClickException("no tracker is configured: add [[trackers]] (docs/trackers.md)")
    for name in names:
        if name not in known:
            raise click.ClickException(f"there is no tracker {name!r}; configured: {', '.join(known)}")
    return [known[name] for name in names or known]


def _tell(tracker: TrackerSettings, steps: Sequence[Step], *, send: bool, as_json: bool) -> None:
    if as_json:
        for step in steps:
            click.echo(json.dumps({"tracker": tracker.name} | dataclasses.asdict(step), ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(f"[bold]{tracker.name}[/] ({tracker.kind}, {escape(tracker.project)})")
    words = DONE if send else WOULD
    for step in steps:
        where = f" {escape(step.name)}" if step.name else ""
        detail = f": {escape(step.detail)}" if step.detail else ""
        console.print(f"  {step.item_id} {words[step.what]}{where}{detail}", soft_wrap=True)
    if not steps:
        console.print(f"  no item is {', '.join(tracker.states).replace('_', ' ')}")
