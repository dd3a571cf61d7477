"""`opsanalytics backlog accept`, `plan`, ...: decisions of people about items."""

import getpass
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from opsanalytics.analysis.backlog import current_backlog, decide_about
from opsanalytics.cli.pipeline import config_option, read_config
from opsanalytics.config import Settings
from opsanalytics.improvement.decision_log import read_log
from opsanalytics.improvement.decisions import DecisionError, head_of, spoken
from opsanalytics.improvement.verification.plan_log import read_plans
from opsanalytics.improvement.verification.words import promise
from opsanalytics.lake.locks import LockHeldError

SHORTEST = 2
"""Characters of an id that name an item, after PP-."""
DAY = click.DateTime(["%Y-%m-%d"])


class Decider:
    """Takes decisions for one command, and says what came of them."""

    def __init__(self, settings: Settings, by: str | None) -> None:
        self.settings = settings
        self.by = by or getpass.getuser()
        self.console = Console(highlight=False)
        made = current_backlog(settings)
        self.as_of = made.items["as_of"][0] if made.items.height else None
        self.ids = {*made.items["item_id"], *read_log(settings.home).lives}

    def find(self, item: str) -> str:
        return find_item(item, self.ids)

    def take(self, items: Sequence[str], action: str, details: Mapping[str, Any] | None = None) -> None:
        """Decide about items, given as people write them."""
        names = [self.find(item) for item in items]
        at = datetime.now(UTC)
        try:
            added = decide_about(self.settings, names, action, details, at=at, by=self.by)
        except (DecisionError, LockHeldError) as error:
            raise click.ClickException(str(error)) from error
        changed = {decision.item_id for decision in added}
        self.tell(names, changed, at)

    def tell(self, names: Sequence[str], changed: Collection[str], at: datetime) -> None:
        plans = read_plans(self.settings.home).latest
        rows = {row["item_id"]: row for row in current_backlog(self.settings).items.iter_rows(named=True)}
        known = read_log(self.settings.home).lives
        for name in names:
            head = head_of(known, name)
            shown = [head] if head in rows else [*(known[head].parts if head in known else ())]
            for each in shown:
                row = rows.get(each)
                if row is None:
                    continue
                word = "is" if name in changed else "already is"
                merged = f"{name} is merged into " if head != name else ""
                owner = f", owner {escape(row['owner'])}" if row["owner"] else ""
                self.console.print(
                    f"{merged}{each} {word} [bold]{spoken(row['state'])}[/]{owner}: {escape(row['title'])}",
                    soft_wrap=True,
                )
                if (plan := plans.get(each)) is not None and plan.at == at:
                    told = f"How its fix will be judged is frozen: {promise(plan.plan)}."
                    self.console.print(f"[dim]{escape(told)}[/]", soft_wrap=True)
        if changed:
            self.console.print("[dim]Published file and report show it after the next `opsanalytics run`.[/]")


def find_item(item: str, ids: Collection[str]) -> str:
    """The id that `item` names: the id itself, or its beginning, with or without PP-.

    Raises:
        click.ClickException: no item, or several, begin so.
    """
    digits = item.strip().lower().removeprefix("pp-")
    found = sorted(each for each in ids if each.lower().removeprefix("pp-").startswith(digits))
    if len(found) == 1 and len(digits) >= SHORTEST:
        return found[0]
    if len(found) > 1:
        raise click.ClickException(f"{item} is the beginning of {', '.join(found[:5])}: write more of it")
    raise click.ClickException(
        f"there is no item {item}: `opsanalytics backlog list --all` shows the ids, such as PP-1a2b3c4d"
    )


