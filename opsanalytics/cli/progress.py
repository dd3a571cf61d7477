"""Progress of a run on the terminal, and where to look afterwards."""

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from opsanalytics.config import Settings


def run_with_progress(
    settings: Settings,
    first: date,
    last: date,
    console: Console,
    *,
    again: bool = False,
    between: Callable[[], object] | None = None,
) -> bool:
    """Run the daily job from `first` to `last`, then the latest reports. Returns whether all succeeded.

    `again`: days that landed long ago are asked for once more. `between`: called before the reports.
    """
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
                elif update.kind == "problem":
                    console.print(f"[red]problem[/] {name}: {escape(update.message)}", soft_wrap=True)
                else:
                    seconds = time.monotonic() - began.get(update.step, time.monotonic())
                    mark = "[green]done[/]  " if update.kind == "succeeded" else "[red]failed[/]"
                    console.print(f"{mark} {name} [dim]{seconds:.1f} s[/]")
                    if update.kind == "failed":
                        console.print(f"       {escape(update.message)}", soft_wrap=True)

            home = settings.home
            days = tuple(key_of(settings, day) for day in (first, last))
            if not run_job(definitions, "daily", home, partitions=days, on_update=show, again=again):
                return False
            if between is not None:
                progress.update(task, description="Deciding")
                between()
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


def say_where_to_look(settings: Settings, config: Path, console: Console, *, ui: Sequence[str]) -> None:
    """The paths and commands a person needs next; `ui` are the arguments that open Dagster."""
    program = _program()
    home = settings.home
    rows = [
        ("Report", _short(home.reports / "index.html")),
        ("Backlog", f"{program} backlog --config {_short(config)}"),
        ("DuckDB file", _short(home.published)),
        ("Dagster UI", " ".join([program, *ui])),
    ]
    for name, where in rows:
        console.print(f"  [bold]{name:<12}[/] ", end="")
        console.print(where, markup=False, soft_wrap=True)


def _program() -> str:
    """How this command was called, so that what is printed can be pasted."""
    called = Path(sys.argv[0])
    return "opsanalytics" if called.suffix == ".py" or called.parent == Path() else _short(called)


def _short(path: Path) -> str:
    """Relative to the current folder where it lies below it."""
    resolved = path.absolute()
    return str(resolved.relative_to(Path.cwd())) if resolved.is_relative_to(Path.cwd()) else str(resolved)
