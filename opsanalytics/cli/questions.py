"""`opsanalytics funnel`, `retention` and `reconcile`."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import polars as pl

from opsanalytics.behavior.conditions import Definition
from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.lake.paths import Home

if TYPE_CHECKING:
    from opsanalytics.queries.inputs import EventsOrLake

Asked = TypeVar("Asked", bound=Definition)
DAY = click.DateTime(["%Y-%m-%d"])
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
FILES = (".json", ".toml")

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Home folder of a lake, without a configuration; FILE says what to count.",
)
as_of_option = click.option(
    "--as-of",
    type=MOMENT,
    help="UTC moment up to which events are complete; if not given the end of the data.",
)
breakdown_option = click.option(
    "--breakdown", help="A segment or cohort of the configuration, or a property of the events."
)
json_option = click.option("--json", "form", flag_value="json", help="One JSON object.")
html_option = click.option("--html", "form", flag_value="html", help="A page with its chart, self-contained.")
csv_option = click.option("--csv", "form", flag_value="csv", help="The table as CSV.")


@dataclass(frozen=True)
class Place:
    """What a question is asked of."""

    home: Path
    settings: Settings | None
    timezone: str
    week_start: Any

    def events(self, sources: Sequence[str] | None) -> "EventsOrLake":
        """The lake; where its sources overlap, the events that count for a definition of `sources`."""
        from opsanalytics.behavior.overlaps import counted_once
        from opsanalytics.lake.events import scan_events

        overlaps = self.settings.overlaps if self.settings else ()
        if not any(len(each.among(sources)) > 1 for each in overlaps):
            return self.home
        return counted_once(scan_events(Home(self.home)), overlaps, sources=sources)


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that all questions share."""
    for option in (csv_option, html_option, json_option, as_of_option, home_option, config_option):
        command = option(command)
    return command


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@click.option("--preset", default="opsanalytics", show_default=True, help="Whose way of counting.")
@breakdown_option
@click.option("--from", "first", type=DAY, help="First local day of entries.")
@click.option("--to", "last", type=DAY, help="Last local day of entries.")
@click.option("--compare", type=click.Choice(["previous"]), help="With as many days before --from.")
@click.option("--persons", type=int, metavar="STEP", help="List the persons who made a step.")
@click.option("--dropped", is_flag=True, help="With --persons: only those who got no further.")
@output_options
def funnel(
    definition: str,
    preset: str,
    breakdown: str | None,
    first: datetime | None,
    last: datetime | None,
    compare: str | None,
    persons: int | None,
    *,
    dropped: bool,
    config: Path | None,
    home: Path | None,
    as_of: datetime | None,
    form: str | None,
) -> None:
    """Evaluate a funnel of the configuration by NAME, or the one in a JSON or TOML FILE."""
    from opsanalytics.behavior.spec import Funnel
    from opsanalytics.queries.ask import funnel as ask

    with _told():
        place, asked = _asked(definition, Funnel, "funnels", config, home)
        begin, end = (day.date() if day else None for day in (first, last))
        if compare and (begin is None or end is None):
            raise click.ClickException("--compare needs --from and --to: the days before are as many")
        limits: dict[str, Any] = {"preset": preset, "timezone": place.timezone, "as_of": _as_of(place, as_of)}
        result = ask(
            place.events(asked.sources),
            asked,
            breakdown=_segment(place, breakdown),
            first=begin,
            last=end,
            **limits,
        )
        if persons is not None:
            _show_table(result.persons(persons, dropped=dropped), form)
            return
        if form is None:
            click.echo(repr(result))
        else:
            figures = [result.figure()]
            if len(asked.steps) > 1 and result.times().seconds.size:
                figures.append(result.figure("times"))
            _show(result, form, asked.label, figures)
        if compare and begin is not None and end is not None:
            days = end - begin + timedelta(days=1)
            before = ask(place.events(asked.sources), asked, first=begin - days, last=end - days, **limits)
            _show_table(result.compare(before), form, title=f"against {begin - days} to {end - days}")


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@click.option("--preset", type=click.Choice(["opsanalytics", "posthog"]), default="opsanalytics")
@breakdown_option
@click.option("--cohorts", type=click.IntRange(min=1), help="Only the last so many cohorts.")
@output_options
def retention(
    definition: str,
    preset: Any,
    breakdown: str | None,
    cohorts: int | None,
    config: Path | None,
    home: Path | None,
    as_of: datetime | None,
    form: str | None,
) -> None:
    """Evaluate a retention of the configuration by NAME, or the one in a JSON or TOML FILE."""
    from opsanalytics.behavior.spec import Retention
    from opsanalytics.queries.ask import retention as ask

    with _told():
        place, asked = _asked(definition, Retention, "retentions", config, home)
        result = ask(
            place.events(asked.sources),
            asked,
            preset=preset,
            breakdown=_segment(place, breakdown),
            as_of=_as_of(place, as_of),
            timezone=place.timezone,
            week_start=place.week_start,
            max_cohorts=cohorts,
        )
        if form is None:
            click.echo(repr(result))
        else:
            known = result.pooled()["rate"].drop_nulls().len() > 0
            _show(result, form, asked.label, [result.figure(), *([result.figure("curve")] if known else [])])


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@click.option("--preset", "presets", multiple=True, help="Only these presets; all if not given.")
@click.option("--from", "first", type=DAY, help="First local day of entries.")
@click.option("--to", "last", type=DAY, help="Last local day of entries.")
@json_option
@csv_option
@as_of_option
@home_option
@config_option
def reconcile(
    definition: str,
    presets: tuple[str, ...],
    first: datetime | None,
    last: datetime | None,
    form: str | None,
    as_of: datetime | None,
    home: Path | None,
    config: Path | None,
) -> None:
    """Show a funnel as other tools count it, and which rule makes each difference."""
    from opsanalytics.behavior.semantics import PRESETS
    from opsanalytics.behavior.spec import Funnel
    from opsanalytics.queries.ask import reconcile as ask

    with _told():
        place, asked = _asked(definition, Funnel, "funnels", config, home)
        begin, end = (day.date() if day else None for day in (first, last))
        result = ask(
            place.events(asked.sources),
            asked,
            presets=presets or tuple(PRESETS),
            as_of=_as_of(place, as_of),
            first=begin,
            last=end,
            timezone=place.timezone,
        )
        if form == "json":
            click.echo(_json(result.to_dict()))
        elif form == "csv":
            click.echo(result.to_polars().write_csv(), nl=False)
        else:
            click.echo(repr(result))


