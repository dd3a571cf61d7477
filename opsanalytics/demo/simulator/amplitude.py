"""Amplitude's export, `GET /api/2/export`, over an event table.

Contract: Amplitude's documents content/collections/api/en/export.md (ranges, errors, zip members)
and sources/en/instrument-track-unique-users.md (amplitude_id).
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from opsanalytics.demo.simulator.limits import Limit, RollingWindows
from opsanalytics.demo.simulator.lines import LineStore, inner_fields, json_field
from opsanalytics.demo.simulator.messages import Reply, Request, basic_credentials, gzip_bytes, json_reply
from opsanalytics.demo.simulator.table import EventTableError, event_table

READY_AFTER_HOURS = 3
LARGEST_RANGE_HOURS = 365 * 24
LARGEST_BYTES = 4 * 1000**3
HOUR_US = 3_600_000_000
PAGE_URL = "[Amplitude] Page URL"
PLATFORMS = {"web": "Web", "android": "Android", "ios": "iOS"}
LIBRARIES = {
    "web": "amplitude-ts/2.11.0",
    "android": "amplitude-android/3.2.1",
    "ios": "amplitude-swift/1.9.0",
}


class AmplitudeProject:
    """One project with its events, served as Amplitude does: by hour of upload, not of the event.

    `events` as in `simulator.table.event_table`; a `session_id` must be a whole number (Amplitude's
    is the start in epoch ms). `late_share` of the rows are uploaded 2 to 48 hours after they
    happened, the others within seconds; all before `uploads_until` (UTC), if given. A member
    of the zip holds at most `part_rows` rows. `largest_bytes` is the size beyond which a range is
    refused with 400; ranges of more than `timeout_hours` hours run into a 504, if given. The vendor
    publishes no rate limit for this endpoint, so there is none by default.
    """

    name = "amplitude"
    path = "/api/2/export"
    methods = frozenset({"GET"})
    concurrent: int | None = None

    def __init__(
        self,
        events: pl.DataFrame,
        *,
        app: str = "200001",
        api_key: str = "demo-api-key",
        secret_key: str = "demo-secret-key",  # noqa: S107 - opens nothing but this local server
        late_share: float = 0.015,
        uploads_until: datetime | None = None,
        part_rows: int = 100,
        largest_bytes: int = LARGEST_BYTES,
        timeout_hours: int | None = None,
        limits: Sequence[Limit] = (),
        enforce_limits: bool = True,
    ) -> None:
        self.app = app
        self.api_key = api_key
        self.secret_key = secret_key
        self.windows = RollingWindows(limits, enforce=enforce_limits)
        self._part_rows = part_rows
        self._largest_bytes = largest_bytes
        self._timeout_hours = timeout_hours
        table = event_table(events, taken_keys=(PAGE_URL,))
        rows = _uploads(table, late_share=late_share, uploads_until=uploads_until)
        self._hours = rows["hour"].to_numpy()
        self._store = LineStore(rows, lambda block: _encode(block, app=app))

    @property
    def delivered_rows(self) -> int:
        """Rows over all hours."""
        return len(self._hours)

    @property
    def last_upload_hour(self) -> datetime:
        """The last hour (its start, UTC) in which anything was uploaded; rows may be late."""
        if not len(self._hours):
            raise EventTableError("an empty event table has no last upload hour")
        return datetime.fromtimestamp(int(self._hours[-1]) * 3600, UTC)

    def refuse(self, request: Request) -> Reply | None:
        """403 unless the API key and the secret key are those of the project."""
        if basic_credentials(request) == (self.api_key, self.secret_key):
            return None
        return json_reply(403, {"error": "Forbidden: API key or secret key is not valid for this project"})

    def over_limit(self, request: Request, retry_after: float, used: int) -> Reply:  # noqa: ARG002
        """429 with the seconds to wait."""
        text = f"Too many requests: {used} within the window"
        return json_reply(429, {"error": text}, Retry_After=str(int(-(-retry_after // 1))))

    def answer(self, request: Request) -> Reply:
        """The rows uploaded in the hours `start` to `end`, both inclusive, as a zip of gzip members."""
        try:
            start, end = (_hour(request.query.get(key), key) for key in ("start", "end"))
        except ValueError as error:
            return json_reply(400, {"error": str(error)})
        if end < start:
            return json_reply(400, {"error": "end is before start"})
        if end - start + 1 > LARGEST_RANGE_HOURS:
            return json_reply(400, {"error": "the range is longer than 365 days"})
        if self._timeout_hours is not None and end - start + 1 > self._timeout_hours:
            return Reply(504, b"Gateway Timeout")
        ready = int(request.now.timestamp()) // 3600 - READY_AFTER_HOURS
        first = int(np.searchsorted(self._hours, start, side="left"))
        stop = int(np.searchsorted(self._hours, min(end, ready), side="right"))
        if stop <= first:
            return Reply(404, b"Raw data files were not found.")
        body = self._archive(first, stop)
        if len(body) > self._largest_bytes:
            text = f"the export is {len(body)} bytes, more than {self._largest_bytes}; ask for fewer hours"
            return json_reply(400, {"error": text})
        return Reply(200, body, content_type="application/zip")

    def _archive(self, first: int, stop: int) -> bytes:
        hours, starts = np.unique(self._hours[first:stop], return_index=True)
        lines = self._store.lines(first, stop).to_list()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as members:
            for hour, begin, end in zip(
                hours.tolist(), starts.tolist(), [*starts[1:].tolist(), len(lines)], strict=True
            ):
                moment = datetime.fromtimestamp(hour * 3600, UTC)
                for part, row in enumerate(range(begin, end, self._part_rows)):
                    name = f"{self.app}/{self.app}_{moment:%Y-%m-%d}_{moment.hour}#{part}.json.gz"
                    content = "".join(lines[row : min(row + self._part_rows, end)]).encode()
                    # ZipInfo's own date is fixed, so equal ranges are equal bytes.
                    members.writestr(zipfile.ZipInfo(name), gzip_bytes(content))
        return archive.getvalue()


def _hour(text: str | None, key: str) -> int:
    """Hours since 1970 of `YYYYMMDDTHH`."""
    if text is None or not re.fullmatch(r"\d{8}T\d{2}", text):
        raise ValueError(f"{key} must be YYYYMMDDTHH, not {text!r}")
    moment = datetime.strptime(text, "%Y%m%dT%H").replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(hours=1))


def _uploads(table: pl.DataFrame, *, late_share: float, uploads_until: datetime | None) -> pl.DataFrame:
    """The rows by upload: `received`, `uploaded` (UTC), `hour` (since 1970) and `amplitude_id` added."""
    if table.filter(
        pl.col("session_id").is_not_null() & pl.col("session_id").cast(pl.Int64, strict=False).is_null()
    ).height:
        raise EventTableError(
            "column session_id must hold whole numbers (epoch ms) to be served as Amplitude"
        )
    # The remainder of draw_1 within its class is a fresh uniform number.
    lateness_hours = (
        pl.when(pl.col("draw_1") < late_share)
        .then(2 + pl.col("draw_1") / (late_share or 1) * 46)
        .otherwise(0)
    )
    delay = ((0.4 + pl.col("draw_2") * 4) * 1_000_000 + lateness_hours * HOUR_US).cast(pl.Int64)
    sent = (pl.col("ts").dt.timestamp("us") + delay).cast(pl.Datetime("us", "UTC"))
    if uploads_until is not None:
        last = pl.max_horizontal(pl.col("ts"), pl.lit(uploads_until - timedelta(seconds=1)))
        sent = pl.min_horizontal(sent, last.cast(pl.Datetime("us", "UTC")))
    return (
        _with_amplitude_ids(table)
        .with_columns(sent.alias("sent"))
        .with_columns(
            pl.col("sent").dt.offset_by("180ms").alias("received"),
            pl.col("sent").dt.offset_by("410ms").alias("uploaded"),
        )
        .with_columns((pl.col("uploaded").dt.timestamp("us") // HOUR_US).alias("hour"))
        .sort("uploaded", "token")
    )


def _with_amplitude_ids(table: pl.DataFrame) -> pl.DataFrame:
    """Add `amplitude_id` and `event_id` by the vendor's rules; rows come back in time order.

    A user's first device lends its id if it has anonymous history and nobody claimed it before.
    An anonymous row belongs to the last known user of its device, else to the device.
    """
    rows = table.sort("ts", "token").with_columns(
        pl.col("user_id").forward_fill().over("device_id").alias("holder"),
        pl.int_range(1, pl.len() + 1).over("device_id").alias("event_id"),
    )
    signed_in = rows.filter(pl.col("user_id").is_not_null())
    anonymous = rows.filter(pl.col("holder").is_null()).select("device_id").unique()
    claims = signed_in.unique("device_id", keep="first", maintain_order=True).select("device_id", "user_id")
    lenders = (
        signed_in.unique("user_id", keep="first", maintain_order=True)
        .select("user_id", "device_id")
        .join(claims, on=["user_id", "device_id"], how="semi")
        .join(anonymous, on="device_id", how="semi")
        .select("user_id", pl.col("device_id").alias("lender"))
    )
    owners = rows.join(
        lenders, left_on="holder", right_on="user_id", how="left", maintain_order="left"
    ).with_columns(
        pl.when(pl.col("holder").is_null())
        .then(pl.format("device:{}", "device_id"))
        .when(pl.col("lender").is_not_null())
        .then(pl.format("device:{}", "lender"))
        .otherwise(pl.format("user:{}", "holder"))
        .alias("owner")
    )
    ids = {owner: _amplitude_id(owner) for owner in owners["owner"].unique()}
    number = pl.col("owner").replace_strict(ids, default=None, return_dtype=pl.Int64)
    return owners.with_columns(number.alias("amplitude_id")).drop("owner", "holder", "lender")


def _amplitude_id(owner: str) -> int:
    """Between 2^60 and 2^61: too long for a double, as the vendor's ids can be."""
    digest = hashlib.blake2b(owner.encode(), digest_size=8, person=b"amplitude").digest()
    return (int.from_bytes(digest, "big") >> 4) | (1 << 60)


