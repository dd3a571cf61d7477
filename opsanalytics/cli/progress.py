"""Progress of a run on the terminal, and where to look afterwards."""

import time
import warnings
from datetime import date

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from opsanalytics.config import Settings


def run_with_progress(settings: Settings, first: date, last: date, console: Console | None = None) -> bool:
    """Run the daily job from `first` to `last`, then the latest reports. Returns whether all succeeded."""
    console = console or Console(highlight=False)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("Loading the definitions")
        with warnings.catch_warnings():
            # Dagster announces the beta state of parameters we use on purpose; the tests pin its version.
            warnings.simplefilter("ignore")
            from opsanalytics.analysis.scope import complete_through
            from opsanalytics.assets.build import build_definitions
            from opsanalytics.assets.launch import StepUpdate, run_job
            from opsanalytics.assets.partitions import key_of, weeks_to_report

            definitions = build_definitions(settings)
            began: dict[str, float] = {}

            def show(update: StepUpdate) -> None:
                name = escape(update.step.replace("__", "/"))
                if update.kind == "started":
                    began[update.step] = time.monotonic()
                    progress.update(task, description=name)
                elif update.kind == "log":
                    progress.update(task, description=f"{name}: {escape(update.message)[:100]}")
                else:
                    seconds = time.monotonic() - began.get(update.step, time.monotonic())
                    mark = "[green]done[/]  " if update.kind == "succeeded" else "[red]failed[/]"
                    console.print(f"{mark} {name} [dim]{seconds:.1f} s[/]")
                    if update.kind == "failed":
                        console.print(f"       {escape(update.message)}", soft_wrap=True)

            home = settings.home
            days = tuple(key_of(settings, day) for day in (first, last))
            if not run_job(definitions, "daily", home, partitions=days, on_update=show):
                return False
            for report in settings.reports:
                weeks = weeks_to_report(settings, report, complete_through(settings))
                if weeks and not run_job(
                    definitions,
                    f"report_{report.name}",
                    home,
                    partitions=(weeks[0].isoformat(), weeks[-1].isoformat()),
                    on_update=show,
                ):
                    return False
            return True


def say_where_to_look(settings: Settings, console: Console, *, ui_command: str) -> None:
    """The paths a person opens next."""
    home = settings.home
    rows = [
        ("Report", home.reports / "index.html"),
        ("Backlog", "opsanalytics backlog, or the first section of the report"),
        ("DuckDB file", home.published),
        ("Dagster UI", ui_command),
    ]
    for name, where in rows:
        console.print(f"  [bold]{name:<12}[/] ", end="")
        console.print(str(where), markup=False, soft_wrap=True)
