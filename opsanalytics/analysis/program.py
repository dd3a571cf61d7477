"""The program as an input: other code or another library may compute other numbers from the same data."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import opsanalytics

LAYERS = ("analysis", "behavior", "feedback", "identity", "improvement", "lake", "quality", "reports")
"""Packages whose code decides what a mart or a page says."""
SUFFIXES = (".py", ".j2", ".css", ".js", ".toml")
LIBRARIES = ("jinja2", "numba", "numpy", "plotly", "polars", "scikit-learn", "scipy", "statsmodels")


@cache
def program_version() -> str:
    """Hash of the code of LAYERS and of the versions of LIBRARIES; the same until something is installed."""
    digest = hashlib.sha256()
    root = Path(opsanalytics.__file__).parent
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*")):
            if path.suffix in SUFFIXES:
                digest.update(f"{path.relative_to(root).as_posix()}\n".encode())
                digest.update(path.read_bytes())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()[:16]
