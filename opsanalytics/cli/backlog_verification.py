"""`opsanalytics backlog verifications`, `verification`, `plan-verification`, `ledger`: did the fixes work?"""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from opsanalytics.analysis.backlog import current_backlog
from opsanalytics.analysis.verification import change_plan
from opsanalytics.cli.backlog_decisions import find_item
from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.improvement.decision_log import read_log
from opsanalytics.improvement.verification.arms import METRICS, Metric
from opsanalytics.improvement.verification.plan import Choices, Plan
from opsanalytics.improvement.verification.plan_log import Frozen, read_plans
from opsanalytics.improvement.verification.tables import CALIBRATION, PREDICTION_LEDGER, VERIFICATIONS
from opsanalytics.improvement.verification.words import compared, interval, size, spoken_outcome, summary
from opsanalytics.lake.locks import LockHeldError
from opsanalytics.lake.marts import read_mart

METRIC_WORDS = {
    "pass": "share of attempts that go on to a later step",
    "conversion": "share of attempts that reach the last step",
    "revenue": "worth of an attempt",
    "heard": "share of messages that are about something else",
}
METHOD_WORDS = {
    "difference": "difference in differences",
    "structural": "structural model",
    "heard": "counts",
}


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def verifications(config: Path | None, as_json: bool) -> None:
    """List what is known of every fix, as of the last run."""
    _, settings = read_config(config)
    rows = read_mart(settings.home, VERIFICATIONS)
    if as_json:
        click.echo(rows.write_ndjson(), nl=False)
        return
    console = Console(highlight=False)
    if rows.is_empty():
        waiting = len(read_plans(settings.home).latest)
        then = f"{waiting} planned: run `opsanalytics run`" if waiting else "opsanalytics backlog accept ITEM"
        console.print(f"There is no fix to verify yet ({then}).")
        return
    table = RichTable(header_style="bold")
    table.add_column("fix", ratio=1, overflow="fold")
    for column in ("change", "predicted"):
        table.add_column(column, no_wrap=True)
    for row in rows.iter_rows(named=True):
        change = f"{size(row, 'change')}\n{interval(row, 'change_low', 'change_high')}".strip()
        predicted = f"{size(row, 'expected')}\n{interval(row, 'expected_low', 'expected_high')}".strip()
        what = Text(f"{row['title']}: ")
        what.append(spoken_outcome(row), style="bold")
        told = [row["item_id"]]
        if row["shipped_on"]:
            told.append(f"shipped on {row['shipped_on']}")
        if row["next_look"]:
            told.append(f"next look on {row['next_look']}")
        what.append(f"\n{', '.join(told)}", style="dim")
        table.add_row(what, change, predicted)
    console.print(table)
    console.print(
        f"As of {rows['as_of'][0]:%Y-%m-%d %H:%M} UTC. `opsanalytics backlog verification ITEM` has the rest."
    )


@click.command()
@config_option
@click.argument("item")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: plans, and the verdict if any.")
def verification(config: Path | None, item: str, as_json: bool) -> None:
    """Show the plan that was frozen for ITEM, its versions, and the verdict."""
    _, settings = read_config(config)
    plans, log = read_plans(settings.home), read_log(settings.home)
    name = find_item(item, _ids(settings))
    versions = [each for each in plans.versions if each.item_id == name]
    rows = read_mart(settings.home, VERIFICATIONS).filter(pl.col("item_id") == name)
    row = rows.row(0, named=True) if rows.height else None
    if as_json:
        click.echo(_as_json(versions, row))
        return
    console = Console(highlight=False)
    if not versions:
        state = log.lives[name].state if name in log.lives else "new"
        console.print(
            f"{name} ({state}) has no verification plan: it is frozen when somebody takes the item on "
            f"(opsanalytics backlog accept {name}), or now by opsanalytics backlog plan-verification {name}"
        )
        return
    for label, text in _plan_facts(versions[-1]):
        console.print(f"[bold]{label}[/]  {escape(text)}")
    for each in versions[:-1]:
        console.print(f"[dim]version {each.version}, {each.at:%Y-%m-%d}, {escape(each.by)}: "
                      f"{escape(each.because)}, {each.hash}[/]")  # fmt: skip
    if row is None:
        console.print("The next run judges it.")
        return
    console.print(f"[bold]verdict[/]  {escape(summary(row))}")
    for label, text in _verdict_facts(row):
        console.print(f"[bold]{label}[/]  {escape(text)}")


