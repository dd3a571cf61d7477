"""`init` and `check`: one message for every mistake, and an exit code that tells."""

from pathlib import Path

from opsanalytics_tests.conftest import Run


def test_version(opsanalytics: Run, tmp_path: Path) -> None:
    ran = opsanalytics("--version", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "opsanalytics, version 0.1.0\n")


def test_help_lists_the_commands(opsanalytics: Run, tmp_path: Path) -> None:
    out = opsanalytics("--help", cwd=tmp_path).out
    for command in ("init", "check", "run", "ui", "demo", "backlog", "export", "docs"):
        assert f"\n  {command} " in out


def test_init_writes_a_file_that_check_accepts(opsanalytics: Run, tmp_path: Path) -> None:
    assert opsanalytics("init", cwd=tmp_path).code == 0
    variables = ("MIXPANEL_USERNAME", "MIXPANEL_SECRET", "AMPLITUDE_API_KEY", "AMPLITUDE_SECRET_KEY")
    ran = opsanalytics("check", "--offline", cwd=tmp_path, env=dict.fromkeys(variables, "x"))
    assert ran.code == 0, ran.out + ran.err
    assert "3 sources, 1 funnels" in ran.out


def test_init_leaves_an_existing_file_alone(opsanalytics: Run, tmp_path: Path) -> None:
    (tmp_path / "opsanalytics.toml").write_text("mine")
    ran = opsanalytics("init", cwd=tmp_path)
    assert ran.code == 1
    assert "exists already" in ran.err
    assert (tmp_path / "opsanalytics.toml").read_text() == "mine"


def test_check_names_every_missing_variable(opsanalytics: Run, tmp_path: Path) -> None:
    opsanalytics("init", cwd=tmp_path)
    ran = opsanalytics("check", cwd=tmp_path)
    assert ran.code == 1
    for variable in ("MIXPANEL_USERNAME", "MIXPANEL_SECRET", "AMPLITUDE_API_KEY", "AMPLITUDE_SECRET_KEY"):
        assert variable in ran.out


def test_without_a_configuration_every_command_says_what_to_do(opsanalytics: Run, tmp_path: Path) -> None:
    for command in ("check", "run", "backlog", "ui", "docs"):
        ran = opsanalytics(command, cwd=tmp_path)
        assert ran.code == 1, command
        assert "opsanalytics init" in ran.err
        assert "Traceback" not in ran.err


def test_a_mistake_is_told_with_file_line_and_key(opsanalytics: Run, tmp_path: Path) -> None:
    opsanalytics("init", cwd=tmp_path)
    path = tmp_path / "opsanalytics.toml"
    path.write_text(path.read_text().replace("week_start =", "weekstart ="))
    ran = opsanalytics("check", cwd=tmp_path)
    assert ran.code == 1
    assert "opsanalytics.toml:9: project.weekstart: unknown key; did you mean 'week_start'?" in ran.err


def test_backlog_before_the_first_run(opsanalytics: Run, tmp_path: Path) -> None:
    opsanalytics("init", cwd=tmp_path)
    ran = opsanalytics("backlog", cwd=tmp_path)
    assert ran.code == 1
    assert "opsanalytics run" in ran.err
