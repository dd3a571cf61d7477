"""`opsanalytics tracking-plan`."""

import sys
from datetime import timedelta
from pathlib import Path

import click

from opsanalytics.cli.pipeline import config_option, read_config

INFER_DAYS = 90


@click.group(name="tracking-plan")
def tracking_plan() -> None:
    """Declare what the product sends, and see where it does not."""


@tracking_plan.command()
@config_option
@click.option("--days", default=INFER_DAYS, show_default=True, help="Days up to the newest to look at.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; the screen if not given.",
)
def infer(config: Path | None, days: int, output: Path | None) -> None:
    """Write a plan to start from: the events and properties of the lake."""
    from opsanalytics.lake.events import event_days
    from opsanalytics.quality.infer import infer_plan
    from opsanalytics.quality.profiles import of_product, profile_days

    _, settings = read_config(config)
    stored = event_days(settings.home)
    if not stored:
        raise click.ClickException(
            f"there are no events in {settings.home.events}: run `opsanalytics run` first"
        )
    profiles = profile_days(settings.home, first=stored[-1] - timedelta(days=days - 1))
    text = infer_plan(of_product(profiles, settings.vendor_properties))
    if output is None:
        click.echo(text, nl=False)
        return
    if output.exists():
        raise click.ClickException(f"{output} exists already; it is left as it is")
    output.write_text(text, encoding="utf-8")
    click.echo(
        f'Wrote {output}. Read it, then set tracking_plan = "{output}" in [quality] of opsanalytics.toml.'
    )


@tracking_plan.command()
@config_option
def check(config: Path | None) -> None:
    """Print where the events of the lake break the plan; exit code 1 if they do."""
    from opsanalytics.analysis.monitoring import plan_breaches

    path, settings = read_config(config)
    if not settings.quality.tracking_plan.events:
        raise click.ClickException(
            f"{path} names no tracking plan: `opsanalytics tracking-plan infer` writes one to start from"
        )
    breaches = plan_breaches(settings)
    for line in breaches:
        click.echo(line)
    declared = len(settings.quality.tracking_plan.events)
    click.echo(f"{len(breaches)} breaches of the tracking plan ({declared} events declared).")
    sys.exit(1 if breaches else 0)
