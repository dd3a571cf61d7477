"""`opsanalytics run`, `ui`, `docs` and `export`."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console

from opsanalytics.config import Settings, find_config, load_settings
from opsanalytics.config.load import CONFIG_VARIABLE

config_option = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="Configuration file."
)


def read_config(config: Path | None) -> tuple[Path, Settings]:
    """The configuration to work with; its path goes into the environment for child processes."""
    path = (config or find_config()).resolve()
    os.environ[CONFIG_VARIABLE] = str(path)
    return path, load_settings(path)


def last_day(settings: Settings) -> date:
    """The last UTC day that is over."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return min(settings.project.end or yesterday, yesterday)


@click.command()
@config_option
@click.option(
    "--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First UTC day; project.start if not given."
)
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last UTC day; yesterday if not given.")
@click.option(
    "--again", is_flag=True, help="Ask for days too that landed long ago: events were imported late."
)
def run(config: Path | None, first: datetime | None, last: datetime | None, again: bool) -> None:
    """Pull, clean, check, analyse, publish and report, in one Dagster run."""
    from opsanalytics.cli.progress import run_with_progress, say_where_to_look

    path, settings = read_config(config)
    start, end = (
        first.date() if first else settings.project.start,
        last.date() if last else last_day(settings),
    )
    if end < start:
        raise click.ClickException(f"there is no day to pull between {start} and {end}")
    console = Console(highlight=False)
    if not run_with_progress(settings, start, end, console, again=again):
        sys.exit(1)
    say_where_to_look(settings, path, console, ui=["ui", "--config", str(config)] if config else ["ui"])


@click.command()
@config_option
@click.option("--port", default=3000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
def ui(config: Path | None, port: int, host: str) -> None:
    """Open Dagster on this machine: web server, schedules, sensors and backfills."""
    path, settings = read_config(config)
    sys.exit(open_ui(path, settings, host, port))


def open_ui(path: Path, settings: Settings, host: str, port: int) -> int:
    """Run Dagster's web server and daemon on the configuration until they are stopped."""
    from opsanalytics.assets.launch import WORKSPACE, prepare_dagster_home

    folder = prepare_dagster_home(settings.home).resolve()
    environment = dict(os.environ)
    environment[CONFIG_VARIABLE] = str(path)
    environment.setdefault("DAGSTER_HOME", str(folder))
    environment.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    # `dg dev` wants a project folder around it, which an installed wheel has not; `dagster dev` does not,
    # but warns that it is superseded.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    command = [sys.executable, *quiet, "-m", "dagster", "dev", "-w", str(folder / WORKSPACE)]
    command += ["--host", host, "--port", str(port)]
    click.echo(f"Dagster for {path} at http://{host}:{port} (stop with Ctrl-C)")
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603  our own command


@click.command()
@config_option
def docs(config: Path | None) -> None:
    """Build the Data Docs of the quality checks: pages that work without a network."""
    from opsanalytics.quality.docs import build_data_docs
    from opsanalytics.quality.generated import suites

    _, settings = read_config(config)
    click.echo(f"Data Docs: {build_data_docs(settings.home, rules=suites(settings.quality))}")


@click.command()
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@config_option
def export(target: Path, config: Path | None) -> None:
    """Write a self-contained copy of the published DuckDB file to TARGET, events included."""
    from opsanalytics.lake.publish import export as export_file

    _, settings = read_config(config)
    export_file(settings.home, target)
    click.echo(f"Wrote {target}")
