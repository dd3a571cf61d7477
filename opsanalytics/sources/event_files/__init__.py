"""Events in files of any layout, read through a map of columns in the configuration.

`SETTINGS` is what configuration reads; which files count is in `source`, the map in `mapping`,
reading records in `rows`.
"""

from opsanalytics.sources.event_files.source import EventFilesSettings

SETTINGS = EventFilesSettings

__all__ = ["SETTINGS", "EventFilesSettings"]
