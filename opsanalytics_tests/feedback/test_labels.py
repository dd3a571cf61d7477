from collections import Counter

from opsanalytics.feedback.labels import keywords, label, ranked_phrases, same_stem, typical


def test_keywords_set_a_theme_apart() -> None:
    bank = [["bank", "connection", "fails", "app"]] * 5
    export = [["csv", "export", "fails", "app"]] * 5
    first, second = keywords([bank, export])
    assert "bank connection" in first
    assert "csv export" in second
    assert not any("app" in phrase.split() and " " not in phrase for phrase in first + second)


def test_parts_and_inflections_of_a_phrase_are_left_out() -> None:
    theme = [["tag", "tags"], ["tag", "tagged"], ["tags", "tagged"]] * 3
    other = [["password", "reset"]] * 9
    assert len(keywords([theme, other])[0]) == 1


def test_equal_labels_are_told_apart() -> None:
    named: list[str] = []
    for ranked in (["bank", "login"], ["bank", "login"], []):
        named.append(label(ranked, named))
    assert named == ["bank, login", "bank, login (2)", "(no common words)"]


def test_quotes_come_from_different_authors_nearest_first() -> None:
    candidates = [(0.9, "a", "1"), (0.8, "a", "2"), (0.7, "b", "3"), (0.6, "c", "4"), (0.5, "d", "5")]
    assert typical(candidates, 3) == ["1", "3", "4"]


def test_stems() -> None:
    assert same_stem("deleted", "deleting")
    assert same_stem("tag", "tagged")
    assert not same_stem("card", "cash")
    assert not same_stem("pay", "paypal-account")
    assert same_stem("voting", "votes")


def test_adverbs_and_words_that_name_nothing_are_no_label() -> None:
    theme = [["presumably", "wrong", "people"]] * 5
    other = [["csv", "export"]] * 5
    assert keywords([theme, other])[0] == []


def test_a_word_that_is_as_common_elsewhere_is_no_label() -> None:
    theme = [["question", "tag"]] * 5 + [["question"]] * 1
    other = [["question", "vote"]] * 3 + [["vote"]] * 3
    assert "question" not in keywords([theme, other])[0]


def test_titles_name_a_theme() -> None:
    count = Counter({"bounty": 3, "answerer": 5})
    titles = Counter({"bounty": 3})
    ranked = ranked_phrases(count, 5, count, 50, titles=titles, titled=5)
    assert ranked[0] == "bounty"
