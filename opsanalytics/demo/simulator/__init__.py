"""A local server that exports event tables as Mixpanel and Amplitude do, and drops feedback as CSV.

It follows the vendors' documented contracts (authentication, ranges, formats, errors, limits); it
shares no code with the production clients, so that each side checks the other.
"""

from opsanalytics.demo.simulator.amplitude import AmplitudeProject
from opsanalytics.demo.simulator.feedback import drop_feedback
from opsanalytics.demo.simulator.limits import Limit
from opsanalytics.demo.simulator.messages import Reply, Request
from opsanalytics.demo.simulator.mixpanel import MixpanelProject
from opsanalytics.demo.simulator.server import Intercept, LoggedRequest, VendorSimulator
from opsanalytics.demo.simulator.table import EventTableError

__all__ = [
    "AmplitudeProject",
    "EventTableError",
    "Intercept",
    "Limit",
    "LoggedRequest",
    "MixpanelProject",
    "Reply",
    "Request",
    "VendorSimulator",
    "drop_feedback",
]
