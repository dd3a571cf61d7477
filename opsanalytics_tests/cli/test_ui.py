"""`make ui` serves Dagster with everything loaded, and stops when told to."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from opsanalytics_tests.conftest import ROOT

pytestmark = pytest.mark.slow

LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus
  locationOrLoadError { __typename ... on PythonError { message }
  ... on RepositoryLocation {
    repositories { assetNodes { id } schedules { name } sensors { name } } } } } } } }
"""


def test_the_ui_loads_the_demo_without_error_or_warning(demo: Path) -> None:
    # `make ui` runs this command: see the Makefile.
    assert "demo --ui --home data/demo" in (ROOT / "Makefile").read_text()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    environment.pop("DAGSTER_HOME", None)
    log = demo / "ui.log"
    command = [
        sys.executable,
        "-m",
        "opsanalytics.cli",
        "demo",
        "--ui",
        "--home",
        str(demo),
        "--port",
        str(port),
    ]
    with log.open("w") as out:
        running = subprocess.Popen(
            command, cwd=demo, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            answer = ask(port, running)
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait(timeout=60)
    (entry,) = answer["data"]["workspaceOrError"]["locationEntries"]
    assert entry["name"] == "opsanalytics"
    assert entry["loadStatus"] == "LOADED"
    loaded = entry["locationOrLoadError"]
    assert loaded["__typename"] == "RepositoryLocation", loaded
    (repository,) = loaded["repositories"]
    assert len(repository["assetNodes"]) > 15
    assert {each["name"] for each in repository["sensors"]} == {
        "feedback_inbox",
        "run_failures",
        "orphaned_runs",
    }
    text = log.read_text()
    assert "Warning" not in text, text
    assert "ERROR" not in text, text


def ask(
    port: int, running: subprocess.Popen[bytes]
) -> dict[str, dict[str, dict[str, list[dict[str, object]]]]]:
    """The locations, once the server answers."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and running.poll() is None:
        try:
            answer = requests.post(f"http://127.0.0.1:{port}/graphql", json={"query": LOCATIONS}, timeout=60)
        except requests.ConnectionError:
            time.sleep(1)
            continue
        return answer.json()  # type: ignore[no-any-return]
    raise AssertionError("the web server did not answer")
