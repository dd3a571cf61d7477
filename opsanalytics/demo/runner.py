"""`opsanalytics demo`: a workspace folder, the vendors' servers, and the ordinary pipeline on top.

The pipeline knows nothing of the demo: it reads an ordinary configuration whose sources point to the
local server, fetches over HTTP with the production client, and picks feedback up from its inbox.
"""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from opsanalytics.config import Settings, load_settings
from opsanalytics.demo.datasets import Dataset, read_dataset
from opsanalytics.demo.product import generate
from opsanalytics.demo.simulator import AmplitudeProject, MixpanelProject, VendorSimulator, drop_feedback
from opsanalytics.lake.files import write_json, write_text

CREDENTIALS: Mapping[str, str] = {
    "DEMO_MIXPANEL_USERNAME": "demo-service-account",
    "DEMO_MIXPANEL_SECRET": "demo-secret",
    "DEMO_AMPLITUDE_API_KEY": "demo-api-key",
    "DEMO_AMPLITUDE_SECRET_KEY": "demo-secret-key",
}
"""They open nothing but the simulator on this machine."""

GENERATED = "generated.toml"
FIRST_PORT = 8651


class DemoError(RuntimeError):
    """The demo cannot be set up; the message says what to do."""


@dataclass(frozen=True)
class Workspace:
    """A prepared demo: its configuration and the server that plays the vendors."""

    config: Path
    settings: Settings
    simulator: VendorSimulator
    feedback_files: list[Path]
    generated: bool


def prepare(folder: Path, data: Path | None = None) -> Workspace:
    """Make `folder` a workspace for the generated product, or for the data set in the folder `data`.

    Writes opsanalytics.toml, feedback dumps and, for the generated product, truth.json. The server is
    not started yet. Running it again on the same folder changes nothing.

    Raises:
        DemoError: there is no configuration for this data set.
        DatasetError: the data set cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update({name: os.environ.get(name, value) for name, value in CREDENTIALS.items()})
    port = _port(folder)
    if data is None:
        return _generated(folder, port)
    return _dataset(folder, port, data, read_dataset(data))


def days(settings: Settings) -> tuple[date, date]:
    """The days to pull: all of them."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return settings.project.start, min(settings.project.end or yesterday, yesterday)


def _generated(folder: Path, port: int) -> Workspace:
    product = generate()
    config = _write_config(folder, GENERATED, port)
    settings = load_settings(config)
    write_json(folder / "truth.json", product.truth)
    # The product's last day is the last one pulled: phones have uploaded everything by then.
    after = datetime.combine(days(settings)[1] + timedelta(days=1), time(), UTC)
    simulator = VendorSimulator(
        MixpanelProject(product.web_events),
        AmplitudeProject(product.mobile_events, uploads_until=after),
        port=port,
    )
    dropped = drop_feedback(product.feedback, settings.home.inbox("survey"), name="survey")
    _age(dropped, settings)
    return Workspace(config, settings, simulator, dropped, generated=True)


def _dataset(folder: Path, port: int, data: Path, dataset: Dataset) -> Workspace:
    template = f"{data.resolve().name}.toml"
    if not files("opsanalytics.demo").joinpath("configs", template).is_file():
        known = sorted(
            each.name.removesuffix(".toml")
            for each in files("opsanalytics.demo").joinpath("configs").iterdir()
            if each.name.endswith(".toml") and each.name != GENERATED
        )
        raise DemoError(
            f"there is no configuration for the data set {data.resolve().name!r}; known are "
            f"{', '.join(known)}. Add opsanalytics/demo/configs/{template} with its funnels and retention."
        )
    config = _write_config(folder, template, port)
    settings = load_settings(config)
    # A dump has each event once and all of them at once: nothing late, nothing twice.
    simulator = VendorSimulator(
        MixpanelProject(dataset.events, duplicate_share=0.0, late_share=0.0), port=port
    )
    dropped: list[Path] = []
    if dataset.feedback is not None:
        dropped = drop_feedback(
            dataset.feedback, settings.home.inbox("feedback"), name="feedback", split="whole"
        )
        _age(dropped, settings)
    return Workspace(config, settings, simulator, dropped, generated=False)


def _age(dropped: list[Path], settings: Settings) -> None:
    """Date the dumps to the end of the last day: a file changed just now may still be being written."""
    moment = datetime.combine(days(settings)[1], time(23, 59), UTC).timestamp()
    for path in dropped:
        os.utime(path, (moment, moment))


def _write_config(folder: Path, template: str, port: int) -> Path:
    text = files("opsanalytics.demo").joinpath("configs", template).read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701  TOML, not HTML
    path = (folder / "opsanalytics.toml").resolve()
    write_text(path, environment.from_string(text).render(base_url=f"http://127.0.0.1:{port}"))
    return path


def _port(folder: Path) -> int:
    """The port this workspace used before if it is free, else another free one."""
    memory = folder / ".simulator.json"
    wanted = json.loads(memory.read_text())["port"] if memory.exists() else FIRST_PORT
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
        write_json(memory, {"port": chosen})
        return chosen
    raise DemoError("no free port on 127.0.0.1 for the simulator")
