"""A small software product, generated: Pennyleaf, with which freelancers write invoices.

5,100 persons over the 12 weeks from Monday 2026-08-24 to Sunday 2026-11-15 (UTC). Its web app reports
to Mixpanel, its mobile apps to Amplitude; about 900 messages of feedback come from a survey. What
goes wrong in it is planted (`catalogue.PLANTS`) and written down (`GeneratedProduct.truth`), so that
what an analysis finds can be compared with what is there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.demo.product.catalogue import EVENT_NAMES
from opsanalytics.demo.product.feedback import write_feedback
from opsanalytics.demo.product.journey import walk
from opsanalytics.demo.product.people import make_people
from opsanalytics.demo.product.rows import finish, vendor_table
from opsanalytics.demo.product.truth import tell_truth
from opsanalytics.demo.product.usage import use

__all__ = ["EVENT_NAMES", "GeneratedProduct", "generate"]


@dataclass(frozen=True)
class GeneratedProduct:
    """Events of the web (for Mixpanel) and of the mobile apps (for Amplitude), feedback, truth.

    Event tables as `simulator.table.event_table` takes them, with the vendor's own event names.
    Feedback columns: `id`, `created_at` (UTC), `user_id`, `email`, `rating` (1 to 5), `comment`,
    `page`, `app_version`. `truth` can be written as JSON; `truth.tell_truth` explains it.
    """

    web_events: pl.DataFrame
    mobile_events: pl.DataFrame
    feedback: pl.DataFrame
    truth: dict[str, Any]


def generate(seed: int = 7) -> GeneratedProduct:
    """Generate the product; equal seeds give equal tables, row by row."""
    who, way, later, said = (np.random.default_rng([seed, part]) for part in range(4))
    people = make_people(who)
    journey = walk(way, people)
    parts = [*journey.parts, *use(later, people, journey)]
    purchased = np.where(people.existing, 0, journey.reached["purchase"])
    signed_up = np.where(people.existing, 0, journey.reached["sign_up"])
    table = finish(parts, people, signed_up, purchased)
    feedback = write_feedback(said, people, journey)
    truth = tell_truth(seed, people, journey, feedback)
    return GeneratedProduct(
        web_events=vendor_table(table, vendor=0),
        mobile_events=vendor_table(table, vendor=1),
        feedback=feedback.drop("topic"),
        truth=truth,
    )
