"""App Store reviews: the App Store Connect API, and JSON dumps of its answers."""

from opsanalytics.sources.app_store_connect.source import AppStoreConnectSettings

SETTINGS = AppStoreConnectSettings

__all__ = ["SETTINGS", "AppStoreConnectSettings"]
