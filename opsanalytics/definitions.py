"""What Dagster loads: the definitions of the configuration in use. Nothing else lives here."""

import warnings

import dagster as dg

from opsanalytics.assets.build import build_definitions
from opsanalytics.config import find_config, load_settings

with warnings.catch_warnings():
    # Parameters we use on purpose are marked beta; requirements.lock pins the version they work with.
    warnings.simplefilter("ignore", dg.BetaWarning)
    warnings.simplefilter("ignore", dg.PreviewWarning)
    defs = build_definitions(load_settings(find_config()))
