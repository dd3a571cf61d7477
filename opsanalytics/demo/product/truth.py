"""The truth about the generated product: what was planted, and what came of it in the events."""

from typing import Any

import numpy as np
import polars as pl

from opsanalytics.demo.product.catalogue import (
    END,
    EVENT_NAMES,
    FUNNEL,
    PRODUCT,
    START,
    WEEKS,
    Plant,
)
from opsanalytics.demo.product.feedback import topics
from opsanalytics.demo.product.journey import Exposure, Journey
from opsanalytics.demo.product.people import People, micros


def tell_truth(seed: int, people: People, journey: Journey, feedback: pl.DataFrame) -> dict[str, Any]:
    """Everything planted, as JSON.

    In every entry of `plants`: `reached` persons have the event `after`; `exposed` of them met the
    signal after it and before their first event `step` (or at all, if they have none); `reach` is
    their ratio. `rate_exposed` and `rate_others` are the raw shares with an event `step`, without a
    time limit inside the period. `true_effect_points` is the mean difference, in percentage points,
    that the plant makes to the chance of the exposed, all else being equal; the raw rates differ by
    other things too. `messages` counts the feedback about it.
    """
    by_topic = dict(feedback.group_by("topic").len().sort("topic").iter_rows())
    about = {topic.plant: topic.key for topic in topics() if topic.plant is not None}
    return {
        "product": PRODUCT,
        "generated": True,
        "seed": seed,
        "first_day": START.date().isoformat(),
        "last_day": START.date().fromordinal(START.date().toordinal() + WEEKS * 7 - 1).isoformat(),
        "persons": people.count,
        "funnel": list(FUNNEL),
        "reached": {name: int((journey.reached[name] < micros(END)).sum()) for name in FUNNEL},
        "event_names": {
            name: {"mixpanel": mixpanel, "amplitude": amplitude}
            for name, (mixpanel, amplitude) in EVENT_NAMES.items()
        },
        "plants": [
            _plant(journey, exposure) | {"messages": by_topic.get(about.get(exposure.plant.key), 0)}
            for exposure in journey.exposures
        ],
        "feedback": {
            "messages": feedback.height,
            "topics": [
                {"key": topic.key, "kind": topic.kind, "plant": topic.plant, "messages": by_topic[topic.key]}
                for topic in topics()
            ],
            "topic_by_id": dict(zip(feedback["id"], feedback["topic"], strict=True)),
        },
    }


def _plant(journey: Journey, exposure: Exposure) -> dict[str, Any]:
    plant = exposure.plant
    reached = journey.reached[plant.after] < micros(END)
    passed = journey.reached[plant.step] < micros(END)
    met = np.zeros(len(reached), dtype=bool)
    met[exposure.person] = True
    gained = (exposure.chance - exposure.chance_without) * 100
    return {
        "key": plant.key,
        "kind": plant.kind,
        "title": plant.title,
        "after": plant.after,
        "step": plant.step,
        "signal": plant.signal,
        **_where_and_when(plant),
        "reached": int(reached.sum()),
        "exposed": int(met.sum()),
        "reach": round(float(met.sum() / reached.sum()), 6),
        "rate_exposed": round(float(passed[met].mean()), 6),
        "rate_others": round(float(passed[reached & ~met].mean()), 6),
        "true_effect_points": round(float(gained.mean()), 3),
    }


def _where_and_when(plant: Plant) -> dict[str, Any]:
    return {
        "platforms": sorted(plant.exposure),
        "countries": list(plant.countries) if plant.countries else None,
        "version": plant.version,
        "since": plant.since.isoformat() if plant.since > START else None,
        "until": plant.until.isoformat() if plant.until < END else None,
    }
