"""Marts of drop-off diagnosis: the contract with reports, notebooks and the published file."""

import polars as pl

from opsanalytics.behavior.tables import PROVENANCE
from opsanalytics.lake.tables import Column, Table

DIAGNOSIS = (
    Column("diagnosis", pl.String, "Name of the definition.", True),
    Column("funnel", pl.String, "Name of the funnel.", True),
    Column("step", pl.Int32, "Step after which people drop out, from 1.", True),
)

DROP_OFF_STEPS = Table(
    name="drop_off_steps",
    description="The steps whose drop-off is diagnosed: who was at risk, and what was looked at.",
    order=("diagnosis",),
    columns=(
        *DIAGNOSIS,
        Column("step_name", pl.String, "Name of that step.", True),
        Column("reached", pl.Int64, "Persons whose first attempt is mature and made the step.", True),
        Column("dropped", pl.Int64, "Of these, persons who did not go on in its window.", True),
        Column(
            "landmark_seconds",
            pl.Float64,
            "What happened within so long after the step counts, seconds; null: nobody to compare.",
        ),
        Column("at_risk", pl.Int64, "Persons who had not gone on by the landmark.", True),
        Column("silent", pl.Int64, "Of these, persons without any event between step and landmark.", True),
        Column("silent_dropped", pl.Int64, "Of the silent, persons who dropped out.", True),
        Column("comparisons", pl.Int64, "Rows of drop_off_diagnosis.", True),
        Column("findings", pl.Int64, "Of these, findings.", True),
        *PROVENANCE,
    ),
)

DROP_OFF_DIAGNOSIS = Table(
    name="drop_off_diagnosis",
    description="What goes with dropping out after a step, among comparable persons; one row a comparison.",
    order=("diagnosis", "verdict", "effect", "kind", "name", "value"),
    columns=(
        *DIAGNOSIS,
        Column("step_name", pl.String, "Name of that step.", True),
        Column(
            "kind",
            pl.String,
            "segment, property, person, before (event before the step), event (after it), repeated (event "
            "often, against less often) or a friction signal.",
            True,
        ),
        Column("name", pl.String, "Event, property, segment, or what reports call the signal.", True),
        Column(
            "value", pl.String, "Value of the property or segment; place of the signal; else empty.", True
        ),
        Column(
            "verdict",
            pl.String,
            "drops_more or stays_more (findings), unclear (a cross-check disagrees), no_finding.",
            True,
        ),
        Column(
            "landmark_seconds",
            pl.Float64,
            "What happened within so long after the step counts, seconds; null: known at the step.",
        ),
        Column("n", pl.Int64, "Persons compared: at risk at the landmark and seen by then.", True),
        Column("n_with", pl.Int64, "Of these, with it.", True),
        Column("passed_with", pl.Int64, "Of these, went on in the window.", True),
        Column("passed_without", pl.Int64, "Of the n - n_with others, went on.", True),
        Column("rate_with", pl.Float64, "Share with it that went on, weighted over strata."),
        Column("rate_without", pl.Float64, "The same of comparable persons without it."),
        Column("effect", pl.Float64, "rate_with - rate_without: Mantel-Haenszel risk difference."),
        Column("effect_low", pl.Float64, "95 % interval of effect (Sato 1989), lower end."),
        Column("effect_high", pl.Float64, "95 % interval of effect, upper end."),
        Column("odds_ratio", pl.Float64, "Mantel-Haenszel odds ratio of going on."),
        Column(
            "odds_low", pl.Float64, "95 % interval of odds_ratio (Robins, Breslow, Greenland), lower end."
        ),
        Column("odds_high", pl.Float64, "95 % interval of odds_ratio, upper end."),
        Column(
            "q_value",
            pl.Float64,
            "Cochran-Mantel-Haenszel test, the largest p with its cross-check; adjusted over the diagnosis.",
        ),
        Column(
            "homogeneity_p",
            pl.Float64,
            "Breslow-Day test that the odds ratio is the same in all strata; small: it depends on them.",
        ),
        Column("crude_effect", pl.Float64, "Difference without strata."),
        Column(
            "confounding",
            pl.String,
            "reversed: the crude difference points the other way (Simpson); explained: of a crude difference "
            "at p < 0.05 less than half is left among comparable persons, and fails the test; else none.",
            True,
        ),
        Column("overlap", pl.Float64, "Share of n_with that had comparable persons."),
        Column(
            "active_effect",
            pl.Float64,
            "Cross-check: the effect among equally active persons; null: no landmark.",
        ),
        Column(
            "matched_effect",
            pl.Float64,
            "Against persons still there at the moment it was met (time-matched); only of findings.",
        ),
        Column("matched_low", pl.Float64, "95 % interval of matched_effect, lower end."),
        Column("matched_high", pl.Float64, "95 % interval of matched_effect, upper end."),
        Column(
            "naive_odds_ratio",
            pl.Float64,
            "Odds ratio of going on over unequal observation, as correlation reports count; for comparison.",
        ),
        Column("strata", pl.String, "Within what persons were compared.", True),
        *PROVENANCE,
    ),
)

DROP_OFF_NEXT = Table(
    name="drop_off_next",
    description="What people who dropped out after a step did instead, beside those who went on later.",
    order=("diagnosis", "event"),
    columns=(
        *DIAGNOSIS,
        Column("event", pl.String, "First event after the landmark; (nothing), (other).", True),
        Column("n", pl.Int64, "Persons who dropped out.", True),
        Column("count", pl.Int64, "Of these, whose next event it was.", True),
        Column("rate", pl.Float64, "count / n."),
        Column("rate_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("rate_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("other_n", pl.Int64, "Persons who went on after the landmark.", True),
        Column("other_count", pl.Int64, "Of these, whose next event it was, later steps left out.", True),
        Column("other_rate", pl.Float64, "other_count / other_n."),
        Column("difference", pl.Float64, "rate - other_rate."),
        Column("difference_low", pl.Float64, "Newcombe 95 % interval of difference, lower end."),
        Column("difference_high", pl.Float64, "Newcombe 95 % interval of difference, upper end."),
        Column("q_value", pl.Float64, "Benjamini-Hochberg adjusted p over the events of the diagnosis."),
        *PROVENANCE,
    ),
)
