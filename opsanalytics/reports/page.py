"""The page of one week."""

from opsanalytics.reports.backlog_sections import backlog_view
from opsanalytics.reports.behavior_sections import funnel_views, retention_views
from opsanalytics.reports.data import ReportData, Section
from opsanalytics.reports.data_section import data_view
from opsanalytics.reports.fixes_section import fixes_view
from opsanalytics.reports.quality_section import quality_view
from opsanalytics.reports.rendering import page_scripts, render
from opsanalytics.reports.states import section_states, worst
from opsanalytics.reports.voice_sections import friction_view, themes_view

SECTION_TITLES: dict[Section, str] = {
    "funnels": "funnels",
    "retention": "retention",
    "behaviour": "backlog measured in conversions",
    "voice": "backlog heard in feedback",
    "themes": "feedback themes",
    "friction": "friction signals",
}


def render_week(data: ReportData) -> str:
    """One self-contained HTML page. Equal input gives equal bytes.

    Sections whose blocking checks failed show the reason instead of their numbers.
    """
    states = section_states(data)
    withheld = [
        {"title": SECTION_TITLES[section], "reasons": state.reasons}
        for section, state in states.items()
        if state.withheld
    ]
    return render(
        "week.html.j2",
        scripts=page_scripts(),
        data=data,
        states=states,
        state=worst(states),
        withheld=withheld,
        withheld_reasons=list(
            dict.fromkeys(reason for state in states.values() if state.withheld for reason in state.reasons)
        ),
        funnels=[] if states["funnels"].withheld else funnel_views(data),
        retentions=[] if states["retention"].withheld else retention_views(data),
        backlog=backlog_view(data, states),
        fixes=fixes_view(data, states),
        themes=themes_view(data),
        friction=friction_view(data),
        quality=quality_view(data),
        view=data_view(data),
    )
