"""A forgotten person is in no file any more, everybody else is as before, and nobody brings them back."""

import gzip
from datetime import UTC, datetime

from opsanalytics.analysis.forget import forget, plan
from opsanalytics_tests.analysis.conftest import *

AT = datetime(2026, 4, 1, tzinfo=UTC)


def test_first(world):
    what = plan(world.settings, ANN, {})
    print(what)
    done = forget(world.settings, what, {}, at=AT)
    print(done)
    assert world.balances()
    for source in world.settings.sources:
        for m in deliveries(world.home, source.name):
            print(m)
            for f in m.files:
                p = world.home.delivery(source.name, m.delivery) / f.name
                b = p.read_bytes()
                print(gzip.decompress(b).decode() if p.suffix == ".gz" else b[:1000])
    assert done.left == ()
    assert 0
