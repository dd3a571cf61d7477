"""Entry point: subcommands are imported when they are called, so that `--version` is instant."""

import importlib
import sys
from collections.abc import Mapping

import click

from opsanalytics import __version__

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("opsanalytics.cli.setup", "Write a commented opsanalytics.toml to start from."),
    "check": ("opsanalytics.cli.setup", "Say what is wrong in the configuration, and where."),
    "run": ("opsanalytics.cli.pipeline", "Pull, clean, check, analyse, publish and report."),
    "ui": ("opsanalytics.cli.pipeline", "Open Dagster on this machine."),
    "docs": ("opsanalytics.cli.pipeline", "Build the Data Docs of the quality checks."),
    "export": ("opsanalytics.cli.pipeline", "Write a self-contained copy of the published file."),
    "tracking-plan": ("opsanalytics.cli.tracking", "Declare what the product sends; see where it does not."),
    "funnel": ("opsanalytics.cli.questions", "Evaluate a funnel, as this or another tool counts it."),
    "retention": ("opsanalytics.cli.questions", "Evaluate retention by cohort."),
    "lifecycle": ("opsanalytics.cli.activity", "Show who is new, returning, resurrected or dormant."),
    "stickiness": ("opsanalytics.cli.activity", "Show on how many days people are active."),
    "usage-interval": ("opsanalytics.cli.activity", "Show how long people pause between uses."),
    "trends": ("opsanalytics.cli.activity", "Show numbers by period, and formulas over them."),
    "sessions": ("opsanalytics.cli.journeys", "Count sessions: length, events, bounces."),
    "paths": ("opsanalytics.cli.journeys", "Show what people did next, or just before."),
    "diagnose": ("opsanalytics.cli.diagnosis", "Say what goes with dropping out of a funnel."),
    "cohort": ("opsanalytics.cli.journeys", "Say who belongs to a cohort."),
    "reconcile": (
        "opsanalytics.cli.questions",
        "Show a funnel as other tools count it, and why.",
    ),
    "backlog": ("opsanalytics.cli.backlog", "Show what to fix next, and decide about it."),
    "themes": ("opsanalytics.cli.themes", "List what people talk about; rename, merge, pin, mute themes."),
    "person": ("opsanalytics.cli.person", "Explain how an identity came about."),
    "quarantine": ("opsanalytics.cli.quarantine", "List, inspect and replay records that were set aside."),
    "forget": ("opsanalytics.cli.forget", "Erase a person from everything in the home folder."),
    "compare-sources": ("opsanalytics.cli.compare", "Show where two sources of one product disagree."),
    "demo": ("opsanalytics.cli.demo", "Run everything on a generated product, or replay a real one."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="opsanalytics")
def cli() -> None:
    """From what users did and said to a ranked list of what to fix next."""


def main() -> None:
    """Run the command; errors a person can mend end with one message and exit code 1."""
    from opsanalytics.config import ConfigError

    try:
        cli()
    except ConfigError as error:
        click.echo(f"opsanalytics: the configuration cannot be used\n{error}", err=True)
        sys.exit(1)
