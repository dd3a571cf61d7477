"""Compiled code is kept where it can be, and the engines work where it cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import opsanalytics.behavior

MODULES = ("behavior/kernels.py", "behavior/kernels_rows.py", "compilation.py")
"""Import nothing else of the package, so copies of them run alone in any folder."""
SCRIPT = """
import logging, os, numpy as np
logging.basicConfig()
from opsanalytics.behavior.kernels import fold_ordered
zero, reached, times = np.zeros(1, int), np.zeros(1, np.int32), np.zeros((1, 2), int)
rows = np.arange(2), np.array([1, 2], np.int32)
fold_ordered(*rows, zero, zero, np.full(1, 2), zero, 5, 2, reached, times)
assert (reached.tolist(), times.tolist()) == ([2], [[0, 1]])
if os.environ.get("SECOND"):
    import numba
    assert numba.njit(lambda values: np.sort(values).sum())(np.arange(3)) == 3
"""


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = Path(opsanalytics.behavior.__file__).parents[1]
    for module in MODULES:
        copy = folder / "opsanalytics" / module
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.with_name("__init__.py").touch()
            shutil.copy(own / module, copy)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    return subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT],
        cwd=folder,
        env=clean | {"PYTHONPATH": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_compiled_code_is_kept(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("kernels.fold_ordered*.nbc"))


def test_what_another_file_defines_is_never_stale(tmp_path: Path) -> None:
    run(tmp_path)
    other = tmp_path / "opsanalytics" / "behavior" / "kernels_rows.py"
    other.write_text(other.read_text().replace("NEVER = -(1 << 62)", "NEVER = -(1 << 61)"))
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("kernels.fold_ordered*.nbc"))) == 2


def test_kept_code_is_used_and_what_is_compiled_beside_it_works(tmp_path: Path) -> None:
    first = run(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
    again = run(tmp_path, SECOND="1")
    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("kernels.*.nb?")} == kept


def test_without_a_place_to_keep_it_the_kernels_compile_and_say_so(tmp_path: Path) -> None:
    # As in a read-only container: neither beside the file nor in the user's folder can Numba write.
    (tmp_path / "opsanalytics" / "behavior").mkdir(parents=True)
    (tmp_path / "opsanalytics" / "behavior" / "__pycache__").touch()
    done = run(tmp_path, HOME="/dev/null", XDG_CACHE_HOME="/dev/null/cache")
    assert done.returncode == 0, done.stderr
    assert "set NUMBA_CACHE_DIR" in done.stderr


def test_importing_the_engines_does_not_import_numba_or_statsmodels() -> None:
    script = (
        "import sys; import opsanalytics.behavior.funnel, opsanalytics.behavior.retention, "
        "opsanalytics.behavior.funnel_breakdown, opsanalytics.behavior.funnel_trend, "
        "opsanalytics.behavior.describe; "
        "assert not {'numba', 'statsmodels', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
