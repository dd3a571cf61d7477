"""The guide to sources: every kind has its page, and the examples run as they stand in it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opsanalytics.sources.base import EventApiSettings, SourceSettings, source_kinds
from opsanalytics.sources.feedback_files.settings import FeedbackFileSettings
from opsanalytics.sources.feedback_files.survey import SurveySettings
from opsanalytics.sources.files import EventFileSettings
from opsanalytics_tests.conftest import ROOT

GUIDE = ROOT / "docs" / "sources.md"
PAGES = ROOT / "docs" / "sources"
KINDS = sorted(source_kinds())
SHARED = {
    GUIDE: (SourceSettings, EventApiSettings, EventFileSettings),
    GUIDE.with_name("feedback-files.md"): (FeedbackFileSettings, SurveySettings),
}
"""Page -> the bases whose settings it explains for all their kinds."""
EXPLAINED = {
    page: {name for base in bases for name in base.model_fields} - {"name", "kind"}
    for page, bases in SHARED.items()
}
COMMON = set().union(*EXPLAINED.values(), {"name", "kind"})

RUN = """
import json, sys
from datetime import UTC, date, datetime
from pathlib import Path
import opsanalytics.sources
opsanalytics.sources.__path__.append(sys.argv[1])  # as if the file lay in the package

from opsanalytics.analysis.ledger import reconcile
from opsanalytics.assets.build import build_definitions
from opsanalytics.cleaning.events import clean_events
from opsanalytics.config import load_settings
from opsanalytics.lake.events import scan_raw_events
from opsanalytics.sources.event_pulling import probe_events, pull_events

settings = load_settings(Path("opsanalytics.toml"))
now = datetime(2026, 3, 10, tzinfo=UTC)
environ = {"ACME_API_KEY": "secret"}
for source in settings.event_sources:
    probe_events(source, settings.home, environ=environ, now=now)
    pull_events(source, settings.home, date(2026, 3, 1), date(2026, 3, 2), environ=environ, now=now)
    clean_events(source, settings.home, settings.event_names)
_, wrong = reconcile(settings, checked_at=now)
build_definitions(settings).resolve_asset_graph()
columns = ("source", "event", "user_id", "properties")
rows = scan_raw_events(settings.home).sort("source", "ts").select(columns).collect().rows()
print(json.dumps({"rows": rows, "wrong": wrong.height}))
"""
LINES = [
    '{"event": "Paid", "when": "2026-03-01T12:00:00Z", "who": "ada", "$n.x": 9007199254740993}',
    '{"event": "Left", "when": "2026-03-02T12:00:00+01:00", "who": "null", "t": "a\u2028b"}',
    '{"event": "Odd", "when": "soon"}',
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page_that_the_guide_points_to(kind: str) -> None:
    assert (PAGES / f"{kind}.md").read_text(encoding="utf-8").startswith(f"# {kind}: ")
    assert f"| `{kind}` |" in GUIDE.read_text(encoding="utf-8")
    assert f"(sources/{kind}.md)" in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_a_kind_names_its_settings(kind: str) -> None:
    page = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    own = source_kinds()[kind].model_fields.keys() - COMMON
    assert {name for name in own if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("page", SHARED, ids=lambda page: page.stem)
def test_a_page_names_the_settings_that_kinds_share(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("`[sources.retry]`", "`retry`")
    assert {name for name in EXPLAINED[page] if f"`{name}`" not in text} == set()


def test_no_page_is_of_a_kind_that_does_not_exist() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(KINDS)
    assert set(re.findall(r"^\| `([a-z0-9_]+)` \|", GUIDE.read_text(encoding="utf-8"), flags=re.M)) == set(
        KINDS
    )


def test_all_links_lead_somewhere() -> None:
    for path in [GUIDE, *PAGES.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path}: {target}"


def test_the_examples_run_without_any_other_edit(tmp_path: Path) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread
    from urllib.parse import parse_qs, urlsplit

    class Acme(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            days = parse_qs(urlsplit(self.path).query)
            first, last = days["from"][0], days["to"][0]
            lines = [line for line in LINES if first <= json.loads(line)["when"][:10] <= last]
            body = "".join(line + "\n" for line in lines).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Nobody reads it."""

    added = tmp_path / "added"
    logs = tmp_path / "logs"
    added.mkdir()
    logs.mkdir()
    log, api = blocks("python")
    (added / "acme_log.py").write_text(log, encoding="utf-8")
    (added / "acme_api.py").write_text(api, encoding="utf-8")
    (logs / "2026-03-01.log.jsonl").write_text(LINES[0] + "\n", encoding="utf-8")
    (logs / "2026-03-02.log.jsonl").write_text(LINES[1] + "\n" + LINES[2] + "\n", encoding="utf-8")
    for path in logs.iterdir():
        os.utime(path, (0, 0))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Acme)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        *_, config = blocks("toml")
        config += f'[[sources]]\nkind = "acme_api"\nname = "live"\nbase_url = "http://127.0.0.1:{server.server_port}"\n'
        config += '[project]\nname = "Acme"\nstart = 2026-03-01\n'
        (tmp_path / "opsanalytics.toml").write_text(config, encoding="utf-8")
        ran = subprocess.run(
            [sys.executable, "-c", RUN, added], cwd=tmp_path, capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["wrong"] == 0
    assert found["rows"] == [
        [source, event, user, line]
        for source in ("acme", "live")
        for event, user, line in (("Paid", "ada", LINES[0]), ("Left", None, LINES[1]))
    ]
