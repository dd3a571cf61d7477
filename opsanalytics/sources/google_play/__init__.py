"""Google Play: the monthly files of reviews in the developer's bucket."""

from opsanalytics.sources.google_play.source import GooglePlaySettings

SETTINGS = GooglePlaySettings

__all__ = ["SETTINGS", "GooglePlaySettings"]
