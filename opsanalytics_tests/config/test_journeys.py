"""Sessions, paths and cohorts in opsanalytics.toml, and the names that join them."""

from pathlib import Path

import pytest

from opsanalytics.behavior.cohort_spec import Cohort
from opsanalytics.behavior.spec import Funnel
from opsanalytics.config import ConfigError, Settings, load_settings

PROJECT = '[project]\nname = "Shop"\nstart = 2026-01-01\n'
WHOLE = """
[[funnels]]
name = "buy"
steps = ["sign_up", "purchase"]
window = "7d"
among = "loyal"

[sessions]
gap = "20m"

[[paths]]
name = "lost"
funnel = "buy"

[[cohorts]]
name = "loyal"
where = { any = [{ did = "purchase", times = 3, within = "30d" }, { cohort = "staff" }] }

[[cohorts]]
name = "staff"
where = { property = "role", value = "staff" }

[[segments]]
name = "loyalty"
cohort = "loyal"
"""


def load(folder: Path, text: str) -> Settings:
    path = folder / "opsanalytics.toml"
    path.write_text(PROJECT + text, encoding="utf-8")
    return load_settings(path)


def test_names_are_replaced_by_what_they_stand_for(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE)
    (funnel,), (path,), (segment,) = settings.funnels, settings.paths, settings.segments
    assert isinstance(funnel.among, Cohort)
    assert isinstance(path.funnel, Funnel)
    assert path.funnel.among == funnel.among == segment.cohort == settings.cohorts[0]
    assert "staff" in funnel.model_dump_json()


def test_the_id_tells_the_rules_of_the_cohort(tmp_path: Path) -> None:
    first, second = (
        load(tmp_path, text).funnels[0] for text in (WHOLE, WHOLE.replace("times = 3", "times = 4"))
    )
    assert first.definition_id != second.definition_id


def test_one_table_or_several(tmp_path: Path) -> None:
    one = load(tmp_path, '[sessions]\ngap = "1h"\n').sessions
    several = load(
        tmp_path, '[[sessions]]\ngap = "1h"\n\n[[sessions]]\nname = "days"\nmidnight = true\n'
    ).sessions
    assert one == several[:1]
    assert [each.name for each in several] == ["sessions", "days"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[paths]]\nfunnel = "buy"\n', "paths: funnel names 'buy', but the configuration has none"),
        ('[[segments]]\nname = "x"\ncohort = "y"\n', "segment x: cohort names 'y'"),
        ('[[segments]]\nname = "x"\n', "give a `property` or a `cohort`"),
        ('[[cohorts]]\nwhere = { cohort = "cohort" }\n', "cohort -> cohort is a circle"),
        ('[[cohorts]]\nwhere = { did = "x", withn = "1d" }\n', "withn"),
        ('[sessions]\ngap = "1 fortnight"\n', "'1 fortnight' is not a length of time"),
        ("[[sessions]]\n\n[[sessions]]\n", "the name 'sessions' is used twice"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
