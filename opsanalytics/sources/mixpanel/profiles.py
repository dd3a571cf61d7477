"""Fetching Mixpanel's user profiles: page after page of one session, landed as received.

Contract: Mixpanel's OpenAPI description of the query API, `engage`. A session holds still what it
pages through; it is not taken up again by a later run.
"""

import gzip
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import Manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.download import WindowDownload
from opsanalytics.sources.errors import IncompleteExportError
from opsanalytics.sources.http import new_session
from opsanalytics.sources.landing import Received, commit, current, intact, sweep, temporary_file
from opsanalytics.sources.mixpanel.source import MixpanelSettings
from opsanalytics.sources.window_landing import project_hash, query_limiter
from opsanalytics.sources.windows import DAY, Window, midnight

ROUNDS = 2
"""So often the pages are fetched from the first on, if they do not make up what was announced."""


@dataclass(frozen=True)
class ProfilesReport:
    """What a fetch of profiles did."""

    source: str
    delivery: str
    profiles: int
    requests: int
    """0: they had been fetched on this day before."""


def fetch_profiles(
    settings: MixpanelSettings,
    home: Home,
    *,
    environ: Mapping[str, str],
    now: datetime,
    progress: Callable[[str], None] | None = None,
    force: bool = False,
) -> ProfilesReport:
    """Land all profiles of the project, once a UTC day unless `force`. `now` is aware.

    Raises:
        IncompleteExportError: the pages held fewer profiles than the first one announced, twice.
        SourceError: the vendor could not deliver; what was landed before stays.
        LockHeldError: another process fetches profiles of this source for more than ten minutes.
    """
    name, delivery = settings.profiles_landed_as, f"{now.astimezone(UTC):%Y-%m-%d}"
    tell = progress or silent
    with exclusive(home, f"profiles-{settings.name}"):
        sweep(home, name)
        known = current(home, name, delivery)
        if known is not None and not force and intact(home.delivery(name, delivery), known):
            return ProfilesReport(settings.name, delivery, known.records, 0)
        sent: list[None] = []
        for _ in range(ROUNDS):
            with ExitStack() as stack, new_session() as session:
                pages, total = all_pages(
                    settings, home, session, stack, environ, now, tell, lambda: sent.append(None)
                )
                profiles = sum(page.records for page in pages)
                if profiles >= total:
                    manifest = landed(settings, home, delivery, pages, environ, now, len(sent))
                    return ProfilesReport(settings.name, delivery, manifest.records, len(sent))
            tell(f"{profiles} of {total} announced profiles came; starting over")
    raise IncompleteExportError(
        f"source {settings.name}: profiles: {profiles} came, but the first page announced {total}. Nothing "
        "of them was kept; run again later, what was landed before is kept."
    )


def silent(_: str) -> None:
    """Nobody wants to know."""


def all_pages(
    settings: MixpanelSettings,
    home: Home,
    session: requests.Session,
    stack: ExitStack,
    environ: Mapping[str, str],
    now: datetime,
    tell: Callable[[str], None],
    sent: Callable[[], None],
) -> tuple[list[Received], int]:
    """The pages of one session in temporary files that `stack` holds, and how many were announced."""
    limiter = query_limiter(settings, home, environ)
    today = midnight(now.astimezone(UTC).date())
    pages: list[Received] = []
    session_id: str | None = None
    total = 0
    while True:
        request = settings.profiles_request(len(pages), session_id, environ)
        file, path = stack.enter_context(temporary_file(home, settings.profiles_landed_as))
        download = WindowDownload(
            settings, session, limiter, request, Window(today, today + DAY), now, tell,
            can_shrink=False, sent=sent, body="page",
        )  # fmt: skip
        received = download.run(file, path).received
        if received is None:
            return pages, total
        page = read_page(received.path)
        if not pages:
            session_id, total = page.get("session_id"), int(page.get("total") or 0)
        pages.append(received)
        tell(f"profiles: page {len(pages)}, {sum(each.records for each in pages):,} of {total:,}")
        if received.records < max(1, int(page.get("page_size") or 1_000)):
            return pages, total


def read_page(path: Path) -> dict[str, Any]:
    """A landed page."""
    content = path.read_bytes()
    page: dict[str, Any] = json.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    return page


def landed(
    settings: MixpanelSettings,
    home: Home,
    delivery: str,
    pages: list[Received],
    environ: Mapping[str, str],
    now: datetime,
    attempts: int,
) -> Manifest:
    manifest, _ = commit(
        home,
        source=settings.profiles_landed_as,
        kind=settings.kind,
        delivery=delivery,
        first_day=None,
        last_day=None,
        covers=None,
        request={"url": f"{settings.query_host}/api/query/engage", "project_id": settings.project_id},
        status=200,
        attempts=attempts,
        fetched_at=now.astimezone(UTC),
        received=pages,
        file_name="profiles",
        project=project_hash(settings, environ),
    )
    return manifest
