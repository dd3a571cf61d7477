import json
from pathlib import Path

import pytest

from opsanalytics.config import ConfigError, Settings, load_settings

MAIN = """
[project]
name = "x"
start = 2026-01-01

[quality]
tracking_plan = "plan.toml"
suites = "expectations"
"""
PLAN = """
[[events]]
name = "buy"

[events.properties]
amount = { type = "number", required = true }
"""
SUITE = {
    "name": "events",
    "expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "user_id"}}],
}


def load(folder: Path, *, main: str = MAIN, plan: str = PLAN, suite: object = SUITE) -> Settings:
    (folder / "opsanalytics.toml").write_text(main)
    (folder / "plan.toml").write_text(plan)
    (folder / "expectations").mkdir(exist_ok=True)
    text = suite if isinstance(suite, str) else json.dumps(suite)
    (folder / "expectations" / "events.json").write_text(text)
    return load_settings(folder / "opsanalytics.toml")


def problems(folder: Path, **files: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, **files)  # type: ignore[arg-type]
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_plan_and_suites_are_read_from_the_files_named(tmp_path: Path) -> None:
    quality = load(tmp_path).quality
    assert quality.tracking_plan.by_name["buy"].properties["amount"].required
    assert [suite.table for suite in quality.suites] == ["events"]


def test_a_mistake_in_the_plan_names_its_file_line_and_key(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, plan=PLAN.replace("number", "nubmer"))
    assert told.startswith("plan.toml:6: events[0].properties.amount.type: 'nubmer'")


def test_an_unknown_key_in_the_plan_suggests_the_nearest(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, plan=PLAN.replace("required", "requierd"))
    assert "plan.toml:6: events[0].properties.amount.requierd" in told
    assert "'required'" in told


def test_a_mistake_in_a_suite_names_its_file_and_key(tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(SUITE))
    wrong["expectations"][0]["severity"] = "fatal"
    (told,) = problems(tmp_path, suite=wrong)
    assert told.startswith("expectations/events.json: expectations[0].severity: 'fatal'")


def test_a_column_that_does_not_exist_is_named(tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(SUITE).replace("user_id", "usr_id"))
    (told,) = problems(tmp_path, suite=wrong)
    assert told.startswith("expectations/events.json: expectations")
    assert "'usr_id'" in told


def test_a_suite_that_is_no_json_names_the_line(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, suite='{\n "expectations": [,]}')
    assert told.startswith("expectations/events.json:2: not valid JSON")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"plan.toml"', '"plna.toml"', "opsanalytics.toml:7: quality.tracking_plan: there is no"),
        ('"expectations"', '"expectation"', "opsanalytics.toml:8: quality.suites: there is no"),
        ('"plan.toml"', "[]", "opsanalytics.toml:7: quality.tracking_plan: write the name of a TOML file"),
        ('"expectations"', '"plan.toml"', "is not a folder"),
    ],
)
def test_a_file_that_is_not_there_is_told_where_it_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    (told,) = problems(tmp_path, main=MAIN.replace(old, new))
    assert message in told
