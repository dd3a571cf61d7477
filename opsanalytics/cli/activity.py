"""`opsanalytics lifecycle`, `stickiness`, `usage-interval` and `trends`."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from opsanalytics.cli.questions import (
    DAY,
    _as_of,
    _asked,
    _segment,
    _show,
    _told,
    breakdown_option,
    output_options,
)


def range_options(command: Callable[..., None]) -> Callable[..., None]:
    """The days that are shown."""
    command = click.option("--to", "last", type=DAY, help="Last local day.")(command)
    return click.option("--from", "first", type=DAY, help="First local day.")(command)


def preset_option(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Whose way of counting."""
    return click.option(
        "--preset",
        type=click.Choice(names),
        default=names[0],
        show_default=True,
        help="Whose way of counting.",
    )


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@preset_option("opsanalytics", "posthog", "amplitude")
@range_options
@output_options
def lifecycle(definition: str, **options: Any) -> None:
    """Show who is new, returning, resurrected or dormant in each period."""
    from opsanalytics.behavior.activity_spec import Lifecycle
    from opsanalytics.queries.activity import lifecycle as ask

    _answer(definition, Lifecycle, "lifecycles", ask, options)


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@preset_option("opsanalytics", "posthog")
@range_options
@output_options
def stickiness(definition: str, **options: Any) -> None:
    """Show on how many days of a period people are active, and how many on each day."""
    from opsanalytics.behavior.activity_spec import Stickiness
    from opsanalytics.queries.activity import stickiness as ask

    _answer(definition, Stickiness, "stickiness", ask, options, figures=("units", "active"))


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@range_options
@output_options
def usage_interval(definition: str, **options: Any) -> None:
    """Show how long people pause between two uses."""
    from opsanalytics.behavior.activity_spec import UsageInterval
    from opsanalytics.queries.activity import usage_interval as ask

    _answer(definition, UsageInterval, "usage_intervals", ask, options)


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@preset_option("opsanalytics", "posthog")
@breakdown_option
@range_options
@output_options
def trends(definition: str, **options: Any) -> None:
    """Show series of numbers by period, formulas over them, and how they changed."""
    from opsanalytics.behavior.trends_spec import Trends
    from opsanalytics.queries.activity import trends as ask

    _answer(definition, Trends, "trends", ask, options)


def _answer(
    definition: str,
    kind: Any,
    section: str,
    ask: Callable[..., Any],
    options: dict[str, Any],
    *,
    figures: tuple[str, ...] = (),
) -> None:
    """Ask, and show the answer in the form that was asked for."""
    config: Path | None = options.pop("config")
    home: Path | None = options.pop("home")
    form: str | None = options.pop("form")
    given: datetime | None = options.pop("as_of")
    days = {name: options.pop(name) for name in ("first", "last")}
    with _told():
        place, asked = _asked(definition, kind, section, config, home)
        if "breakdown" in options:
            options["breakdown"] = _segment(place, options["breakdown"])
        result = ask(
            place.events(asked.sources),
            asked,
            **options,
            **{name: day.date() if day else None for name, day in days.items()},
            as_of=_as_of(place, given),
            timezone=place.timezone,
            week_start=place.week_start,
        )
        if form is None:
            click.echo(repr(result))
        else:
            drawn = [result.figure(kind) for kind in figures] if form == "html" and figures else []
            _show(result, form, asked.label, drawn or ([result.figure()] if form == "html" else []))
