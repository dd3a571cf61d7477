"""`opsanalytics demo`."""

import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from opsanalytics.config.load import CONFIG_VARIABLE


@click.command()
@click.option(
    "--home",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Workspace folder; ./opsanalytics-demo (or ./opsanalytics-<data set>) if not given.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a real data set (events.parquet, feedback.csv) to replay instead.",
)
@click.option("--ui", is_flag=True, help="Open Dagster on the workspace, with the vendors' server running.")
@click.option("--serve", is_flag=True, help="Only run the vendors' server, until Ctrl-C.")
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
def demo(folder: Path | None, data: Path | None, ui: bool, serve: bool, port: int) -> None:
    """Run the whole pipeline on a generated product, or on a real data set replayed over HTTP."""
    from opsanalytics.cli.pipeline import open_ui
    from opsanalytics.cli.progress import run_with_progress, say_where_to_look
    from opsanalytics.demo.decisions import close_the_loop
    from opsanalytics.demo.runner import days, prepare

    console = Console(highlight=False)
    started = time.monotonic()
    if folder is None:
        folder = Path(f"opsanalytics-{data.resolve().name}" if data else "opsanalytics-demo")
    with console.status("Preparing the workspace"):
        workspace = prepare(folder, data)
    os.environ[CONFIG_VARIABLE] = str(workspace.config)
    what = "a generated product" if workspace.generated else f"the data set {data}"
    with workspace.simulator:
        console.print(
            f"[bold]opsanalytics demo[/] on {what}; vendors' server at {workspace.simulator.url}",
            soft_wrap=True,
        )
        if serve:
            workspace.simulator.wait()
            return
        if ui:
            sys.exit(open_ui(workspace.config, workspace.settings, "127.0.0.1", port))
        first, last = days(workspace.settings)
        console.print(
            f"Pulling {first} to {last} over HTTP, and {len(workspace.feedback_files)} feedback file(s)"
        )
        succeeded = run_with_progress(
            workspace.settings,
            first,
            last,
            console,
            between=(lambda: close_the_loop(workspace.settings)) if workspace.generated else None,
        )
    if not succeeded:
        console.print("[red]The run failed[/]; the messages above say why.")
        sys.exit(1)
    if workspace.generated:
        console.print("\nEverything you see is generated; what was planted in it stands in", end=" ")
        console.print(str(folder / "truth.json"), markup=False, soft_wrap=True)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s. Look at:")
    ui_arguments = ["demo", "--ui", "--home", str(folder), *(["--data", str(data)] if data else [])]
    say_where_to_look(workspace.settings, workspace.config, console, ui=ui_arguments)
