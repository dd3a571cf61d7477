"""What the generated product is: Pennyleaf, an invented app with which freelancers write invoices.

Everything that is planted in it is declared here; `truth` reports what came of it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

PRODUCT = "Pennyleaf"
START = datetime(2026, 8, 24, tzinfo=UTC)
"""A Monday. Events lie from here up to but without END."""
WEEKS = 12
END = START + timedelta(weeks=WEEKS)

FUNNEL = (
    "sign_up",
    "verify_email",
    "connect_bank",
    "create_invoice",
    "send_invoice",
    "start_checkout",
    "purchase",
)

EVENT_NAMES: dict[str, tuple[str, str]] = {
    "page_view": ("Page View", "page_view"),
    "page_load": ("Page Load", "page_load"),
    "sign_up": ("Sign Up", "sign_up"),
    "resend_verification": ("Resend Verification", "resend_verification"),
    "verify_email": ("Verify Email", "verify_email"),
    "start_bank_connection": ("Start Bank Connection", "start_bank_connection"),
    "connect_bank": ("Connect Bank", "connect_bank"),
    "create_invoice": ("Create Invoice", "create_invoice"),
    "send_invoice": ("Send Invoice", "send_invoice"),
    "record_payment": ("Record Payment", "record_payment"),
    "open_report": ("Open Report", "open_report"),
    "search": ("Search", "search"),
    "start_checkout": ("Start Checkout", "start_checkout"),
    "purchase": ("Purchase", "purchase"),
    "error_shown": ("Error Shown", "error_shown"),
    "toggle_theme": ("Toggle Theme", "toggle_theme"),
}
"""Canonical name -> name in Mixpanel (web), name in Amplitude (mobile)."""

PLATFORMS = ("web", "android", "ios")
PLATFORM_SHARES = (0.45, 0.28, 0.27)
PAGES = {
    "sign_up": "/sign-up",
    "verify_email": "/verify",
    "connect_bank": "/connect-bank",
    "create_invoice": "/invoices/new",
    "send_invoice": "/invoices/send",
    "start_checkout": "/checkout",
    "purchase": "/checkout/done",
}


@dataclass(frozen=True)
class Country:
    """Share of persons, offset of local time from UTC in hours, currency, language of feedback."""

    code: str
    share: float
    utc_offset: int
    currency: str
    language: str = "en"


COUNTRIES = (
    Country("US", 0.27, -5, "USD"),
    Country("GB", 0.13, 0, "GBP"),
    Country("DE", 0.12, 1, "EUR", "de"),
    Country("BR", 0.12, -3, "BRL", "pt"),
    Country("IN", 0.11, 5, "INR"),
    Country("FR", 0.08, 1, "EUR", "fr"),
    Country("ES", 0.07, 1, "EUR", "es"),
    Country("PL", 0.06, 1, "EUR"),
    Country("NL", 0.04, 1, "EUR"),
)


@dataclass(frozen=True)
class Step:
    """How one step of the funnel is passed: chance for the average person on the web, median delay."""

    name: str
    base: float
    median_minutes: float
    android_logit: float = 0.0


STEPS = (
    Step("verify_email", 0.90, 6),
    Step("connect_bank", 0.82, 150, android_logit=-0.6),
    Step("create_invoice", 0.86, 500),
    Step("send_invoice", 0.86, 70),
    Step("start_checkout", 0.70, 4500),
    Step("purchase", 0.76, 14),
)
"""The steps after sign_up, in order."""

ENGAGEMENT_LOGIT = 0.45
"""What one standard deviation of engagement adds to the chance of every step."""


@dataclass(frozen=True)
class Release:
    """A version and when it came out, UTC."""

    version: str
    at: datetime


def _day(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 8, tzinfo=UTC)


WEB_RELEASES = (
    Release("8.1.0", START),
    Release("8.2.0", _day(9, 14)),
    Release("8.3.0", _day(9, 28)),
    Release("8.4.0", _day(11, 2)),
)
MOBILE_RELEASES = (
    Release("3.0.0", START),
    Release("3.1.0", _day(9, 7)),
    Release("3.2.0", _day(9, 21)),
    Release("3.3.0", _day(10, 5)),
    Release("3.3.1", _day(11, 2)),
)


@dataclass(frozen=True)
class Plant:
    """Friction that is planted between two steps of the funnel, with a known effect.

    Persons who reached `after` meet it with chance `exposure` (at average engagement), if their
    platform, country, version and time fit. `effect` is added to their chance of passing `step`.
    `signal` describes the events that show it: event, filters, and how many make one exposure.
    """

    key: str
    kind: str
    """problem (costs conversions), fixed (a problem until it is fixed), or decoy (costs nothing)."""
    title: str
    step: str
    event: str
    where: tuple[dict[str, Any], ...]
    effect: float
    exposure: dict[str, float]
    """By platform; missing means never."""
    since: datetime = START
    until: datetime = END
    version: str | None = None
    countries: tuple[str, ...] | None = None
    engagement: float = 0.0
    """What one standard deviation of engagement adds to the logit of meeting it."""
    repeats: tuple[int, int] = (1, 3)
    """Fewest and most signal events of one exposure."""
    apart: bool = False
    """Drawn from random numbers of its own, so that everything else is as it would be without it."""

    @property
    def after(self) -> str:
        """The step that a person has reached when meeting it."""
        return FUNNEL[FUNNEL.index(self.step) - 1]

    @property
    def signal(self) -> dict[str, Any]:
        """The signal in JSON: event, where (filters), min_count."""
        return {"event": self.event, "where": list(self.where), "min_count": self.repeats[0]}


def _is(name: str, value: object, op: str = "eq") -> dict[str, Any]:
    return {"property": name, "op": op, "value": value}


def everywhere(chance: float) -> dict[str, float]:
    """The same chance on every platform."""
    return dict.fromkeys(PLATFORMS, chance)


FIXED_ON = _day(10, 12)
"""When the fixes of the demo ship: that of `card_redirect` works, that of `bank_android` changes nothing."""

SLOW_MS = 4000
"""Loads that take longer are planted; all others stay well below."""

PLANTS = (
    Plant(
        key="bank_android",
        kind="problem",
        title="Connecting the bank fails on Android since 3.2.0",
        step="connect_bank",
        event="error_shown",
        where=(_is("code", "BANK_CONNECT_FAILED"), _is("page", "/connect-bank")),
        effect=-0.30,
        exposure={"android": 0.62},
        since=MOBILE_RELEASES[2].at,
        version="3.2.0",
    ),
    Plant(
        key="slow_checkout",
        kind="problem",
        title="The checkout page is slow on the web in Brazil, India, Spain and Poland since 8.3.0",
        step="purchase",
        event="page_load",
        where=(_is("page", "/checkout"), _is("ms", SLOW_MS, "ge")),
        effect=-0.27,
        exposure={"web": 0.8},
        since=WEB_RELEASES[2].at,
        version="8.3.0",
        countries=("BR", "IN", "ES", "PL"),
        repeats=(1, 2),
    ),
    Plant(
        key="card_redirect",
        kind="fixed",
        title="Returning from the bank's card check fails on the web until it is fixed on 12 October",
        step="purchase",
        event="error_shown",
        where=(_is("code", "CARD_REDIRECT"), _is("page", "/checkout")),
        effect=-0.52,
        exposure={"web": 0.7},
        until=FIXED_ON,
        repeats=(1, 2),
        apart=True,
    ),
    Plant(
        key="search_empty",
        kind="problem",
        title="Searching for a client finds nothing since 14 September",
        step="send_invoice",
        event="search",
        where=(_is("results", 0), _is("page", "/invoices/new")),
        effect=-0.22,
        exposure=everywhere(0.2),
        since=WEB_RELEASES[1].at,
    ),
    Plant(
        key="verification_late",
        kind="problem",
        title="The verification mail arrives hours late from 12 October to 2 November",
        step="verify_email",
        event="resend_verification",
        where=(),
        effect=-0.24,
        exposure=everywhere(0.42),
        since=_day(10, 12),
        until=_day(11, 2),
        repeats=(2, 4),
    ),
    Plant(
        key="preview_ios",
        kind="problem",
        title="The invoice preview crashes on iOS since 3.3.0",
        step="send_invoice",
        event="error_shown",
        where=(_is("code", "PREVIEW_CRASH"), _is("page", "/invoices/preview")),
        effect=-0.28,
        exposure={"ios": 0.72},
        since=MOBILE_RELEASES[3].at,
        version="3.3.0",
    ),
    Plant(
        key="vat_hint",
        kind="decoy",
        title="Hint about the format of a VAT number: engaged persons meet it more often",
        step="send_invoice",
        event="error_shown",
        where=(_is("code", "VAT_FORMAT"), _is("page", "/invoices/new")),
        effect=0.0,
        exposure=everywhere(0.25),
        engagement=1.0,
    ),
    Plant(
        key="push_denied",
        kind="decoy",
        title="Notice that notifications are off: mostly on Android, where fewer connect their bank anyway",
        step="connect_bank",
        event="error_shown",
        where=(_is("code", "PUSH_DENIED"), _is("page", "/onboarding/notifications")),
        effect=0.0,
        exposure={"android": 0.65, "ios": 0.08},
        repeats=(1, 1),
    ),
    Plant(
        key="slow_reports",
        kind="decoy",
        title="Reports load slowly for persons with much data, who are the engaged ones",
        step="start_checkout",
        event="page_load",
        where=(_is("page", "/reports"), _is("ms", SLOW_MS, "ge")),
        effect=0.0,
        exposure=everywhere(0.25),
        engagement=1.2,
    ),
)
