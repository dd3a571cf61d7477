"""`opsanalytics diagnose`."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click
import polars as pl

from opsanalytics.cli.pipeline import read_config
from opsanalytics.cli.questions import (
    DAY,
    FILES,
    Place,
    _as_of,
    _asked,
    _segment,
    _show,
    _told,
    output_options,
)


@click.command()
@click.argument("definition", metavar="FUNNEL|NAME|FILE")
@click.option(
    "--step", type=click.IntRange(min=1), help="Step after which people drop out; else the largest."
)
@click.option(
    "--landmark", help="Time after the step up to which things count, 10m for example; else the median."
)
@click.option("--by", multiple=True, help="Compare by this property or segment too; may be repeated.")
@click.option("--from", "first", type=DAY, help="First local day of entries.")
@click.option("--to", "last", type=DAY, help="Last local day of entries.")
@output_options
def diagnose(
    definition: str,
    step: int | None,
    landmark: str | None,
    by: tuple[str, ...],
    first: datetime | None,
    last: datetime | None,
    config: Path | None,
    home: Path | None,
    as_of: datetime | None,
    form: str | None,
) -> None:
    """Say what goes with dropping out of a FUNNEL, among comparable people.

    FUNNEL is a funnel of the configuration, NAME one of its diagnoses, FILE a funnel in JSON or TOML. The
    configured segments and friction are looked at.
    """
    from opsanalytics.behavior.diagnosis_spec import Diagnosis
    from opsanalytics.queries.diagnosis import diagnose as ask

    with _told():
        place, asked = _diagnosed(definition, config, home)
        funnel = asked.funnel if isinstance(asked, Diagnosis) else asked
        result = ask(
            place.events(getattr(funnel, "sources", None)),
            asked,
            step=step,
            landmark=landmark,
            segments=_segments(place, by),
            friction=place.settings.friction if place.settings else None,
            as_of=_as_of(place, as_of),
            first=first.date() if first else None,
            last=last.date() if last else None,
            timezone=place.timezone,
        )
        if form is None:
            click.echo(repr(result))
        else:
            found = result.to_polars().filter(pl.col("verdict") != "no_finding").height
            _show(result, form, result.counts.definition.label, [result.figure()] if found else [])


def _diagnosed(definition: str, config: Path | None, home: Path | None) -> tuple[Place, Any]:
    """Where to look, and a diagnosis of the configuration, or a funnel."""
    from opsanalytics.behavior.spec import Funnel

    if home is None and Path(definition).suffix not in FILES:
        _, settings = read_config(config)
        known = {each.name: each for each in settings.diagnosed}
        if definition in known:
            project = settings.project
            place = Place(settings.home.root, settings, project.timezone, project.week_start)
            return place, known[definition]
    return _asked(definition, Funnel, "funnels", config, home)


def _segments(place: Place, by: tuple[str, ...]) -> list[Any]:
    """The configured segments, and those that are asked for besides."""
    configured = [each.name for each in place.settings.segments] if place.settings else []
    return [_segment(place, name) for name in dict.fromkeys([*configured, *by])]
