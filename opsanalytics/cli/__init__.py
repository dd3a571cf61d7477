"""The `opsanalytics` command: one module a group of subcommands."""

from opsanalytics.cli.main import main

__all__ = ["main"]
