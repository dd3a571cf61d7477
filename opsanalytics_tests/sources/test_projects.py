"""Which vendor project a source is: credentials, limits, and what has landed."""

from datetime import timedelta

import pytest

from opsanalytics.demo.simulator import VendorSimulator
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.errors import CredentialError, ProjectChangedError
from opsanalytics.sources.fetching import fetch
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.sources.support import (
    ENVIRON,
    FIRST,
    LAST,
    NOON,
    amplitude,
    amplitude_project,
    mixpanel,
    mixpanel_project,
    run_fetch,
    tree,
)

EVENTS = small_events(50)


def test_another_mixpanel_project_under_the_same_name_is_an_error(home: Home) -> None:
    with VendorSimulator(mixpanel_project(EVENTS), clock=lambda: NOON) as simulator:
        run_fetch(mixpanel(simulator.url), home)
        before = tree(home.landing)
        with pytest.raises(ProjectChangedError, match=r"source product: 1 deliveries .* another project"):
            run_fetch(mixpanel(simulator.url, project_id="42"), home)
        assert len(simulator.log) == 1
    assert tree(home.landing) == before


def test_another_amplitude_project_under_the_same_name_is_an_error(home: Home) -> None:
    with VendorSimulator(amplitude_project(EVENTS), clock=lambda: NOON) as simulator:
        run_fetch(amplitude(simulator.url), home)
        other = {**ENVIRON, "AMPLITUDE_API_KEY": "another-key"}
        with pytest.raises(ProjectChangedError, match="name of its own"):
            fetch(amplitude(simulator.url), home, FIRST, LAST, environ=other, now=NOON)


def test_the_same_project_at_another_address_goes_on(home: Home) -> None:
    for _ in range(2):
        with VendorSimulator(mixpanel_project(EVENTS), clock=lambda: NOON) as simulator:
            run_fetch(mixpanel(simulator.url), home, now=NOON + timedelta(days=1))
    assert len(list(deliveries(home, "product"))) == 1


def test_manifests_name_the_project_only_by_its_hash(home: Home) -> None:
    with VendorSimulator(amplitude_project(EVENTS), clock=lambda: NOON) as simulator:
        run_fetch(amplitude(simulator.url), home)
    (manifest,) = deliveries(home, "app")
    assert manifest.project is not None
    assert b"demo-api-key" not in b"".join(tree(home.root).values())


def test_amplitudes_limit_is_kept_per_key_whatever_the_variable(home: Home) -> None:
    one, two = amplitude("http://x"), amplitude("http://x", api_key_env="OTHER_KEY")
    environ = {**ENVIRON, "OTHER_KEY": ENVIRON["AMPLITUDE_API_KEY"]}
    assert one.limited_by(environ) == two.limited_by(environ)
    assert one.limited_by(environ) != two.limited_by({**environ, "OTHER_KEY": "different"})


def test_a_project_secret_is_the_user_without_a_password(home: Home) -> None:
    project = mixpanel_project(EVENTS, username="project-secret", secret="")
    environ = {"MY_PROJECT_SECRET": "project-secret"}
    messages: list[str] = []
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url, project_secret_env="MY_PROJECT_SECRET")
        report = fetch(
            settings, home, FIRST, LAST, environ=environ, now=NOON,
            progress=lambda state: messages.append(state.message),
        )  # fmt: skip
    assert report.records == EVENTS.height
    assert "Mixpanel retires project secrets on 2027-03-03" in messages[0]


def test_a_project_secret_asks_for_no_other_variable() -> None:
    assert mixpanel("http://x", project_secret_env="MY_SECRET").variables == ("MY_SECRET",)
    assert mixpanel("http://x").variables == ("MIXPANEL_USERNAME", "MIXPANEL_SECRET")
    assert mixpanel("http://x").notices == ()


def test_a_missing_project_secret_is_named(home: Home) -> None:
    settings = mixpanel("http://127.0.0.1:9", project_secret_env="MY_PROJECT_SECRET")
    with pytest.raises(CredentialError, match="MY_PROJECT_SECRET"):
        run_fetch(settings, home)


def test_each_region_has_its_query_host() -> None:
    hosts = [mixpanel("http://x", base_url=None, region=region).query_host for region in ("us", "eu", "in")]
    assert hosts == ["https://mixpanel.com", "https://eu.mixpanel.com", "https://in.mixpanel.com"]
    regions = [amplitude("http://x", base_url=None, region=region).host for region in ("us", "eu")]
    assert regions == ["https://amplitude.com", "https://analytics.eu.amplitude.com"]
