import subprocess
import sys
from dataclasses import replace

import pytest

from opsanalytics.quality.rules import EVENT_RULES, FEEDBACK_RULES, Rule, rules_version


def test_rules_are_known_without_importing_great_expectations() -> None:
    code = (
        "import sys; import opsanalytics.quality.rules, opsanalytics.quality.validate, "
        "opsanalytics.quality.results; print('great_expectations' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("rules", [EVENT_RULES, FEEDBACK_RULES])
def test_names_are_unique_and_fit_a_dagster_check(rules: tuple[Rule, ...]) -> None:
    names = [rule.name for rule in rules]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_only_errors_block() -> None:
    assert {rule.severity for rule in EVENT_RULES if rule.blocking} == {"error"}
    assert {rule.severity for rule in EVENT_RULES if not rule.blocking} == {"warning"}


@pytest.mark.parametrize(
    "change", [{"mostly": 0.5}, {"severity": "warning"}, {"kwargs": {"column": "other"}}, {"name": "other"}]
)
def test_any_change_of_a_rule_changes_the_version(change: dict[str, object]) -> None:
    rule = EVENT_RULES[0]
    assert rules_version((rule,), {}) != rules_version((replace(rule, **change),), {})


def test_a_parameter_changes_the_version() -> None:
    assert rules_version(EVENT_RULES, {"sources": ["a"]}) != rules_version(EVENT_RULES, {"sources": ["b"]})
