"""Messages in any script are grouped, and their themes have names people can read."""

from datetime import timedelta

import pytest

from opsanalytics.feedback.themes import Themes, find_themes
from opsanalytics_tests.feedback.messages import START, messages

SAID = {
    "rechnung": [
        "Die Rechnung kommt doppelt",
        "Doppelte Rechnungen im Konto",
        "Rechnungsbetrag wurde zweimal abgebucht",
        "Meine Rechnung ist doppelt abgebucht",
        "Warum wird die Rechnung doppelt abgebucht?",
        "Doppelte Abbuchung der Rechnung",
    ],
    "ログイン": [
        "ログインできません",
        "パスワードを入れてもログインできない",
        "ログイン画面でエラーになる",
        "ログインが失敗します",
        "何度やってもログインできない",
        "ログインエラーが出ます",
    ],
    "код": [
        "Не приходит код подтверждения",
        "Код подтверждения не пришёл",
        "СМС с кодом не приходит",
        "Нет кода подтверждения в СМС",
        "Код не приходит на телефон",
        "Жду код подтверждения час",
    ],
    "เข้าสู่ระบบ": [
        "เข้าสู่ระบบไม่ได้",
        "เข้าสู่ระบบไม่ได้เลย",
        "เข้าสู่ระบบแล้วค้าง",
        "ลืมรหัสเข้าสู่ระบบไม่ได้",
        "เข้าสู่ระบบผิดพลาด",
        "เข้าสู่ระบบช้ามาก",
    ],
}
EMOJI = ["😡😡😡", "👍", "❤️❤️", "🔥 👎"]


@pytest.fixture(scope="module")
def found() -> Themes:
    texts = [text for group in SAID.values() for text in group] + EMOJI
    return find_themes(messages(texts, apart=timedelta(minutes=5)), as_of=START + timedelta(days=8))


@pytest.mark.parametrize("word", list(SAID))
def test_each_subject_is_a_theme_named_by_its_own_words(found: Themes, word: str) -> None:
    at = list(SAID).index(word) * 6
    themes = found.assignments["theme_id"].to_list()[at : at + 6]
    assert len(set(themes)) == 1
    (label,) = found.themes.filter(found.themes["theme_id"] == themes[0])["label"]
    assert word in label


def test_emoji_alone_are_in_no_theme(found: Themes) -> None:
    assert found.assignments["theme_id"].to_list()[-len(EMOJI) :] == [None] * len(EMOJI)
    assert found.themes.height == len(SAID)
