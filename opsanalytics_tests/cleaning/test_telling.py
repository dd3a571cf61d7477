"""What a log says while a long history is cleaned."""

from datetime import timedelta

from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.telling import PAUSE_SECONDS, telling
from opsanalytics.lake.paths import Home
from opsanalytics_tests.cleaning.test_clean_events import DAY, PRODUCT, event, land


def test_the_rest_is_told_from_the_pace_of_this_run() -> None:
    seconds = 0.0
    said: list[str] = []
    tell = telling("web", said.append, lambda: seconds)
    for done in range(100, 1_101):  # 100 deliveries were read by an earlier run
        tell("parse", done, 1_100)
        seconds += 0.6
    assert said[0] == "web: 109 of 1,100 deliveries read, about 10 min left"
    assert said[-1].endswith("left")
    assert len(said) <= 600 / PAUSE_SECONDS


def test_what_is_soon_done_is_not_told() -> None:
    said: list[str] = []
    tell = telling("web", said.append, lambda: 7.0)
    tell("parse", 0, 10)
    tell("assemble", 10, 10)
    assert said == []


def test_every_stage_of_cleaning_can_be_told(home: Home) -> None:
    for number in range(3):
        day = DAY + timedelta(days=number)
        land(home, [event(number, day=day)], day, day)
    ticks = iter(range(0, 1_000, 10))
    said: list[str] = []
    clean_events(PRODUCT, home, {}, progress=telling("product", said.append, lambda: float(next(ticks))))
    assert said[0] == "product: 0 of 3 deliveries read"
    assert said[1] == "product: 1 of 3 deliveries read, about 20 s left"
    assert said[-1] == "product: 3 of 3 days written, about 0 s left"
