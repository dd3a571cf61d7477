"""Mixpanel's raw event export, `GET /api/2.0/export`, over an event table.

Contract: Mixpanel's documents openapi/export.openapi.yaml, docs/export-methods.mdx,
reference/rate-limits.mdx, reference/event-deduplication.mdx and
docs/tracking-methods/id-management (simplified identity).
"""

import json
from collections.abc import Sequence
from datetime import date
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from opsanalytics.demo.simulator.limits import Limit, RollingWindows
from opsanalytics.demo.simulator.lines import LineStore, inner_fields, json_field
from opsanalytics.demo.simulator.messages import Reply, Request, basic_credentials, json_reply
from opsanalytics.demo.simulator.table import event_table

HOURLY = Limit(60, 3600)
PER_SECOND = Limit(3, 1)
LARGEST_LIMIT = 100_000
GZIP_ABOVE = 1400
LIBRARIES = {"web": "web", "android": "android", "ios": "swift"}
FIELDS = {
    "$device_id": "device_id",
    "$user_id": "user_id",
    "$os": "os",
    "$browser": "browser",
    "mp_country_code": "country",
    "$current_url": "url",
    "$app_version_string": "app_version",
    "session_id": "session_id",
}
WRITTEN_KEYS = (*FIELDS, "time", "distinct_id", "$insert_id", "mp_processing_time_ms", "mp_lib")