@click.command("plan-verification")
@config_option
@click.argument("item")
@click.option(
    "--metric", type=click.Choice(METRICS), help="What is measured; the step it is about if not given."
)
@click.option(
    "--by", "column", help="Column or property that tells the arms apart, such as platform or a holdout."
)
@click.option("--affected", multiple=True, help="A value of it that the fix reaches.")
@click.option("--unaffected", multiple=True, help="A value of it that the fix does not reach.")
@click.option("--looks", help="Days after shipping, such as 14,28,56.")
@click.option(
    "--within", type=click.IntRange(min=1), help="Days after reaching the step within which it counts."
)
@click.option("--expect", type=float, help="Expected change in points (revenue: money an attempt).")
@click.option("--reason", help="Why; needed to change a plan.")
@click.option("--who", help="Who plans; you, if not given.")
def plan_verification(
    config: Path | None,
    item: str,
    metric: Metric | None,
    column: str | None,
    affected: tuple[str, ...],
    unaffected: tuple[str, ...],
    looks: str | None,
    within: int | None,
    expect: float | None,
    reason: str | None,
    who: str | None,
) -> None:
    """Freeze a verification plan for ITEM: how its fix will be judged.

    Accepting an item does that by itself. To change a plan adds a version; the earlier ones stay, and a
    change after shipping is said with the verdict.
    """
    _, settings = read_config(config)
    name = find_item(item, _ids(settings))
    known = read_plans(settings.home).latest.get(name)
    if known is not None and not reason:
        raise click.UsageError(f"{name} has a plan since {known.at:%Y-%m-%d}: say why with --reason")
    if (column is None) != (not affected and not unaffected):
        raise click.UsageError("--by goes with --affected and --unaffected")
    choices = Choices(
        metric=metric,
        by=column,
        affected=affected or None,
        unaffected=unaffected or None,
        looks=None if looks is None else _days(looks),
        horizon_days=within,
        expected=None if expect is None else expect if metric == "revenue" else expect / 100,
    )
    try:
        frozen = change_plan(
            settings,
            name,
            choices,
            at=datetime.now(UTC),
            by=who or getpass.getuser(),
            because=reason or "planned by hand",
        )
    except (LookupError, LockHeldError) as error:
        raise click.ClickException(str(error.args[0] if error.args else error)) from error
    console = Console(highlight=False)
    if frozen is None:
        console.print("The plan says that already.")
        return
    for label, text in _plan_facts(frozen):
        console.print(f"[bold]{label}[/]  {escape(text)}")


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ledger(config: Path | None, as_json: bool) -> None:
    """Show what fixes were predicted to bring, what they brought, and what that says of the next ones."""
    _, settings = read_config(config)
    rows = read_mart(settings.home, PREDICTION_LEDGER)
    if as_json:
        click.echo(rows.write_ndjson(), nl=False)
        return
    console = Console(highlight=False)
    if rows.is_empty():
        console.print("No fix with a prediction has a verdict yet.")
        return
    table = RichTable(
        header_style="bold",
        caption="conversions a week (or revenue, if that is measured), with intervals",
        caption_justify="left",
    )
    for column in ("item", "verdict", "predicted", "measured", "agree"):
        table.add_column(column, overflow="fold", no_wrap=column == "item")
    for row in rows.iter_rows(named=True):
        what = Text(spoken_outcome(row))
        what.append(f"\n{row['title']}", style="dim")
        table.add_row(
            row["item_id"],
            what,
            _weekly(row, "predicted"),
            _weekly(row, "measured"),
            "yes" if row["agrees"] else "no",
        )
    console.print(table)
    overall = read_mart(settings.home, CALIBRATION)
    if overall.height:
        told = overall.row(0, named=True)
        console.print(f"{told['told'][:1].upper()}{told['told'][1:]}. Confidence times {told['factor']:.2f}.")


COMMANDS: tuple[click.Command, ...] = (verifications, verification, plan_verification, ledger)


def _ids(settings: Settings) -> set[str]:
    items = current_backlog(settings).items["item_id"]
    return {*items, *read_log(settings.home).lives, *read_plans(settings.home).latest}


def _days(text: str) -> tuple[int, ...]:
    try:
        days = tuple(int(each) for each in text.split(","))
    except ValueError as error:
        raise click.UsageError(f"--looks {text}: write days such as 14,28,56") from error
    if list(days) != sorted(set(days)) or days[0] < 7:
        raise click.UsageError(f"--looks {text}: days ascend, and the first is 7 or later")
    return days


