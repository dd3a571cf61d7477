"""The server itself: faults, log, starting and stopping, feedback dumps."""

import gzip
import threading
import zipfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
import requests

from opsanalytics.demo.simulator import (
    AmplitudeProject,
    Limit,
    MixpanelProject,
    VendorSimulator,
    drop_feedback,
)
from opsanalytics_tests.simulators.clients import NOON, amplitude_get, json_lines, mixpanel_get, small_events
from opsanalytics_tests.simulators.faulty import (
    Fault,
    FaultSchedule,
    FaultySimulator,
    broken_line,
    corrupt_zip,
    cut,
    non_utf8_line,
    server_error,
    slow,
    terminated_early,
    too_many_requests,
    wrong_auth,
)

EVENTS = small_events()
DAY = "2026-03-01"


def fetch(fault: Fault, *, accept: str = "identity") -> requests.Response:
    """The answer to the first Mixpanel request when it meets `fault`."""
    project = MixpanelProject(EVENTS, limits=())
    with FaultySimulator(
        project, faults=FaultSchedule().on("mixpanel", 1, fault), clock=lambda: NOON
    ) as running:
        return mixpanel_get(running, project, DAY, DAY, headers={"Accept-Encoding": accept})


@pytest.fixture(scope="module")
def intact() -> bytes:
    return fetch(slow(portion=1 << 16, seconds=0)).content


def test_only_the_scheduled_request_fails() -> None:
    project = MixpanelProject(EVENTS, limits=(Limit(2, 3600),))
    faults = (
        FaultSchedule().on("mixpanel", 2, too_many_requests(retry_after=7)).on("amplitude", 1, wrong_auth())
    )
    with FaultySimulator(project, faults=faults, clock=lambda: NOON) as running:
        answers = [mixpanel_get(running, project, DAY, DAY) for _ in range(3)]
        assert running.limit_violations == 0, (
            "an injected 429 is no violation, and leaves the limit uncounted"
        )
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert faults.fired == [("mixpanel", 2)]
    assert faults.unused == [("amplitude", 1)]


def test_a_standing_fault_answers_everything_else() -> None:
    project = MixpanelProject(EVENTS, limits=())
    faults = FaultSchedule().always("mixpanel", wrong_auth()).on("mixpanel", 1, server_error(502))
    with FaultySimulator(project, faults=faults, clock=lambda: NOON) as running:
        assert [mixpanel_get(running, project, DAY, DAY).status_code for _ in range(3)] == [502, 401, 401]


def test_429_can_lack_retry_after() -> None:
    answer = fetch(too_many_requests(retry_after=None))
    assert answer.status_code == 429
    assert "Retry-After" not in answer.headers


def test_a_cut_with_length_is_noticed_by_the_transport() -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        fetch(cut(0.5))


def test_a_cut_without_length_looks_complete(intact: bytes) -> None:
    answer = fetch(cut(1000, with_length=False))
    assert answer.status_code == 200
    assert answer.content == intact[:1000]


