"""Marts of improvement."""

import polars as pl

from opsanalytics.lake.tables import UTC_TIME, Column, Table

FRICTION = Table(
    name="friction",
    description="Friction signals from events. A signal the data cannot support is not available, not zero.",
    order=("signal", "place"),
    columns=(
        Column("signal", pl.String, "error, repeated_attempt, ..., or one of [[friction.custom]].", True),
        Column("title", pl.String, "The signal's name for people.", True),
        Column(
            "place",
            pl.String,
            "Event, page or error the signal was seen at; empty if not available.",
            True,
        ),
        Column("available", pl.Boolean, "Whether the data can support the signal.", True),
        Column("reason", pl.String, "Why not, or how it is defined, with its threshold.", True),
        Column("detail", pl.String, "What else there is to say of it at this place."),
        Column("occurrences", pl.Int64, "How often."),
        Column("persons", pl.Int64, "Distinct persons who met it."),
        Column("n", pl.Int64, "Distinct persons who could have met it."),
        Column("share", pl.Float64, "persons / n."),
        Column("share_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("share_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("first_seen", UTC_TIME, "First occurrence, UTC."),
        Column("last_seen", UTC_TIME, "Last occurrence, UTC."),
        Column("as_of", UTC_TIME, "Events up to here were complete, UTC.", True),
        Column("quality", pl.String, "Quality checks upstream.", True),
    ),
)

PAIN_POINTS = Table(
    name="pain_points",
    description="Places where people get stuck or complain, with what it costs and the evidence.",
    order=("item_id",),
    columns=(
        Column("item_id", pl.String, "Stable id, made of place and signal or of the theme.", True),
        Column("lane", pl.String, "behaviour (measured in conversions) or voice (feedback only).", True),
        Column(
            "status",
            pl.String,
            "finding (harm beyond doubt, multiplicity and overlap considered), watch, or dormant (voice: no "
            "recent message).",
            True,
        ),
        Column("title", pl.String, "What is wrong, in one line.", True),
        Column("funnel", pl.String, "Funnel it hurts."),
        Column("step", pl.Int32, "Step (from 1) that affected persons had reached when they met it."),
        Column("signal", pl.String, "Friction signal."),
        Column("place", pl.String, "Event, page or error."),
        Column("theme_id", pl.String, "Feedback theme that most speaks of it."),
        Column("theme_ids", pl.List(pl.String), "All feedback themes that do, the strongest first."),
        Column("theme_link", pl.String, "Why the theme is thought to speak of it, with n."),
        Column(
            "theme_link_by",
            pl.String,
            "persons (affected persons write of it more often) or words (names agree, weak).",
        ),
        Column(
            "affected",
            pl.Int64,
            "Distinct persons affected (behaviour) or authors of open messages (voice).",
            True,
        ),
        Column(
            "n",
            pl.Int64,
            "Persons who could have been: reached the step, or authors of feedback.",
            True,
        ),
        Column("share", pl.Float64, "affected / n."),
        Column("share_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("share_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column(
            "reach_per_week",
            pl.Float64,
            "Behaviour: affected / weeks from the first of them to the end of mature data, at least one. "
            "Voice: authors and votes for their messages / weeks, within the window; of a dormant item over "
            "its whole life.",
        ),
        Column("reach_low", pl.Float64, "95 % interval of a Poisson count, lower end."),
        Column("reach_high", pl.Float64, "95 % interval of a Poisson count, upper end."),
        Column("votes", pl.Int64, "Voice: votes for open messages within the window."),
        Column("open", pl.Int64, "Voice: messages that are not known to be resolved."),
        Column("kind", pl.String, "Voice: what weighs most of bug, complaint, request, ...; null: unknown."),
        Column("severity", pl.Float64, "Voice: 0 to 1; null: unknown."),
        Column("severity_low", pl.Float64, "Its interval, lower end."),
        Column("severity_high", pl.Float64, "Its interval, upper end."),
        Column("severity_from", pl.String, "ratings (measured), kinds (assumed), or null."),
        Column("rate_affected", pl.Float64, "Share of comparable affected persons who passed the step."),
        Column(
            "rate_others",
            pl.Float64,
            "The same of unaffected persons alike, in the proportions of the affected, had they met what "
            "else these met.",
        ),
        Column(
            "effect",
            pl.Float64,
            "rate_affected - rate_others, -1 to 1: effect on those who met it, beside all other signals.",
        ),
        Column("effect_low", pl.Float64, "95 % interval of effect, lower end."),
        Column(
            "effect_high",
            pl.Float64,
            "Upper end of that interval, or of the 80 % interval of matched_effect if that shows less harm.",
        ),
        Column(
            "matched_effect",
            pl.Float64,
            "Effect against persons still at the step as long after reaching it (Kaplan-Meier); "
            "understates harm where effect may overstate it.",
        ),
        Column(
            "crude_effect", pl.Float64, "Share that passed: affected minus all never affected; no adjustment."
        ),
        Column("effect_alone", pl.Float64, "The same with what other signals did left in."),
        Column(
            "shrunk_effect",
            pl.Float64,
            "Expected effect given all estimates together (empirical Bayes): takes back the winner's curse.",
        ),
        Column(
            "harm_chance",
            pl.Float64,
            "Chance of an effect beyond the least of interest, from shrunk_effect or effect_high: the lower.",
        ),
        Column(
            "systematic_error",
            pl.Float64,
            "Standard error added for what comparisons of people who chose are off beyond chance.",
        ),
        Column("systematic_from", pl.String, "What that rests on: harmless events, or an assumption."),
        Column(
            "e_value",
            pl.Float64,
            "Risk ratio that a hidden cause must have with meeting it and with passing to explain the effect "
            "(VanderWeele and Ding 2017); 1: none needed.",
        ),
        Column("e_value_low", pl.Float64, "The same for the end of the interval nearest to no harm."),
        Column("overlap", pl.Float64, "Share of affected persons with comparable unaffected ones."),
        Column(
            "q_value",
            pl.Float64,
            "Benjamini-Hochberg adjusted one-sided p of effect over all candidates compared.",
        ),
        Column(
            "pass_value",
            pl.Float64,
            "Share of those who pass the step that convert in the end, in the proportions of the affected.",
        ),
        Column(
            "lost_per_week", pl.Float64, "reach_per_week x max(0, -shrunk_effect) x pass_value: conversions."
        ),
        Column("lost_low", pl.Float64, "95 % interval, lower end."),
        Column("lost_high", pl.Float64, "95 % interval, upper end."),
        Column(
            "lost_once",
            pl.Float64,
            "Of a finding: the part of lost_per_week of persons for whom no other finding costs more; adds "
            "up over findings without counting anybody twice.",
        ),
        Column("revenue_per_week", pl.Float64, "lost_per_week x revenue per conversion; null: not known."),
        Column("revenue_low", pl.Float64, "95 % interval, lower end."),
        Column("revenue_high", pl.Float64, "95 % interval, upper end."),
        Column(
            "also_seen_as",
            pl.List(pl.String),
            "Signals that the same persons met at the step and that have no effect of their own.",
        ),
        Column("strata", pl.String, "Within what persons were compared, with the number of groups."),
        Column("rated", pl.Int64, "Voice: messages with a rating."),
        Column(
            "satisfaction",
            pl.Float64,
            "Voice: mean satisfaction, 0 worst to 1 best; null if too few ratings.",
        ),
        Column("messages", pl.Int64, "Feedback messages that speak of it.", True),
        Column("quotes", pl.List(pl.String), "Up to three quotes, redacted.", True),
        Column("quote_ids", pl.List(pl.String), "feedback_id of each quote.", True),
        Column("example_persons", pl.List(pl.String), "Up to five affected persons.", True),
        Column("first_seen", UTC_TIME, "Since when, UTC."),
        Column("last_seen", UTC_TIME, "Last seen, UTC."),
        Column("first_version", pl.String, "Product version in which it was first seen."),
        Column("lately", pl.Int64, "Distinct persons who met it in the last four weeks, at whatever step."),
        Column("before_lately", pl.Int64, "The same of the four weeks before."),
        Column(
            "lately_ratio",
            pl.Float64,
            "Share of active persons who met it, in the last four weeks over the four before; null: there "
            "are no eight weeks, or nobody met it before.",
        ),
        Column("lately_low", pl.Float64, "95 % score interval of the ratio, lower end."),
        Column("lately_high", pl.Float64, "95 % score interval of the ratio, upper end."),
        Column("query", pl.String, "SQL on the published file that lists the affected persons.", True),
        Column(
            "effect_query",
            pl.String,
            "SQL on the published file: effect_alone and effect from the groups that were compared.",
        ),
        Column("caveat", pl.String, "What weakens the estimate; empty if nothing known.", True),
        Column("as_of", UTC_TIME, "Data up to here was complete, UTC.", True),
        Column("quality", pl.String, "Quality checks upstream.", True),
    ),
)

PAIN_POINT_PERSONS = Table(
    name="pain_point_persons",
    description="Who is affected by each behavioural pain point: mature entrants who met it at the step.",
    order=("item_id", "person"),
    columns=(
        Column("item_id", pl.String, "Pain point.", True),
        Column("person", pl.String, "Affected person.", True),
        Column("reached_ts", UTC_TIME, "When the person reached the step, UTC.", True),
        Column("first_ts", UTC_TIME, "When the person first met the signal there, UTC.", True),
        Column("passed", pl.Boolean, "Whether the person passed the step within the funnel's window.", True),
    ),
)

PAIN_POINT_GROUPS = Table(
    name="pain_point_groups",
    description="Groups of persons alike within which the affected of behavioural pain points were compared.",
    order=("item_id", "group"),
    columns=(
        Column("item_id", pl.String, "Pain point.", True),
        Column("group", pl.Int32, "Group, from 1.", True),
        Column("platform", pl.String, "Platform of its persons.", True),
        Column("affected", pl.Int64, "Persons who met it.", True),
        Column("affected_passed", pl.Int64, "Of these, who passed the step.", True),
        Column(
            "affected_taken",
            pl.Float64,
            "Passings that other harmful signals took from them, by the model of all signals (negative).",
            True,
        ),
        Column("others", pl.Int64, "Persons who could have met it and did not.", True),
        Column("others_passed", pl.Int64, "Of these, who passed the step.", True),
        Column("others_taken", pl.Float64, "Passings that other harmful signals took from these.", True),
    ),
)

PAIN_POINT_OVERLAPS = Table(
    name="pain_point_overlaps",
    description="How many persons two behavioural pain points share; a pair has two lines.",
    order=("item_id", "other_id"),
    columns=(
        Column("item_id", pl.String, "Pain point.", True),
        Column("other_id", pl.String, "Another one.", True),
        Column("persons", pl.Int64, "Persons affected by the first.", True),
        Column("shared", pl.Int64, "Of these, persons affected by the other one, too.", True),
        Column("share", pl.Float64, "shared / persons.", True),
    ),
)

BACKLOG = Table(
    name="backlog",
    description="Pain points ranked, with what people decided about them.",
    order=("lane", "rank"),
    columns=(
        Column("item_id", pl.String, "Pain point.", True),
        Column(
            "lane",
            pl.String,
            "behaviour or voice: ranked apart, their scores do not compare.",
            True,
        ),
        Column(
            "rank",
            pl.Int32,
            "Rank within the lane, from 1: open items, then shipped ones, then those set aside.",
            True,
        ),
        Column("title", pl.String, "What is wrong, in one line.", True),
        Column(
            "reach",
            pl.Float64,
            "Persons affected per week (behaviour); authors and votes for them per week (voice).",
            True,
        ),
        Column(
            "impact",
            pl.Float64,
            "Final conversions lost per affected person (behaviour); severity 0 to 1, null: unknown (voice).",
        ),
        Column(
            "value",
            pl.Float64,
            "What it costs per week: final conversions (behaviour), unhappy people (voice); null: not known.",
        ),
        Column("value_low", pl.Float64, "95 % interval of value, lower end."),
        Column("value_high", pl.Float64, "95 % interval of value, upper end."),
        Column("confidence", pl.Float64, "0 to 1; see confidence_reason.", True),
        Column("confidence_reason", pl.String, "What the confidence rests on.", True),
        Column("effort_weeks", pl.Float64, "Person-weeks.", True),
        Column("effort_source", pl.String, "default, or who estimated it.", True),
        Column("ranking", pl.String, "What the score is made of: rice, wsjf, ice or value_per_effort.", True),
        Column("urgency", pl.Float64, "Met in the last four weeks against the four before, 0.5 to 2.", True),
        Column("score", pl.Float64, "rice: reach x impact x confidence / effort_weeks."),
        Column("score_low", pl.Float64, "Lower end of the interval that reach and impact give."),
        Column("score_high", pl.Float64, "Upper end of the interval that reach and impact give."),
        Column(
            "tied",
            pl.Int32,
            "Rank of the first item it cannot be told from, its own if none; open items only.",
        ),
        Column("rank_low", pl.Int32, "Best rank that its score's interval leaves likely (5 % of draws)."),
        Column("rank_high", pl.Int32, "Worst rank that its score's interval leaves likely (5 % of draws)."),
        Column("top_5", pl.Float64, "Chance that it belongs to the first five of its lane; open items only."),
        Column(
            "status",
            pl.String,
            "finding (passes the test), watch (does not), dormant, or gone (the data no longer shows it).",
            True,
        ),
        Column(
            "state",
            pl.String,
            "new, accepted, planned, in_progress, regressed, did_not_work, harmed, shipped, verifying, "
            "worked, wont_fix or snoozed: decided by people; verifying, regressed, harmed, and where nobody "
            "decided it worked and did_not_work, found by data.",
            True,
        ),
        Column("stage", pl.String, "open, shipped, or apart (worked, won't fix, snoozed).", True),
        Column("state_since", UTC_TIME, "Since when it is in that state, UTC; of a new one: first seen."),
        Column("state_by", pl.String, "Who decided that; opsanalytics: found by data; null: nobody yet."),
        Column("owner", pl.String, "Who takes care of it."),
        Column("shipped_on", pl.Date, "Day on which the fix was shipped."),
        Column("snoozed_until", pl.Date, "Day on which it returns."),
        Column("seen", pl.Boolean, "Whether the data still shows it.", True),
        Column("last_seen", UTC_TIME, "Last seen, UTC."),
        Column("merged", pl.List(pl.String), "Items merged into it.", True),
        Column("note", pl.String, "What else there is to say of its state.", True),
        Column("verdict", pl.String, "What is known of its fix, in one line; null: no plan was made."),
        Column("evidence", pl.String, "Link to the evidence in the report, relative.", True),
        Column(
            "evidence_id", pl.String, "Pain point whose numbers it has; null: the data no longer shows it."
        ),
        Column("as_of", UTC_TIME, "Data up to here was complete, UTC.", True),
        Column("quality", pl.String, "Quality checks upstream.", True),
    ),
)

BACKLOG_HISTORY = Table(
    name="backlog_history",
    description="What was decided about items of the backlog, by whom, and what data changed since.",
    order=("item_id", "line"),
    columns=(
        Column("item_id", pl.String, "Item.", True),
        Column("line", pl.Int32, "Order within the item, from 1.", True),
        Column("seq", pl.Int64, "Line of the log of decisions; null: found by data."),
        Column(
            "at", UTC_TIME, "When it was decided, or up to when data was complete that shows it, UTC.", True
        ),
        Column("by", pl.String, "Who decided; opsanalytics: found by data.", True),
        Column("action", pl.String, "accept, plan, start, ship, ..., or seen (found by data).", True),
        Column("state", pl.String, "State after it.", True),
        Column("detail", pl.String, "Owner, effort, reason, date, other items.", True),
        Column("lost_per_week", pl.Float64, "Conversions lost per week, as known then."),
        Column("lost_low", pl.Float64, "95 % interval, lower end."),
        Column("lost_high", pl.Float64, "95 % interval, upper end."),
    ),
)

TRACKER_ISSUES = Table(
    name="tracker_issues",
    description="Issues in trackers about items of the backlog, as last read.",
    order=("tracker", "item_id"),
    columns=(
        Column("tracker", pl.String, "Name of the tracker in the configuration.", True),
        Column("item_id", pl.String, "Item of the backlog.", True),
        Column("standing", pl.String, "linked, pending (in doubt), refused, or gone (deleted there).", True),
        Column("issue", pl.String, "What people call it: #12, WEB-7."),
        Column("url", pl.String, "Where it is."),
        Column("status", pl.String, "open, started, done or dropped, as last read."),
        Column("closed_at", UTC_TIME, "When it was closed, UTC."),
        Column("problem", pl.String, "What the tracker refused or left out."),
    ),
)
