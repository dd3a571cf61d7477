"""`opsanalytics init` and `opsanalytics check`."""

import os
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import click
from rich.console import Console

from opsanalytics.config import find_config, load_settings
from opsanalytics.config.load import CONFIG_NAME
from opsanalytics.sources.base import SourceSettings


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Write a commented opsanalytics.toml into FOLDER (here, if not given)."""
    path = folder / CONFIG_NAME
    if path.exists():
        raise click.ClickException(f"{path} exists already; it is left as it is")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(files("opsanalytics.config").joinpath("starter.toml").read_bytes())
    click.echo(f"Wrote {path}. Edit it, set the environment variables it names, then run: opsanalytics check")


@click.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="Configuration file.")
@click.option("--offline", is_flag=True, help="Do not ask the vendors.")
def check(config: Path | None, offline: bool) -> None:
    """Validate the configuration, the environment and the credentials (one smallest live request each)."""
    from opsanalytics.sources.errors import SourceError
    from opsanalytics.sources.event_pulling import probe_events
    from opsanalytics.sources.inbox import misplaced, printable
    from opsanalytics.sources.page_fetching import probe_pages
    from opsanalytics.sources.paging import ApiFeedbackSourceSettings

    console = Console(soft_wrap=True, highlight=False)
    path = (config or find_config()).resolve()
    settings = load_settings(path)
    failures = 0

    def say(good: bool, what: str) -> None:
        nonlocal failures
        failures += not good
        console.print(("[green]ok[/]    " if good else "[red]wrong[/] "), end="")
        console.print(what, markup=False)

    say(True, f"{path} is valid: {len(settings.sources)} sources, {len(settings.funnels)} funnels")
    say(*_writable(settings.project.home))
    for source in settings.event_sources:
        for notice in source.notices:
            console.print(f"note  source {source.name}: {notice}", markup=False)
        try:
            missing = _missing_variables(source)
            if missing:
                say(False, f"source {source.name}: set the environment variable(s) {', '.join(missing)}")
            elif not offline:
                answer = probe_events(source, settings.home, environ=os.environ, now=datetime.now(UTC))
                say(True, f"source {source.name}: {answer}")
            else:
                say(True, f"source {source.name}: credentials are set (not tried)")
        except SourceError as error:
            say(False, str(error))
    for feedback in settings.feedback_sources:
        inbox = settings.home.inbox(feedback.name)
        count = sum(1 for file in inbox.glob("*") if file.is_file()) if inbox.is_dir() else 0
        say(True, f"source {feedback.name}: {count} file(s) in {inbox}")
        if not isinstance(feedback, ApiFeedbackSourceSettings) or not feedback.pulls:
            continue
        try:
            feedback.credentials(os.environ, datetime.now(UTC))
            answer = "credentials are set (not tried)"
            if not offline:
                answer = probe_pages(feedback, settings.home, environ=os.environ, now=datetime.now(UTC))
            say(True, f"source {feedback.name}: {answer}")
        except SourceError as error:
            say(False, str(error))
    for stray, why in misplaced(settings.home.inboxes, [each.name for each in settings.feedback_sources]):
        say(False, f"{printable(stray)}: {why}")
    try:
        settings.privacy_rules(os.environ)
    except SourceError as error:
        say(False, str(error))
    if not settings.funnels:
        say(False, f"{path}: no [[funnels]]: there is nothing to report")
    if settings.notify.webhook_env and not os.environ.get(settings.notify.webhook_env):
        console.print(
            f"note  {settings.notify.webhook_env} is not set: failed runs are only written to "
            f"{settings.project.home / 'notifications.jsonl'}",
            markup=False,
        )
    sys.exit(1 if failures else 0)


def _missing_variables(source: SourceSettings) -> list[str]:
    return [variable for variable in source.variables if not os.environ.get(variable, "").strip()]


def _writable(home: Path) -> tuple[bool, str]:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return False, f"home folder {home} cannot be made: {error.strerror}"
    if not os.access(home, os.W_OK):
        return False, f"home folder {home} is not writable for this user"
    return True, f"home folder {home}"