def test_a_cut_leaves_gzip_without_its_end() -> None:
    answer = fetch(cut(0.9, with_length=False), accept="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert not answer.content.endswith(b"\n")


def test_terminated_early_is_a_partial_result_under_200(intact: bytes) -> None:
    answer = fetch(terminated_early(0.25))
    head, _, tail = answer.content.rpartition(b"\n")
    assert (answer.status_code, tail) == (200, b"terminated early")
    assert 0 < len(head) < len(intact)
    assert intact.startswith(head)


def test_broken_lines_come_between_good_ones(intact: bytes) -> None:
    broken = fetch(broken_line(3)).content.split(b"\n")
    latin = fetch(non_utf8_line(0)).content.split(b"\n")
    assert b"\n".join(broken[:3] + broken[4:]) == b"\n".join(latin[1:]) == intact
    with pytest.raises(UnicodeDecodeError):
        latin[0].decode()


def test_slow_bytes_arrive_complete(intact: bytes) -> None:
    assert fetch(slow(portion=20_000, seconds=0.001)).content == intact


def test_faults_reach_into_zip_members() -> None:
    project = AmplitudeProject(EVENTS)
    faults = FaultSchedule().on("amplitude", 1, broken_line()).on("amplitude", 2, corrupt_zip())
    with FaultySimulator(project, faults=faults, clock=lambda: NOON) as running:
        broken, corrupt = (
            amplitude_get(running, project, "20260301T00", "20260301T03").content for _ in range(2)
        )
    with zipfile.ZipFile(BytesIO(broken)) as archive:
        assert gzip.decompress(archive.read(archive.namelist()[0])).startswith(b'{"event": "half of a li\n')
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(BytesIO(corrupt))


def test_both_vendors_share_one_address() -> None:
    mixpanel, amplitude = MixpanelProject(EVENTS, limits=()), AmplitudeProject(EVENTS)
    with VendorSimulator(mixpanel, amplitude, clock=lambda: NOON) as running:
        assert len(json_lines(mixpanel_get(running, mixpanel, DAY, DAY).content)) > 0
        assert amplitude_get(running, amplitude, "20260301T00", "20260301T23").status_code == 200
        elsewhere = requests.get(running.url + "/api/3/export", timeout=30)
        posted = requests.post(running.url + mixpanel.path, timeout=30)
        statuses = [entry.status for entry in running.log]
    assert (elsewhere.status_code, posted.status_code) == (404, 405)
    assert mixpanel.path in elsewhere.json()["error"]
    assert statuses == [200, 200, 404, 405]


def test_it_can_be_restarted_on_the_same_port() -> None:
    project = MixpanelProject(EVENTS, limits=())
    first = VendorSimulator(project, clock=lambda: NOON).start()
    port = int(first.url.rsplit(":", 1)[1])
    with requests.Session() as session:  # keeps its connection open beyond the stop
        assert session.get(first.url + project.path, timeout=30).status_code == 401
        first.stop()
    with VendorSimulator(project, port=port, clock=lambda: NOON) as second:
        assert second.url == f"http://127.0.0.1:{port}"
        assert mixpanel_get(second, project, DAY, DAY).status_code == 200
    with pytest.raises(RuntimeError, match="not running"):
        _ = second.url


def test_it_waits_until_another_thread_stops_it() -> None:
    simulator = VendorSimulator(MixpanelProject(EVENTS), clock=lambda: NOON).start()
    stopper = threading.Timer(0.1, simulator.stop)
    stopper.start()
    simulator.wait()
    stopper.join()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.url


def test_starting_twice_is_an_error() -> None:
    with (
        VendorSimulator(MixpanelProject(EVENTS), clock=lambda: NOON) as simulator,
        pytest.raises(RuntimeError, match="already running"),
    ):
        simulator.start()


def test_feedback_is_dropped_by_month(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2, 3],
            "created_at": [datetime(2026, 9, 30, 23, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC), None],
            "comment": ['quoted "text", with\na line', "zweite Zeile", "drittens"],
        }
    ).with_columns(pl.col("created_at").fill_null(datetime(2026, 10, 31, tzinfo=UTC)))
    files = drop_feedback(frame, tmp_path / "inbox")
    assert [path.name for path in files] == ["feedback-2026-09.csv", "feedback-2026-10.csv"]
    assert [path.name for path in (tmp_path / "inbox").iterdir() if path not in files] == []
    read = pl.concat([pl.read_csv(path) for path in files])
    assert read["comment"].to_list() == frame["comment"].to_list()
    assert read["created_at"][0] == "2026-09-30T23:00:00+00:00"


def test_feedback_with_text_times_is_dropped_whole_or_by_month(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"created_at": ["2011-10-11T19:42:20.713", "2012-01-01T00:00:00"], "text": ["a", "b"]}
    )
    assert [path.name for path in drop_feedback(frame, tmp_path, split="whole", name="dump")] == ["dump.csv"]
    assert len(drop_feedback(frame, tmp_path)) == 2
    with pytest.raises(ValueError, match="created_at holds '11 October'"):
        drop_feedback(frame.with_columns(pl.lit("11 October").alias("created_at")), tmp_path)
    with pytest.raises(ValueError, match="lacks column created_at"):
        drop_feedback(frame.drop("created_at"), tmp_path)


def test_requests_that_are_open_at_once_beyond_the_limit_are_counted() -> None:
    project = MixpanelProject(small_events(10))
    project.concurrent = 1
    simulator = VendorSimulator(project)
    with simulator.opened(project.path):
        pass
    with simulator.opened(project.path):
        assert simulator.limit_violations == 0
        with simulator.opened(project.path):
            assert simulator.limit_violations == 1
