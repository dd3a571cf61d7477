"""App Store: reviews as CSV from the tools that export them; Apple itself offers none."""

from opsanalytics.sources.app_store_csv.source import AppStoreCsvSettings

SETTINGS = AppStoreCsvSettings

__all__ = ["SETTINGS", "AppStoreCsvSettings"]
