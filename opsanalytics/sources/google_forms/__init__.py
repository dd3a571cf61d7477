"""Google Forms: the CSV of its responses, or of the sheet that they go to."""

from opsanalytics.sources.google_forms.source import GoogleFormsSettings

SETTINGS = GoogleFormsSettings

__all__ = ["SETTINGS", "GoogleFormsSettings"]
