"""opsanalytics.toml -> typed settings; every mistake one clear message.

Each layer owns the settings of what it does; this one puts them together, so that a new source or
signal needs no edit here. Only the layers above (assets, demo, cli) read the configuration.
"""

from opsanalytics.config.files import ConfigError, Problem
from opsanalytics.config.load import find_config, load_settings
from opsanalytics.config.settings import Settings

__all__ = ["ConfigError", "Problem", "Settings", "find_config", "load_settings"]
