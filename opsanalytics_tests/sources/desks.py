"""The four pulled kinds, each with its simulator: settings, environment, changes and truth for tests."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.demo.simulator.messages import Vendor
from opsanalytics.lake.paths import Home
from opsanalytics.sources.app_store_connect import AppStoreConnectSettings
from opsanalytics.sources.intercom import IntercomSettings
from opsanalytics.sources.page_fetching import PullReport, pull
from opsanalytics.sources.paging import ApiFeedbackSourceSettings
from opsanalytics.sources.typeform_api import TypeformApiSettings
from opsanalytics.sources.zendesk import ZendeskSettings
from opsanalytics_tests.simulators import app_store, intercom, typeform, zendesk
from opsanalytics_tests.simulators.desks import Said
from opsanalytics_tests.sources.support import QUICK

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TOMORROW = NOW + timedelta(days=1)
ENVIRON = {
    "ZENDESK_EMAIL": zendesk.EMAIL,
    "ZENDESK_API_TOKEN": zendesk.TOKEN,
    "INTERCOM_ACCESS_TOKEN": intercom.TOKEN,
    "TYPEFORM_TOKEN": typeform.TOKEN,
    "APP_STORE_ISSUER_ID": app_store.ISSUER,
    "APP_STORE_KEY_ID": app_store.KEY_ID,
    "APP_STORE_PRIVATE_KEY": app_store.PRIVATE_KEY,
}
PAGE = 10
FAST: dict[str, Any] = {"page_size": PAGE, "retry": QUICK}


@dataclass(frozen=True)
class Kind:
    """One pulled kind."""

    vendor: str
    """Name of the simulator that serves the pages."""
    make: Callable[..., Any]
    """The simulator with so many records."""
    settings: Callable[..., ApiFeedbackSourceSettings]
    """For an address."""
    token: str
    """The variable with the credential that is tried."""
    change: Callable[[Any, int, int], None]
    """Change record n, at the moment of index m, so that its truth changes."""

    def vendors(self, desk: Any) -> tuple[Vendor, ...]:
        return (desk, zendesk.ZendeskComments(desk)) if self.vendor == "zendesk" else (desk,)


def zendesk_settings(url: str, **changes: Any) -> ZendeskSettings:
    limits = {"requests_per_minute": 100_000, "comment_requests_per_minute": 100_000}
    return ZendeskSettings(
        **{"name": "desk", "subdomain": "acme", "base_url": url, **FAST, **limits, **changes}
    )


def intercom_settings(url: str, **changes: Any) -> IntercomSettings:
    limits = {"requests_per_10_seconds": 100_000}
    return IntercomSettings(**{"name": "desk", "region": "eu", "base_url": url, **FAST, **limits, **changes})


def typeform_settings(url: str, **changes: Any) -> TypeformApiSettings:
    own = {"forms": [typeform.FORM], "hidden": {"user_id": "uid", "app_version": "version"}}
    limits = {"requests_per_second": 100_000}
    return TypeformApiSettings(**{"name": "desk", "base_url": url, **own, **FAST, **limits, **changes})


def app_store_settings(url: str, **changes: Any) -> AppStoreConnectSettings:
    limits = {"requests_per_hour": 10_000_000}
    return AppStoreConnectSettings(
        **{"name": "desk", "apps": [app_store.APP], "base_url": url, **FAST, **limits, **changes}
    )


def _solve(desk: zendesk.ZendeskTickets, number: int, at: int) -> None:
    desk.change(zendesk.BIG + number, at, satisfaction_rating={"score": "good"}, status="closed")


def _close(desk: intercom.IntercomWorkspace, number: int, at: int) -> None:
    rating = {"rating": 5, "remark": "ok"}
    desk.change(sorted(desk.conversations)[number], at, state="closed", conversation_rating=rating)


def _nothing(desk: typeform.TypeformAccount, number: int, at: int) -> None:
    """Responses do not change."""


def _edit(desk: app_store.AppStore, number: int, at: int) -> None:
    desk.edit(sorted(desk.reviews)[number], body=f"edited at {at}", rating=1)


ZENDESK = Kind("zendesk", zendesk.ZendeskTickets, zendesk_settings, "ZENDESK_API_TOKEN", _solve)
INTERCOM = Kind("intercom", intercom.IntercomWorkspace, intercom_settings, "INTERCOM_ACCESS_TOKEN", _close)
TYPEFORM = Kind("typeform", typeform.TypeformAccount, typeform_settings, "TYPEFORM_TOKEN", _nothing)
APP_STORE = Kind("app store", app_store.AppStore, app_store_settings, "APP_STORE_KEY_ID", _edit)
KINDS = (ZENDESK, INTERCOM, TYPEFORM, APP_STORE)


def run_pull(
    settings: ApiFeedbackSourceSettings,
    home: Home,
    *,
    now: datetime = NOW,
    environ: dict[str, str] | None = None,
    told: list[str] | None = None,
) -> PullReport:
    return pull(
        settings, home, environ=environ or ENVIRON, now=now, progress=None if told is None else told.append
    )


def clean(settings: ApiFeedbackSourceSettings, home: Home) -> CleanReport:
    return clean_feedback(settings, home)


def arrived(settings: ApiFeedbackSourceSettings, home: Home) -> dict[str, Said]:
    """What the lake holds after cleaning, by id, in the words of the truth."""
    clean_feedback(settings, home)
    rows = pl.read_parquet(home.feedback_file(settings.name))
    return {
        identifier.removeprefix(f"{settings.name}:"): Said(text, rating, resolved)
        for identifier, text, rating, resolved in rows.select(
            "feedback_id", "text", "rating", "resolved"
        ).iter_rows()
    }
