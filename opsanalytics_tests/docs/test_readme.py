"""Every command of the README is one that a test or CI runs."""

import re
from pathlib import Path

import pytest

from opsanalytics.cli.main import COMMANDS
from opsanalytics_tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COVERED = {
    "make demo": ".ci/run",
    "make test": ".ci/run",
    "make lint": ".ci/run",
    "make real DATA=../shared/data/stackexchange_history_meta": ".ci/run",
    "make ui": "opsanalytics_tests/cli/test_ui.py",
    "make clean": "opsanalytics_tests/docs/test_readme.py",
    "pip install .": ".ci/run",
    "opsanalytics init": ".ci/run",
    "opsanalytics check": "opsanalytics_tests/assets/test_pipeline.py",
    "opsanalytics run": "opsanalytics_tests/assets/test_pipeline.py",
    "opsanalytics backlog": "opsanalytics_tests/cli/test_results.py",
    "opsanalytics backlog accept PP-1a2b3c4d": "opsanalytics_tests/cli/test_backlog.py",
    "opsanalytics backlog ship PP-1a2b3c4d --on 2026-11-03": "opsanalytics_tests/cli/test_backlog.py",
    "opsanalytics themes list": "opsanalytics_tests/cli/test_themes.py",
    'opsanalytics themes rename TH-1 "Invoices in PDF"': "opsanalytics_tests/cli/test_themes.py",
    "opsanalytics export FILE": "opsanalytics_tests/cli/test_results.py",
    "opsanalytics docs": "opsanalytics_tests/cli/test_results.py",
    "opsanalytics quarantine list": "opsanalytics_tests/cli/test_people.py",
    "opsanalytics quarantine show": "opsanalytics_tests/cli/test_people.py",
    "opsanalytics quarantine replay": "opsanalytics_tests/cli/test_people.py",
    "opsanalytics person ID": "opsanalytics_tests/cli/test_people.py",
    "opsanalytics forget PERSON": "opsanalytics_tests/cli/test_people.py",
    "opsanalytics compare-sources": "opsanalytics_tests/cli/test_results.py",
    "opsanalytics funnel activation --preset mixpanel": "opsanalytics_tests/cli/test_questions.py",
    "opsanalytics retention weekly --csv": "opsanalytics_tests/cli/test_questions.py",
    "opsanalytics lifecycle weekly": "opsanalytics_tests/cli/test_activity.py",
    "opsanalytics stickiness weekly": "opsanalytics_tests/cli/test_activity.py",
    "opsanalytics usage-interval daily": "opsanalytics_tests/cli/test_activity.py",
    "opsanalytics trends sales --breakdown platform": "opsanalytics_tests/cli/test_activity.py",
    "opsanalytics reconcile activation": "opsanalytics_tests/cli/test_questions.py",
    "opsanalytics tracking-plan infer": "opsanalytics_tests/cli/test_tracking.py",
    "opsanalytics sessions NAME": "opsanalytics_tests/cli/test_journeys.py",
    "opsanalytics paths NAME": "opsanalytics_tests/cli/test_journeys.py",
    "opsanalytics diagnose FUNNEL": "opsanalytics_tests/cli/test_diagnosis.py",
    "opsanalytics cohort NAME": "opsanalytics_tests/cli/test_journeys.py",
    "opsanalytics ui": "opsanalytics_tests/cli/test_ui.py",
    "opsanalytics backlog verifications": "opsanalytics_tests/cli/test_backlog_verification.py",
    "opsanalytics backlog sync": "opsanalytics_tests/cli/test_backlog_trackers.py",
}
"""Command of the README -> the file that runs it."""


def commands() -> list[str]:
    """Lines of shell blocks and inline code that are commands, without comments and settings."""
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`((?:make|opsanalytics|pip) [^`]+)`", README)
    return sorted({line for line in lines if line and not line.startswith(("export ", "cd "))})


def test_every_command_is_covered() -> None:
    assert set(commands()) <= set(COVERED), "add the command to COVERED, with the file that runs it"
    assert set(COVERED) <= set(commands()), "no longer in the README"


@pytest.mark.parametrize(("command", "file"), sorted(COVERED.items()))
def test_the_covering_file_runs_the_command(command: str, file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    name, _, rest = command.partition(" ")
    word = rest.split(" ")[0]
    patterns = {"make": rf"make\b.*\b{word}\b", "pip": r"pip install", "opsanalytics": rf"\b{word}\b"}
    assert re.search(patterns[name], text), f"{file} does not run {command!r}"


def test_every_file_that_the_readme_points_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_subcommand_is_in_the_readme() -> None:
    assert {name for name in COMMANDS if f"opsanalytics {name}" not in README} == {"demo"}, (
        "`opsanalytics demo` is reached by make demo and make real"
    )


def test_make_clean_keeps_what_is_committed(tmp_path: Path) -> None:
    import shutil
    import subprocess

    shutil.copy(ROOT / "Makefile", tmp_path)
    data = tmp_path / "data"
    (data / "demo" / "lake").mkdir(parents=True)
    (data / "README.md").write_text("kept")
    (tmp_path / ".venv").mkdir()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert sorted(path.name for path in data.iterdir()) == ["README.md"]
    assert not (tmp_path / ".venv").exists()
