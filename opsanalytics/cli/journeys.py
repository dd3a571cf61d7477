"""`opsanalytics sessions`, `paths` and `cohort`."""

from datetime import datetime
from pathlib import Path

import click

from opsanalytics.cli.questions import (
    DAY,
    _as_of,
    _asked,
    _show,
    _show_table,
    _told,
    output_options,
)


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@output_options
def sessions(
    definition: str, config: Path | None, home: Path | None, as_of: datetime | None, form: str | None
) -> None:
    """Count the sessions of the configuration by NAME, or those of a JSON or TOML FILE."""
    from opsanalytics.behavior.journey_spec import Sessions
    from opsanalytics.queries.journeys import sessions as ask

    with _told():
        place, asked = _asked(definition, Sessions, "sessions", config, home)
        result = ask(
            place.events(asked.sources),
            asked,
            as_of=_as_of(place, as_of),
            timezone=place.timezone,
            week_start=place.week_start,
        )
        if form is None:
            click.echo(repr(result))
        else:
            _show(result, form, asked.label, [result.figure()])


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@click.option("--from", "first", type=DAY, help="First local day of anchors.")
@click.option("--to", "last", type=DAY, help="Last local day of anchors.")
@output_options
def paths(
    definition: str,
    first: datetime | None,
    last: datetime | None,
    config: Path | None,
    home: Path | None,
    as_of: datetime | None,
    form: str | None,
) -> None:
    """Show the paths of the configuration by NAME, or those of a JSON or TOML FILE."""
    from opsanalytics.behavior.journey_spec import Paths
    from opsanalytics.queries.journeys import paths as ask

    with _told():
        place, asked = _asked(definition, Paths, "paths", config, home)
        begin, end = (day.date() if day else None for day in (first, last))
        result = ask(
            place.events(asked.sources),
            asked,
            as_of=_as_of(place, as_of),
            first=begin,
            last=end,
            timezone=place.timezone,
        )
        if form is None:
            click.echo(repr(result))
        else:
            _show(result, form, asked.label, [result.figure()])


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@click.option("--persons", is_flag=True, help="List the members.")
@output_options
def cohort(
    definition: str,
    *,
    persons: bool,
    config: Path | None,
    home: Path | None,
    as_of: datetime | None,
    form: str | None,
) -> None:
    """Say who belongs to a cohort of the configuration by NAME, or to the one in a JSON or TOML FILE."""
    from opsanalytics.behavior.cohort_spec import Cohort
    from opsanalytics.queries.journeys import cohort as ask

    with _told():
        place, asked = _asked(definition, Cohort, "cohorts", config, home)
        result = ask(place.events(asked.sources), asked, as_of=_as_of(place, as_of), timezone=place.timezone)
        if persons:
            _show_table(result.members(), form)
        elif form is None:
            click.echo(repr(result))
        else:
            _show(result, form, asked.label, [result.figure()])