def _encode(rows: pl.DataFrame, *, app: str) -> pl.Series:
    def time(column: str) -> pl.Expr:
        return pl.col(column).dt.strftime("%Y-%m-%d %H:%M:%S%.6f")

    def text(value: str | None) -> pl.Expr:
        return pl.lit(value, dtype=pl.String)

    token = pl.col("token").str
    uuid = pl.concat_str(
        [
            token.slice(0, 8),
            token.slice(8, 4),
            "4" + token.slice(13, 3),
            "a" + token.slice(17, 3),
            token.slice(20, 12),
        ],
        separator="-",
    )
    scalars = {
        "$insert_id": pl.col("token").str.slice(0, 16),
        "amplitude_attribution_ids": text(None),
        "amplitude_id": pl.col("amplitude_id"),
        "app": text(app).cast(pl.Int64, strict=False),
        "city": text(None),
        "client_event_time": time("ts"),
        "client_upload_time": time("sent"),
        "country": pl.col("country"),
        "device_carrier": text(None),
        "device_family": text(None),
        "device_id": pl.col("device_id"),
        "device_type": text(None),
        "dma": text(None),
        "event_id": pl.col("event_id"),
        "event_time": time("ts"),
        "event_type": pl.col("event"),
        "ip_address": text(None),
        "language": text(None),
        "library": pl.col("platform").replace_strict(LIBRARIES, default="http/2.0", return_dtype=pl.String),
        "location_lat": text(None),
        "location_lng": text(None),
        "os_name": pl.coalesce("browser", "os"),
        "os_version": text(None),
        "paying": text(None),
        "platform": pl.col("platform").replace(PLATFORMS),
        "processed_time": time("uploaded"),
        "region": text(None),
        "sample_rate": text(None),
        "server_received_time": time("received"),
        "server_upload_time": time("uploaded"),
        "session_id": pl.col("session_id").cast(pl.Int64).fill_null(-1),
        "start_version": text(None),
        "user_id": pl.col("user_id"),
        "uuid": uuid,
        "version_name": pl.col("app_version"),
    }
    head = pl.struct([value.alias(name) for name, value in scalars.items()]).struct.json_encode().str.head(-1)
    properties = pl.concat_str(
        [json_field(PAGE_URL, pl.col("url")), inner_fields(pl.col("properties"))],
        separator=",",
        ignore_nulls=True,
    )
    tail = '},"user_properties":{},"group_properties":{},"groups":{},"data":{}}\n'
    line = pl.concat_str([head, pl.lit(',"event_properties":{'), properties, pl.lit(tail)])
    return rows.select(line.alias("line")).to_series()
