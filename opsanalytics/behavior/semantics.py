"""How this project and other tools count the same funnel, as named switches.

A preset evaluates a definition as that tool would, by what its code and documents say
(`docs/semantics.md`). `opsanalytics` is the default; every other preset differs in the switches shown.
"""

import hashlib
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal

Mode = Literal["strict_order", "strict_deduplication", "strict_increase", "strict_once", "allow_reentry"]
MODES: tuple[Mode, ...] = (
    "strict_order",
    "strict_deduplication",
    "strict_increase",
    "strict_once",
    "allow_reentry",
)
"""Of ClickHouse's `windowFunnel`."""


@dataclass(frozen=True)
class Semantics:
    """Switches that a definition leaves open. The defaults are this project's."""

    name: str = "opsanalytics"
    maturity: bool = True
    """Keep attempts whose window is open apart; otherwise they count as they stand."""
    date_range: Literal["entry", "all_steps"] | None = None
    """Overrides the definition's `date_range`."""
    entries: Literal["all", "first"] = "all"
    """Whether only a person's first entry in the range starts an attempt."""
    of_equals: Literal["earliest_completion", "earliest_entry"] = "earliest_completion"
    """Of attempts that get equally far: the one that gets there earliest (of these the one that entered
    latest), or the one that entered earliest."""
    unordered_entry: Literal["latest", "earliest"] = "latest"
    """Of unordered attempts that complete together: the one that entered latest or earliest."""
    grace: timedelta = timedelta(0)
    """Neighbouring steps may come in either order when no further apart than this."""
    one_event: Literal["one_step", "any_steps"] = "one_step"
    """Whether one event may serve several steps of an attempt."""
    exclusions: Literal["vanish", "drop_off"] = "vanish"
    """An excluded attempt removes the person unless another gets as far, or counts as dropped where the
    excluded event came."""
    tied_exclusions: bool = True
    """Whether an excluded event counts at the instant of another event of the funnel."""
    strict_ties: bool = False
    """Strict order overlooks instants with several kinds of events."""
    strict_repeats: bool = False
    """Strict order overlooks repeats of the step just made."""
    hold: Literal["best", "first", "pairs"] = "best"
    """A property held constant: the value that gets furthest counts, that of the first entry, or each
    pair of person and value."""
    zero_gaps: bool = True
    """Whether times of zero seconds between steps are part of the averages."""
    scan: Literal["attempts", "window_funnel"] = "attempts"
    """Evaluate attempt by attempt, or by ClickHouse's scan of (time, condition) pairs."""
    modes: frozenset[Mode] = frozenset()
    """Modes of `window_funnel`."""

    def __post_init__(self) -> None:
        unknown = sorted(self.modes - set(MODES))
        if unknown:
            raise ValueError(f"preset {self.name!r}: unknown modes {unknown}; there are {', '.join(MODES)}")
        if self.modes and self.scan != "window_funnel":
            raise ValueError(f"preset {self.name!r}: modes belong to scan = 'window_funnel'")
        if "allow_reentry" in self.modes and "strict_order" not in self.modes:
            raise ValueError(f"preset {self.name!r}: allow_reentry needs strict_order")

    def differences(self, other: "Semantics") -> dict[str, Any]:
        """Switches, name apart, in which `other` differs: its values by name."""
        return {
            one.name: getattr(other, one.name)
            for one in fields(self)
            if one.name != "name" and getattr(self, one.name) != getattr(other, one.name)
        }

    def identified(self, definition_id: str) -> str:
        """The definition's id, or with another preset than `opsanalytics` a hash of it and the switches."""
        switches = self.identity()
        if not switches:
            return definition_id
        return hashlib.sha256(f"{definition_id}:{switches}".encode()).hexdigest()[:12]

    def identity(self) -> str:
        """Everything that can change a number, as text; equal for equal switches."""
        changed = OPSANALYTICS.differences(self)
        return ";".join(f"{name}={_plain(changed[name])}" for name in sorted(changed))


def _plain(value: Any) -> str:
    return ",".join(sorted(value)) if isinstance(value, frozenset) else str(value)


OPSANALYTICS = Semantics()
_MIXPANEL = Semantics(
    name="mixpanel",
    maturity=False,
    date_range="entry",
    entries="first",
    grace=timedelta(seconds=2),
    exclusions="drop_off",
    hold="first",
)
PRESETS: dict[str, Semantics] = {
    preset.name: preset
    for preset in (
        OPSANALYTICS,
        Semantics(
            name="posthog",
            maturity=False,
            date_range="all_steps",
            unordered_entry="earliest",
            tied_exclusions=False,
            strict_ties=True,
            strict_repeats=True,
            zero_gaps=False,
        ),
        _MIXPANEL,
        replace(_MIXPANEL, name="mixpanel_optimized", entries="all", hold="best"),
        Semantics(
            name="amplitude",
            maturity=False,
            date_range="entry",
            of_equals="earliest_entry",
            grace=timedelta(seconds=1),
            exclusions="drop_off",
            strict_ties=True,
            hold="pairs",
        ),
        Semantics(
            name="clickhouse",
            maturity=False,
            date_range="all_steps",
            one_event="any_steps",
            scan="window_funnel",
        ),
    )
}


def preset_named(preset: str | Semantics) -> Semantics:
    """A preset by name, or the switches themselves.

    ClickHouse's modes follow its name: `clickhouse:strict_order,strict_increase`.

    Raises:
        TypeError, ValueError: there is no such preset or mode.
    """
    if isinstance(preset, Semantics):
        return preset
    if not isinstance(preset, str):
        raise TypeError(f"preset: {preset!r} is not one of {', '.join(PRESETS)}, nor a Semantics")
    name, _, modes = preset.partition(":")
    if name not in PRESETS:
        raise ValueError(f"preset: {preset!r} is not one of {', '.join(PRESETS)}")
    known = PRESETS[name]
    if not modes:
        return known
    # `strict` is what older versions of ClickHouse call strict_deduplication.
    written = (mode.strip() for mode in modes.split(","))
    wanted: Any = frozenset("strict_deduplication" if mode == "strict" else mode for mode in written)
    return replace(known, name=preset, modes=wanted)
