"""What all tests share: real data, a finished demo run, the command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile("laptop", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "laptop")

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI") == "true"


def skip_or_fail(reason: str) -> None:
    """Skip on a laptop; fail where everything must be there."""
    if IN_CI:
        pytest.fail(f"CI=true, but {reason}")
    pytest.skip(reason)


def real(name: str = "") -> Path:
    """A real data set or a file of one (SOURCES.md beside them); without it the test is skipped or fails."""
    path = Path(os.environ.get("OPSANALYTICS_REAL_DATA", ROOT.parent / "shared" / "data")) / name
    if not path.exists():
        skip_or_fail(f"there is no {path} (set OPSANALYTICS_REAL_DATA)")
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets."""
    return real()


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def run_command(
    *arguments: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout: float = 600
) -> Ran:
    """Run `opsanalytics ARGUMENTS` in `cwd` as a user would."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("OPSANALYTICS_CONFIG")
    }
    environment.pop("DAGSTER_HOME", None)
    environment |= {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"} | (env or {})
    done = subprocess.run(
        [sys.executable, "-m", "opsanalytics.cli", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def opsanalytics() -> Run:
    """The command line."""
    return run_command


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Workspace of a finished `opsanalytics demo` on the generated product. Treat it as read-only."""
    folder = tmp_path_factory.mktemp("demo")
    ran = run_command("demo", "--home", folder, cwd=folder)
    assert ran.code == 0, ran.out + ran.err
    return folder
