"""Every mistake in opsanalytics.toml is one clear message with file, line and key."""

from importlib.resources import files
from pathlib import Path

import pytest

from opsanalytics.config import ConfigError, find_config, load_settings

MINIMAL = '[project]\nname = "Shop"\nstart = 2026-01-01\n'
FUNNEL = '\n[[funnels]]\nname = "buy"\nwindow = "7d"\nsteps = ["sign_up", "purchase"]\n'
MIXPANEL = (
    '\n[[sources]]\nkind = "mixpanel"\nname = "web"\nproject_id = "1"\n'
    'username_env = "USER_VARIABLE"\nsecret_env = "SECRET_VARIABLE"\n'
)


def write(folder: Path, text: str) -> Path:
    path = folder / "opsanalytics.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    return [str(problem).replace(str(path), "FILE") for problem in caught.value.problems]


def test_the_starter_file_is_valid(tmp_path: Path) -> None:
    starter = files("opsanalytics.config").joinpath("starter.toml").read_text(encoding="utf-8")
    settings = load_settings(write(tmp_path, starter))
    assert {source.kind for source in settings.sources} == {"mixpanel", "amplitude", "feedback_csv"}
    assert settings.funnels[0].steps[2].where[0].value == ("pro", "team")


def test_home_is_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, MINIMAL))
    assert settings.project.home == tmp_path / "data"


def test_unknown_key_is_named_with_line_and_nearest(tmp_path: Path) -> None:
    assert problems(tmp_path, MINIMAL + 'timezon = "UTC"\n') == [
        "FILE:4: project.timezon: unknown key; did you mean 'timezone'?"
    ]


def test_unknown_key_of_a_source_is_compared_with_that_kind(tmp_path: Path) -> None:
    found = problems(tmp_path, MINIMAL + MIXPANEL + 'project_timezne = "UTC"\n')
    assert found == ["FILE:11: sources[0].project_timezne: unknown key; did you mean 'project_timezone'?"]


def test_unknown_section(tmp_path: Path) -> None:
    assert problems(tmp_path, MINIMAL + "\n[treshold]\nmin_n = 3\n") == [
        "FILE:5: treshold: unknown key; did you mean 'thresholds'?"
    ]


def test_unknown_key_inside_a_step_points_to_the_line_of_the_steps(tmp_path: Path) -> None:
    text = MINIMAL + '\n[[funnels]]\nname = "buy"\nwindow = "7d"\nsteps = ["a", { evnt = "b" }]\n'
    found = problems(tmp_path, text)
    assert "FILE:8: funnels[0].steps[1].evnt: unknown key; did you mean 'event'?" in found


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = MINIMAL.replace("2026-01-01", '"soon"') + 'week_start = "mon"\n' + FUNNEL.replace("7d", "7 moons")
    found = problems(tmp_path, text)
    assert len(found) == 3
    assert found[0].startswith("FILE:3: project.start: ")
    assert found[1].startswith("FILE:4: project.week_start: 'mon': expected 'monday'")
    assert found[2].startswith("FILE:8: funnels[0].window: '7 moons' is not a length of time")


def test_missing_key(tmp_path: Path) -> None:
    assert problems(tmp_path, '[project]\nname = "Shop"\n') == [
        "FILE:1: project.start: is required but missing"
    ]


def test_unknown_kind_of_source_lists_the_known_ones(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, MINIMAL + '\n[[sources]]\nkind = "heap"\nname = "web"\n')
    assert found.startswith("FILE:5: sources[0]: unknown kind 'heap'; known are ")
    assert "'mixpanel'" in found


def test_not_toml_names_the_line(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "[project\nname = 1\n")
    assert "not valid TOML" in found
    assert "line 1" in found


def test_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "opsanalytics.toml"
    path.write_bytes(b'[project]\nname = "Caf\xe9"\n')
    with pytest.raises(ConfigError, match=r"opsanalytics.toml:2: is not UTF-8"):
        load_settings(path)


def test_a_name_used_twice(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, MINIMAL + FUNNEL + FUNNEL)
    assert "the name 'buy' is used twice" in found


def test_a_report_names_an_unknown_funnel(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, MINIMAL + FUNNEL + '\n[[reports]]\nname = "weekly"\nfunnels = ["bye"]\n')
    assert "report weekly: funnels names ['bye'], but the configuration has ['buy']" in found


def test_an_exported_name_mapped_twice(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, MINIMAL + '\n[events]\na = ["X"]\nb = ["X"]\n')
    assert "'X' is mapped to both 'a' and 'b'" in found


def test_an_unknown_time_zone(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, MINIMAL + 'timezone = "Berlin"\n')
    assert found == (
        "FILE:4: project.timezone: 'Berlin' is not a time zone; write an IANA name such as 'Europe/Berlin'"
    )


def test_no_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="opsanalytics init"):
        find_config({})


def test_a_named_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="named by OPSANALYTICS_CONFIG"):
        find_config({"OPSANALYTICS_CONFIG": str(tmp_path / "none.toml")})


def test_event_names_map_the_exported_to_the_canonical(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, MINIMAL + '\n[events]\nsign_up = ["Sign Up", "signup"]\n'))
    assert settings.event_names == {"Sign Up": "sign_up", "signup": "sign_up"}


def test_a_mistake_in_a_custom_signal_is_told_with_its_line(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + '\n[[friction.custom]]\nname = "late"\ntitle = "Late"\nevent = "ship"\nwere = { late = true }\n'
    )
    assert problems(tmp_path, text) == ["FILE:9: friction.custom[0].were: unknown key; did you mean 'where'?"]


def test_the_configurations_of_the_demos_are_valid(tmp_path: Path) -> None:
    for template in files("opsanalytics.demo.configs").iterdir():
        if template.name.endswith(".toml"):
            text = template.read_text(encoding="utf-8").replace("{{ base_url }}", "http://127.0.0.1:1")
            assert load_settings(write(tmp_path, text)).funnels


def test_segments_say_whose_event_gives_the_value(tmp_path: Path) -> None:
    segment = '[[segments]]\nname = "plan"\nproperty = "plan"\nattribution = "{}"\n'
    assert "go together" in problems(tmp_path, MINIMAL + segment.format("step"))[0]
    right = write(tmp_path, MINIMAL + segment.format("step") + "step = 2\n")
    assert load_settings(right).segments[0].step == 2


def test_a_configured_funnel_has_two_steps(tmp_path: Path) -> None:
    funnel = '[[funnels]]\nname = "one"\nsteps = ["a"]\nwindow = "1d"\n'
    assert "one: steps: a report needs at least 2 steps" in problems(tmp_path, MINIMAL + funnel)[0]
