"""One line that says what is wrong, for people."""

from collections.abc import Collection, Mapping

import polars as pl

from opsanalytics.improvement.candidates import Candidate
from opsanalytics.improvement.settings import CustomSignal

PLATFORMS = {"ios": "iOS", "android": "Android", "web": "web"}
KINDS = {
    "bug": ("Bug report", "Bug reports"),
    "complaint": ("Complaint", "Complaints"),
    "request": ("Request", "Requests"),
    "question": ("Question", "Questions"),
    "praise": ("Praise", "Praise"),
}
MOSTLY = 0.9
SPREAD = 0.75
"""An item is a platform's own if nearly all affected persons are on it, and not nearly everybody is."""


def behaviour_title(candidate: Candidate, events: Collection[str], custom: Mapping[str, CustomSignal]) -> str:
    """Such as "Error BANK_TIMEOUT on /connect-bank after “sign up” (Android)".

    `events` are the names of events: an error without a code goes by the name of its event. `custom` are
    the signals that somebody defined, by name; they go by their titles.
    """
    step = f"“{_plain(candidate.population.label)}”"
    place = candidate.place
    if candidate.signal in custom:
        own = custom[candidate.signal]
        here = own.event == candidate.population.funnel.steps[candidate.population.step - 1].event
        named = own.title if place == own.event else f"{own.title}: {_plain(place)}"
        what = f"{named}, at {step}" if here else f"{named}, after {step}"
    elif candidate.signal == "error":
        code, on, page = place.partition(" on ")
        name = f"“{_plain(code)}”" if code in events else f"Error {code}"
        what = f"{name}{on}{page} after {step}"
    elif candidate.signal == "slow_load":
        what = f"Slow loading of {place} after {step}"
    elif candidate.signal == "empty_search":
        what = f"Search without results on {place} after {step}"
    elif candidate.signal == "repeated_attempt":
        what = f"People repeat “{_plain(place)}” after {step} and get no further"
    else:
        what = f"{candidate.signal.replace('_', ' ').capitalize()} at {place} after {step}"
    platform = _own_platform(candidate)
    return f"{what} ({platform})" if platform else what


def message_title(kind: str, title: str) -> str:
    """Such as "Bug report: “Comments crash the app”"."""
    return f"{KINDS[kind][0]}: “{title}”"


def voice_title(
    label: str, satisfaction: float | None, kind: str | None = None, example: str | None = None
) -> str:
    """Such as "Complaints: export, csv", or "Requests: dark, night, as in “Dark mode, please”".

    Args:
        label: of the theme.
        satisfaction: mean of the theme, None if too few have rated.
        kind: what weighs most in it, None if unknown.
        example: title of a message.
    """
    if kind is not None and kind != "other":
        what = KINDS[kind][1]
    elif satisfaction is None:
        what = "Discussed" if kind else "People write about"
    else:
        what = "Complaints" if satisfaction < 0.5 else "Mixed feedback"
    return f"{what}: {label}, as in “{example}”" if example else f"{what}: {label}"


def _plain(name: str) -> str:
    """Event names as words: sign_up becomes "sign up"."""
    return name.replace("_", " ")


def _own_platform(candidate: Candidate) -> str | None:
    persons = candidate.population.persons
    affected = persons.join(candidate.met, on="person", how="semi")["platform"]
    name: str = affected.value_counts().sort(["count", "platform"], descending=[True, False])["platform"][0]
    if (affected == name).sum() < MOSTLY * len(affected):
        return None
    if persons.select((pl.col("platform") == name).mean()).item() >= SPREAD:
        return None
    return PLATFORMS.get(name, name)
