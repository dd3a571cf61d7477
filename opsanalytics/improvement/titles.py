"""One line that says what is wrong, for people."""

import polars as pl

from opsanalytics.improvement.candidates import Candidate

PLATFORMS = {"ios": "iOS", "android": "Android", "web": "web"}
MOSTLY = 0.9
SPREAD = 0.75
"""An item is a platform's own if nearly all affected persons are on it, and not nearly everybody is."""


def behaviour_title(candidate: Candidate) -> str:
    """Such as "Error BANK_TIMEOUT on /connect-bank after “sign up” (Android)"."""
    step = f"“{_plain(candidate.population.label)}”"
    place = candidate.place
    if candidate.signal == "error":
        what = f"Error {place} after {step}"
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


def voice_title(label: str, satisfaction: float | None) -> str:
    """Such as "Complaints: export, csv"; "People write about: ..." where nobody has rated."""
    if satisfaction is None:
        return f"People write about: {label}"
    return f"Complaints: {label}" if satisfaction < 0.5 else f"Mixed feedback: {label}"


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
