"""opsanalytics: from what users did and said to a ranked list of what to fix next."""

__version__ = "0.1.0"
