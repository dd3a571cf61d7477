"""Feedback pulled from APIs: what arrives is the truth, whatever happens on the way."""

import pytest

from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics_tests.simulators.faulty import FaultSchedule, FaultySimulator
from opsanalytics_tests.sources.desks import KINDS, NOW, TOMORROW, Kind, arrived, run_pull


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.vendor)
def test_a_full_pull_is_the_truth(home: Home, kind: Kind) -> None:
    desk = kind.make(35)
    with FaultySimulator(*kind.vendors(desk), clock=lambda: NOW) as simulator:
        settings = kind.settings(simulator.url)
        report = run_pull(settings, home)
    assert arrived(settings, home) == desk.truth()
    assert report.records == 35
    assert not report.doubts