def _plan_facts(frozen: Frozen) -> list[tuple[str, str]]:
    plan = frozen.plan
    facts = [
        ("plan", f"version {frozen.version}, frozen {frozen.at:%Y-%m-%d %H:%M} UTC by {frozen.by} "
                 f"({frozen.because}), {frozen.hash}")
    ]  # fmt: skip
    if plan.method == "none":
        return [*facts, ("method", f"not measured: {plan.reason}")]
    shown = {"metric": plan.metric} | {
        name: getattr(plan, name) for name in ("expected", "expected_low", "expected_high", "least_change")
    }
    days = "day" if plan.horizon_days == 1 else "days"
    where = f" within {plan.horizon_days} {days} of step {plan.step} of {plan.funnel}"
    units = (
        f"about {plan.units_per_week or 0:.0f} affected attempts a week, {plan.rate or 0:.1%} of them succeed"
    )
    if plan.method == "heard":
        where = f" ({', '.join(plan.affected)})"
        share = f"{1 - (plan.rate or 0):.1%} of them are of it"
        units = f"about {plan.units_per_week or 0:.0f} messages a week, {share}"
    facts += [
        ("metric", METRIC_WORDS[plan.metric] + where),
        ("method", f"{METHOD_WORDS[plan.method]}: {compared(plan)}"),
        ("baseline", f"{plan.baseline_first} to {plan.baseline_last}, {units}".replace("%", " %")),
    ]
    if plan.expected is not None:
        met = f"; {plan.exposed_share:.0%} of them met it".replace("%", " %") if plan.exposed_share else ""
        facts.append(
            (
                "expected",
                f"{size(shown, 'expected')} ({interval(shown, 'expected_low', 'expected_high')}){met}",
            )
        )
    if plan.lost_per_week is not None:
        worth = f"{plan.lost_per_week:.1f} conversions a week ({plan.lost_low:.1f} to {plan.lost_high:.1f})"
        facts.append(("worth", f"{worth}, as predicted then"))
    if plan.least_change is not None:
        power = f"{plan.power * 100:.0f} %"
        facts.append(
            ("can see", f"{size(shown, 'least_change', signed=False)} or more with a chance of {power} after "
                        f"{plan.looks[-1]} days")
        )  # fmt: skip
    if plan.days_needed is not None:
        facts.append(("takes", f"{plan.days_needed} days to see {_awaited(plan)} so surely"))
    elif plan.expected:
        chance = f"{(plan.power_expected or 0) * 100:.0f} %"
        facts.append(
            ("takes", f"longer than {plan.looks[-1]} days; by then its chance to be seen is {chance}")
        )
    return [*facts, ("rule", plan.rule())]


def _awaited(plan: Plan) -> str:
    """What the looks of a plan are late enough to see."""
    if plan.method != "heard" or plan.expected is not None:
        return "the expected change"
    half = (1 - (plan.rate or 0.0)) / 2
    return (
        "that it is written of half as often" if (plan.least_change or 0.0) <= half else "that it fell silent"
    )


def _verdict_facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("because", row["reason"])]
    if row["drift_p"] is not None:
        facts.append(
            ("before", f"{row['days_before']} days; the gap moved {size(row, 'drift_per_week')} a week "
                       f"({interval(row, 'drift_low', 'drift_high')}), p = {row['drift_p']:.2g}")
        )  # fmt: skip
    if row["placebo_changes"]:
        told = sorted(row["placebo_changes"])
        ends = {"metric": row["metric"], "low": told[0], "high": told[-1]}
        facts.append(("placebos", f"{len(told)} pretended shippings show {interval(ends, 'low', 'high')}"))
    if row["watched"]:
        facts.append(("watched", f"{row['watched']} times since"))
    if row["note"]:
        facts.append(("note", row["note"]))
    return facts


def _as_json(versions: list[Frozen], row: dict[str, Any] | None) -> str:
    import json

    plans = [
        vars(each) | {"at": each.at.isoformat(), "plan": each.plan.model_dump(mode="json")}
        for each in versions
    ]
    return json.dumps({"plans": plans, "verdict": row}, default=str, ensure_ascii=False)


def _weekly(row: dict[str, Any], which: str) -> str:
    value = row[f"{which}_value"]
    if value is None:
        return ""
    return f"{value:.1f}\n{row[f'{which}_low']:.1f} to {row[f'{which}_high']:.1f}"