class MixpanelProject:
    """One project with its events, served as Mixpanel does.

    `events` as in `simulator.table.event_table`. `zone` is the zone of a project created before 2023,
    whose days and times are local; UTC otherwise. `duplicate_share` of the rows are delivered twice,
    with the same `$insert_id` and a later `mp_processing_time_ms`. `late_share` of the rows reach the
    server up to `late_days` after they happened; a row is exported once the clock has passed that.
    """

    name = "mixpanel"
    path = "/api/2.0/export"
    methods = frozenset({"GET"})
    concurrent: int | None = 100

    def __init__(
        self,
        events: pl.DataFrame,
        *,
        project_id: str = "1000001",
        username: str = "demo-service-account",
        secret: str = "demo-secret",  # noqa: S107 - opens nothing but this local server
        zone: str = "UTC",
        duplicate_share: float = 0.004,
        late_share: float = 0.005,
        late_days: float = 2.0,
        limits: Sequence[Limit] = (HOURLY, PER_SECOND),
        enforce_limits: bool = True,
        refusal_status: int = 401,
    ) -> None:
        self.project_id = project_id
        self.username = username
        self.secret = secret
        self.windows = RollingWindows(limits, enforce=enforce_limits)
        self._limits = tuple(limits)
        self._zone = ZoneInfo(zone)
        self._refusal_status = refusal_status
        table = event_table(events, taken_keys=WRITTEN_KEYS)
        rows = _deliveries(
            table, zone=zone, duplicate_share=duplicate_share, late_share=late_share, late_days=late_days
        )
        self._days = rows["day"].to_physical().to_numpy()
        self._processed = rows["processed"].to_numpy()
        self._events = rows["event"]
        self._stores = {
            unit: LineStore(rows, partial(_encode, unit=unit)) for unit in ("milliseconds", "seconds")
        }

    @property
    def delivered_rows(self) -> int:
        """Rows over all days, those delivered twice counted twice."""
        return len(self._days)

    def refuse(self, request: Request) -> Reply | None:
        """401 (or 400, which the vendor uses too) without the service account's name and secret."""
        if basic_credentials(request) == (self.username, self.secret):
            return None
        return self._error(request, self._refusal_status, "Unable to authenticate request")

    def over_limit(self, request: Request, retry_after: float, used: int) -> Reply:
        """429 in the vendor's words, with the seconds to wait."""
        hourly = max((limit.requests for limit in self._limits), default=0)
        text = (
            f"Query rate limit exceeded for project_id: {self.project_id}. 1/100 queries running concurrently"
            f" and {used + 1}/{hourly} queries running in the last hour."
        )
        return self._error(request, 429, text, Retry_After=str(int(-(-retry_after // 1))))

    def answer(self, request: Request) -> Reply:
        """All rows of the days `from_date` to `to_date`, both inclusive, as JSON lines."""
        query = request.query
        if query.get("project_id") != self.project_id:
            return self._error(
                request, 400, f"project_id {query.get('project_id')!r} is missing or not yours"
            )
        try:
            first, last = (date.fromisoformat(query[key]) for key in ("from_date", "to_date"))
        except KeyError as error:
            return self._error(request, 400, f"Missing required parameter: {error.args[0]}")
        except ValueError as error:
            return self._error(request, 400, f"from_date and to_date must be YYYY-MM-DD: {error}")
        if last < first:
            return self._error(request, 400, "from_date cannot be later than to_date")
        if last > request.now.astimezone(self._zone).date():
            return self._error(request, 400, "to_date cannot be later than today")
        if "where" in query:
            return self._error(request, 400, "this simulator evaluates no where expression; leave it out")
        try:
            names = _event_names(query.get("event"))
            limit = int(query.get("limit", LARGEST_LIMIT)) if "limit" in query else None
        except ValueError as error:
            return self._error(request, 400, str(error))
        if limit is not None and not 1 <= limit <= LARGEST_LIMIT:
            return self._error(request, 400, f"limit must be between 1 and {LARGEST_LIMIT}")
        unit = "milliseconds" if query.get("time_in_ms", "false").lower() == "true" else "seconds"
        lines = self._lines(request, first, last, names, unit)
        body = "".join(lines.head(limit) if limit else lines).encode()
        return Reply(200, body, gzip_above=GZIP_ABOVE)

    def _lines(
        self, request: Request, first: date, last: date, names: list[str] | None, unit: str
    ) -> pl.Series:
        epoch = date(1970, 1, 1)
        start = int(np.searchsorted(self._days, (first - epoch).days, side="left"))
        stop = int(np.searchsorted(self._days, (last - epoch).days, side="right"))
        wanted = pl.Series(self._processed[start:stop] <= request.now.timestamp() * 1000)
        if names is not None:
            wanted &= self._events.slice(start, stop - start).is_in(names)
        return self._stores[unit].lines(start, stop).filter(wanted)

    @staticmethod
    def _error(request: Request, status: int, text: str, **headers: str) -> Reply:
        return json_reply(status, {"request": request.target, "error": text}, **headers)


def _event_names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = json.loads(text)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError('event must be a JSON array of names, such as ["signup"]')
    return names


def _deliveries(
    table: pl.DataFrame, *, zone: str, duplicate_share: float, late_share: float, late_days: float
) -> pl.DataFrame:
    """The rows as delivered: `time` (µs), `day` and `processed` (real UTC ms) added, by day and arrival."""
    day_ms = 86_400_000
    # The remainder of draw_1 within its class is a fresh uniform number.
    late = pl.col("draw_1") < late_share
    lateness = pl.when(late).then(pl.col("draw_1") / (late_share or 1) * late_days * day_ms).otherwise(0)
    local = pl.col("ts").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    once = table.with_columns(
        (pl.col("ts").dt.timestamp("ms") + 200 + pl.col("draw_2") * 2800 + lateness)
        .cast(pl.Int64)
        .alias("processed"),
        local.dt.timestamp("us").alias("time"),
        local.dt.date().alias("day"),
    )
    again = once.filter(pl.col("draw_0") < duplicate_share).with_columns(
        pl.col("processed") + 60_000 + (pl.col("draw_2") * 3_600_000).cast(pl.Int64)
    )
    return pl.concat([once, again]).sort("day", "processed", "token")


def _encode(rows: pl.DataFrame, *, unit: str) -> pl.Series:
    divisor = 1000 if unit == "milliseconds" else 1_000_000
    library = pl.col("platform").replace(LIBRARIES)
    properties = pl.concat_str(
        [
            json_field("time", pl.col("time") // divisor),
            json_field("distinct_id", pl.coalesce("user_id", pl.format("$device:{}", "device_id"))),
            json_field("$insert_id", pl.col("token").str.slice(0, 16)),
            *(json_field(name, pl.col(column)) for name, column in FIELDS.items()),
            json_field("mp_processing_time_ms", pl.col("processed")),
            json_field("mp_lib", library),
            inner_fields(pl.col("properties")),
        ],
        separator=",",
        ignore_nulls=True,
    )
    line = pl.concat_str(
        [
            pl.lit("{"),
            json_field("event", pl.col("event")),
            pl.lit(',"properties":{'),
            properties,
            pl.lit("}}\n"),
        ]
    )
    return rows.select(line.alias("line")).to_series()