class _told:  # noqa: N801  reads as a statement
    """Errors of what was asked end with their message, not with a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        from opsanalytics.config import ConfigError

        if isinstance(error, (ValueError, FileNotFoundError)) and not isinstance(error, ConfigError):
            raise click.ClickException(str(error)) from error


def _asked(
    definition: str, kind: type[Asked], section: str, config: Path | None, home: Path | None
) -> tuple[Place, Asked]:
    """Where to look and what to count; a wrong definition fails before any data is looked for."""
    from opsanalytics.queries.inputs import read_definition

    from_file = Path(definition).suffix in FILES
    asked: Any = read_definition(Path(definition), kind) if from_file else None
    if home is not None:
        if asked is None:
            raise click.ClickException(
                f"{definition!r} is looked up in a configuration; --home needs a .json or .toml file"
            )
        return Place(home, None, "UTC", "monday"), asked
    _, settings = read_config(config)
    if asked is not None:
        asked = _resolved(asked, settings)
    else:
        known = {one.name: one for one in getattr(settings, section)}
        if definition not in known:
            names = ", ".join(known) or "none"
            raise click.ClickException(f"{definition!r} is not one of the {section} ({names}), nor a file")
        asked = known[definition]
    project = settings.project
    return Place(settings.home.root, settings, project.timezone, project.week_start), asked


def _resolved(asked: Any, settings: Settings) -> Any:
    """A definition of a file with the cohorts and funnels of the configuration that it names."""
    from opsanalytics.behavior.references import resolved

    cohorts = {one.name: one for one in settings.cohorts}
    return resolved(asked, cohorts, {one.name: one for one in settings.funnels})


def _as_of(place: Place, given: datetime | None) -> datetime | None:
    """The moment named, else up to where all sources are landed; None: the end of the data."""
    if given is not None:
        return given.replace(tzinfo=UTC)
    if place.settings is None:
        return None
    from opsanalytics.analysis.scope import NothingLandedError, complete_through

    try:
        moment = complete_through(place.settings)
    except NothingLandedError as error:
        raise click.ClickException(str(error)) from error
    # Events at that very moment are not part of what is complete.
    return moment - timedelta(microseconds=1)


def _segment(place: Place, name: str | None) -> Any:
    from opsanalytics.analysis.behavior import segment_of
    from opsanalytics.behavior.segments import Segment

    if name is None:
        return None
    configured = {one.name: one for one in place.settings.segments} if place.settings else {}
    cohorts = {one.name: one for one in place.settings.cohorts} if place.settings else {}
    if name in cohorts and name not in configured:
        return Segment(cohort=cohorts[name])
    return segment_of(configured[name]) if name in configured else Segment(name)


def _show(result: Any, form: str, title: str, figures: list[Any]) -> None:
    if form == "json":
        click.echo(_json(result.to_dict()))
    elif form == "csv":
        click.echo(result.to_polars().write_csv(), nl=False)
    else:
        from opsanalytics.queries.html import page

        charts = [
            figure.to_html(full_html=False, include_plotlyjs=number == 0, div_id=f"chart-{number}")
            for number, figure in enumerate(figures)
        ]
        click.echo(page(title, [*charts, *result.html_parts()]))


def _show_table(table: pl.DataFrame, form: str | None, title: str | None = None) -> None:
    if form == "json":
        click.echo(_json(table.to_dicts()))
    elif form == "csv":
        click.echo(table.write_csv(), nl=False)
    else:
        if title:
            click.echo(title)
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=10_000, fmt_str_lengths=200):
            click.echo(str(table))


def _json(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)


def _plain(value: Any) -> str:
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")
