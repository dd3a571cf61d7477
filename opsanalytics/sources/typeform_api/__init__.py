"""Typeform responses, from the Responses API."""

from opsanalytics.sources.typeform_api.source import TypeformApiSettings

SETTINGS = TypeformApiSettings

__all__ = ["SETTINGS", "TypeformApiSettings"]
