"""`opsanalytics forget`."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from opsanalytics.analysis.forget import (
    AmbiguousPersonError,
    Erased,
    Plan,
    UnknownPersonError,
    plan,
    resume,
    was_forgotten,
)
from opsanalytics.analysis.forget import (
    forget as erase,
)
from opsanalytics.cli.person import no_such_person
from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.lake.erasures import read_unfinished
from opsanalytics.lake.locks import LockHeldError
from opsanalytics.sources.errors import SourceError

SHOWN_IDS = 20


@click.command()
@click.argument("identifier", metavar="PERSON")
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@click.option("--yes", is_flag=True, help="Do it, without asking.")
def forget(identifier: str, config: Path | None, dry_run: bool, yes: bool) -> None:
    """Erase a person from everything in the home folder. PERSON is any of their ids, or an e-mail address.

    Landed files, the lake, feedback and its inbox, marts, the published file and reports lose them, and
    a later fetch or delivery does not bring them back. What was erased when is kept in
    erasures/audit.jsonl of the home folder, with salted hashes of the ids. Cannot be undone.
    """
    _, settings = read_config(config)
    console = Console(highlight=False)
    try:
        if not dry_run:
            finished = resume(
                settings, os.environ, tell=lambda text: console.print(f"[dim]{escape(text)}[/]")
            )
            if finished is not None:
                console.print("Finished the erasure that was interrupted.")
                _show(console, finished)
        elif read_unfinished(settings.home) is not None:
            console.print("[yellow]An erasure was interrupted; the next `forget` finishes it first.[/]")
        _forget(settings, identifier, console, dry_run=dry_run, yes=yes)
    except (SourceError, LockHeldError) as error:
        raise click.ClickException(str(error)) from error


def _forget(settings: Settings, identifier: str, console: Console, *, dry_run: bool, yes: bool) -> None:
    try:
        what = plan(settings, identifier, os.environ)
    except UnknownPersonError:
        before = was_forgotten(settings, identifier)
        if before is None:
            raise no_such_person(settings, identifier) from None
        console.print(
            f"{escape(identifier)} was forgotten at {before:%Y-%m-%d %H:%M} UTC; nothing is left to erase."
        )
        return
    except AmbiguousPersonError as error:
        raise click.ClickException(f"{error}. Name one of these.") from error
    _announce(console, what)
    if dry_run:
        console.print("Nothing was changed (--dry-run).")
        return
    if not yes:
        click.confirm("Erase all this? It cannot be undone.", abort=True)
    _refuse_while_running(settings)
    erased = erase(
        settings,
        what,
        os.environ,
        at=datetime.now(UTC),
        tell=lambda text: console.print(f"[dim]{escape(text)}[/]"),
    )
    _show(console, erased)


def _announce(console: Console, what: Plan) -> None:
    ids = what.ids.own
    console.print(
        f"[bold]Person {escape(what.ids.person)}[/]: {what.events:,} events, {what.messages:,} messages"
    )
    for each in ids[:SHOWN_IDS]:
        console.print(f"  {escape(each)}")
    if len(ids) > SHOWN_IDS:
        console.print(f"  and {len(ids) - SHOWN_IDS:,} more ids")
    for source, device in what.shared:
        console.print(
            f"  [yellow]shared[/] device {escape(device)} of {escape(source)}: what is anonymous on it goes, "
            "what other users did on it stays, with its id"
        )


def _show(console: Console, erased: Erased) -> None:
    counts = erased.entry.counts
    console.print(
        f"Erased {counts.get('landed records', 0):,} landed records; blanked ids in "
        f"{counts.get('mentions blanked', 0):,} records of others. Audit entry {erased.entry.audit}."
    )
    console.print("Marts and reports still count the person until the next run: opsanalytics run")
    for place in erased.yours:
        console.print(
            f"Files in {escape(place)} are yours and stay as they are; what is read from there again loses "
            "the person again.",
            soft_wrap=True,
        )
    if erased.left:
        for path in erased.left:
            console.print(f"[red]still names the person[/] {escape(str(path))}", soft_wrap=True)
        sys.exit(1)


def _refuse_while_running(settings: Settings) -> None:
    """A run in progress holds in memory what it is about to write."""
    if not (settings.home.dagster / "dagster.yaml").exists():
        return
    from opsanalytics.assets.launch import running

    runs = running(settings.home)
    if runs:
        raise click.ClickException(
            f"run {', '.join(runs)} is in progress; wait until it has ended, or stop it, and try again"
        )
