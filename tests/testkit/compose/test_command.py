"""Whether the test of the stack fails, passes or is skipped, and what is said then."""

import pytest

from testkit.compose import command, engine
from testkit.compose.failures import ComposeTestFailed, NoEngine
from testkit.compose.stages import Stages


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Run the command with an engine that does nothing and a stack that does what it is told."""

    class Engine:
        def __init__(self, cache):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def compose_program(self):
            pass

    def run(trial, *words):
        monkeypatch.setattr(command, "Engine", Engine)
        monkeypatch.setattr(command, "make_bases", lambda *_: None)
        monkeypatch.setattr(command, "check_stack", trial)
        monkeypatch.setattr("sys.argv", ["command", "--cache", str(tmp_path / "cache"), *words])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        return command.main()

    return run


def raising(error):
    def trial(*_):
        raise error

    return trial


def test_a_stack_as_it_should_be_passes_with_the_times_of_its_stages(started, capsys):
    def trial(_engine, _root, stages):
        with stages("all up"):
            pass

    assert started(trial) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" s ")[-1].strip() for line in said[-4:-1]] == [
        "Compose",
        "all up",
        "in all",
    ]
    assert said[-1] == "compose-test: passed"


@pytest.mark.parametrize("words", [(), ("--skip-without-engine",)])
def test_a_fault_fails_whether_or_not_a_missing_engine_is_allowed(started, capsys, words):
    assert started(raising(ComposeTestFailed("redis: runs as root")), *words) == 1
    assert "compose-test: redis: runs as root" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "status"), [((), 1), (("--skip-without-engine",), 0)])
def test_without_an_engine_it_is_loud_and_fails_unless_told_to_skip(started, capsys, words, status):
    assert started(raising(NoEngine("needed: dockerd")), *words) == status
    said = capsys.readouterr().out
    assert "NO CONTAINER WAS STARTED, docker-compose.yml WAS NOT TRIED\nneeded: dockerd" in said
    assert ("skipped" in said) == (status == 0)


def test_who_is_not_root_or_lacks_a_program_has_no_engine(monkeypatch, tmp_path):
    monkeypatch.setattr(engine.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine.shutil, "which", lambda _: "/usr/bin/it")
    with pytest.raises(NoEngine, match="needed: root"):
        engine.Engine(tmp_path)
    monkeypatch.setattr(engine.os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine.shutil, "which", lambda name: None if name == "dockerd" else name)
    with pytest.raises(NoEngine, match="needed: dockerd"):
        engine.Engine(tmp_path)


def test_an_engine_that_starts_no_container_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(engine.os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine.shutil, "which", lambda name: name)
    told = []

    def run(argv, **_):
        told.append(argv[1:3])
        if argv[1] == "run":
            raise ComposeTestFailed("no cgroups here")
        return ""

    monkeypatch.setattr(engine, "run", run)
    monkeypatch.setattr(engine.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(NoEngine, match="starts no container: no cgroups here"):
        engine.Engine(tmp_path).require_containers("debian")
    assert told[-1] == ("network", "prune")


def test_the_cache_of_earlier_runs_is_removed_and_nothing_else_done(monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    (cache / "engine").mkdir(parents=True)
    monkeypatch.setattr("sys.argv", ["command", "--cache", str(cache), "--remove-cache"])
    assert command.main() == 0
    assert not cache.exists()


def test_a_stage_that_fails_is_counted_too():
    now = iter([0.0, 1.0, 4.0, 10.0])
    said = []
    stages = Stages(said.append, lambda: next(now))
    with pytest.raises(ComposeTestFailed), stages("all up"):
        raise ComposeTestFailed("no")
    assert said == ["all up: 3 s"]
    assert stages.report().split() == ["3", "s", "all", "up", "10", "s", "in", "all"]