def deciding(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every decision; the command gets a Decider in their place."""

    @wraps(command)
    def decided(config: Path | None, by: str | None, **others: Any) -> None:
        _, settings = read_config(config)
        command(Decider(settings, by), **others)

    return config_option(click.option("--by", help="Who decides; you, if not given.")(decided))


several = click.argument("items", metavar="ITEM...", nargs=-1, required=True)
one = click.argument("item")
because = click.option("--reason", help="Why; kept in the history.")


def _move(action: str, text: str) -> click.Command:
    @deciding
    @several
    @because
    def move(decider: Decider, items: tuple[str, ...], reason: str | None) -> None:
        decider.take(items, action, {"reason": reason} if reason else None)

    return click.command(action.replace("_", "-"), help=text)(move)


@click.command()
@deciding
@several
@click.option("--on", "day", type=DAY, help="Day on which the fix went out; today if not given.")
@because
def ship(decider: Decider, items: tuple[str, ...], day: datetime | None, reason: str | None) -> None:
    """The fix is out. From the first data after that day on the item is being verified."""
    shipped = (day or datetime.now(UTC)).date()
    if shipped > datetime.now(UTC).date():
        raise click.ClickException(f"{shipped} has not come yet")
    decider.take(items, "ship", {"on": shipped.isoformat()} | ({"reason": reason} if reason else {}))


@click.command()
@deciding
@several
@click.option("--until", type=DAY, required=True, help="Day on which it returns, by the data's time.")
@because
def snooze(decider: Decider, items: tuple[str, ...], until: datetime, reason: str | None) -> None:
    """Set aside until a day; it returns to the state that it has now."""
    day = until.date()
    if decider.as_of is not None and day <= decider.as_of.date():
        raise click.ClickException(
            f"the data is complete up to {decider.as_of:%Y-%m-%d}: name a later day than {day}"
        )
    decider.take(items, "snooze", {"until": day.isoformat()} | ({"reason": reason} if reason else {}))


@click.command()
@deciding
@one
@click.argument("owner", required=False)
@click.option("--nobody", is_flag=True, help="Take the owner away.")
def assign(decider: Decider, item: str, owner: str | None, nobody: bool) -> None:
    """Say who takes care of it."""
    if (owner is None) != nobody:
        raise click.UsageError("name an owner, or say --nobody")
    decider.take([item], "assign", {"owner": owner})


@click.command()
@deciding
@one
@click.argument("weeks", type=click.FloatRange(min=0, min_open=True))
def effort(decider: Decider, item: str, weeks: float) -> None:
    """Estimate it in person-weeks."""
    decider.take([item], "effort", {"weeks": weeks})


@click.command()
@deciding
@one
@click.argument("title", required=False)
@click.option("--own", is_flag=True, help="Back to the title that data gives it.")
def rename(decider: Decider, item: str, title: str | None, own: bool) -> None:
    """Give it a title of yours; its id stays."""
    if (title is None) != own:
        raise click.UsageError("write a title, or say --own")
    decider.take([item], "rename", {"title": title})


@click.command()
@deciding
@one
@click.argument("others", metavar="OTHER...", nargs=-1, required=True)
def merge(decider: Decider, item: str, others: tuple[str, ...]) -> None:
    """Make OTHER part of ITEM: they are one problem. ITEM keeps its id, state, owner and effort."""
    decider.take(others, "merge", {"into": decider.find(item)})


@click.command()
@deciding
@one
@click.argument("others", metavar="[OTHER...]", nargs=-1)
@click.option("--into", "titles", multiple=True, help="Title of a part; at least two.")
def split(decider: Decider, item: str, others: tuple[str, ...], titles: tuple[str, ...]) -> None:
    """Take OTHER out of ITEM again, or divide ITEM into parts of its own.

    Each part has a state, an owner and an effort; until data tells them apart, all have the same share of
    the numbers.
    """
    if bool(others) == bool(titles):
        raise click.UsageError("name the items to take out, or the parts: --into TITLE --into TITLE")
    if titles:
        decider.take([item], "split", {"titles": list(titles)})
        return
    name, known = decider.find(item), read_log(decider.settings.home).lives
    for other in map(decider.find, others):
        if other not in known or known[other].merged_into != name:
            raise click.ClickException(f"{other} is not merged into {name}")
    decider.take(others, "release", {"into": name})


DECISIONS: tuple[click.Command, ...] = (
    _move("accept", "It is to be fixed."),
    _move("plan", "It has a place in the plan."),
    _move("start", "Somebody works on it."),
    ship,
    _move("worked", "The fix worked, as you judge it."),
    _move("did_not_work", "The fix did not work, as you judge it: it is open again."),
    _move("wont_fix", "It will not be fixed. Said so again if it costs twice as much."),
    snooze,
    _move("reopen", "Open again what was shipped or set aside."),
    assign,
    effort,
    rename,
    merge,
    split,
)
