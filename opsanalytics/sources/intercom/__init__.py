"""Intercom conversations: search by time of change, and JSON dumps of conversations."""

from opsanalytics.sources.intercom.source import IntercomSettings

SETTINGS = IntercomSettings

__all__ = ["SETTINGS", "IntercomSettings"]
