"""Jinja set up once: everything escaped, unknown names are errors, pages run only their own scripts."""

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from opsanalytics.cleaning.printable import clean
from opsanalytics.reports import formats

FILTERS = (
    formats.count,
    formats.number,
    formats.period,
    formats.per_period,
    formats.decimal,
    formats.percent,
    formats.percent_interval,
    formats.points,
    formats.points_interval,
    formats.number_interval,
    formats.q_value,
    formats.duration,
    formats.sentence,
    formats.day,
    formats.days,
    formats.moment,
    formats.local_day,
)


def render(template: str, *, scripts: tuple[str, ...], **values: Any) -> str:
    """Render a page that may run `scripts` and nothing else.

    The page's content security policy names the hash of each script and allows no connection, so that text
    of users could not run or load anything even if it were not escaped.
    """
    environment = _environment()
    # HTML parsers turn CR LF into LF before the browser hashes a script.
    texts = [script.replace("\r\n", "\n").replace("\r", "\n") for script in scripts]
    return environment.get_template(template).render(
        **values,
        style=_asset("page.css"),
        script_texts=texts,
        script_sources=" ".join(f"'sha256-{_digest(text)}'" for text in texts) or "'none'",
    )


def page_scripts() -> tuple[str, ...]:
    """plotly.js, and what draws the charts of a page."""
    from plotly.offline import get_plotlyjs

    return (get_plotlyjs(), _asset("page.js"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("opsanalytics.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {filter_.__name__: filter_ for filter_ in FILTERS}
    return environment


def _printable(value: Any) -> Any:
    """Runs on the result of every expression, before escaping."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _asset(name: str) -> str:
    environment = _environment()
    if environment.loader is None:
        raise LookupError(f"no templates to load {name} from")
    return environment.loader.get_source(environment, name)[0]


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
