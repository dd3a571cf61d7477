"""Whatever bytes a file has: each record is kept, a duplicate, or in quarantine, and nothing fails."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.base import FeedbackSourceSettings
from opsanalytics.sources.collecting import collect
from opsanalytics.sources.feedback_csv import FeedbackCsvSettings
from opsanalytics.sources.surveymonkey import SurveyMonkeySettings

CSV = (
    FeedbackCsvSettings.model_validate(
        {
            "name": "odd",
            "columns": {
                "id": "id",
                "created_at": "at",
                "text": "text",
                "rating": "rating",
                "updated_at": "up",
            },
            "rating_scale": "csat",
        }
    ),
    'id,at,text,rating,up\n1,2026-03-01,"nice\nstuff",4,\n2,2026-03-02,żółć 😀,3,2026-03-02\n'
    "1,2026-03-03,again,5,\n",
)
MONKEY = (
    SurveyMonkeySettings(name="odd", rating="R", rating_scale="nps", day_first=False),
    "Respondent ID,Date Created,Date Modified,R,Q,\n,,,Response,Open-Ended Response,Other (please specify)\n"
    "1,03/01/2026 10:00 AM,03/01/2026 10:00 AM,9,x,y\n1,03/01/2026 10:00 AM,03/01/2026 11:00 AM,9,x,y\n"
    "2,03/01/2026 10:00 AM,,0,,\n",
)
JUNK = (
    b'"', b",", b";", b"\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b"\t", b"=1+1", b"9" * 400,
    b"\xe2\x80\xa8",
    b"\xc2\x85", b"1e400", b"99999999999999999999", b"nan", b"31/02/2026", b"9999-12-31", b"0001-01-01",
    "\u0663\xb2\uff11".encode(), b" GMT+99", b"+99:99", b"2026-03-01T24:00:00",
)  # fmt: skip


@pytest.mark.parametrize("kind", [CSV, MONKEY], ids=["feedback_csv", "surveymonkey"])
@settings(max_examples=40, deadline=None)
@given(
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    damage=st.lists(
        st.tuples(st.integers(0, 600), st.sampled_from(JUNK) | st.binary(max_size=4), st.integers(0, 8)),
        max_size=4,
    ),
)
def test_every_record_is_accounted_for(
    kind: tuple[FeedbackSourceSettings, str], encoding: str, damage: list[tuple[int, bytes, int]]
) -> None:
    source, text = kind
    content = bytearray(text.encode(encoding))
    for position, junk, removed in damage:
        content[position : position + removed] = junk
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.inbox("odd").mkdir(parents=True)
        (home.inbox("odd") / "odd.csv").write_bytes(content)
        taken = collect(source, home, now=datetime(2026, 6, 20, tzinfo=UTC), quiet_seconds=0)
        assert len(taken.landed) + len(taken.refused) == 1
        report = clean_feedback(source, home)
        assert report.records == taken.records == report.canonical + report.duplicates + report.quarantined
        assert unreconciled(build_ledger(home, [source]), deliveries(home, "odd")).is_empty()
