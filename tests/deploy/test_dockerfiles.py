"""The Dockerfiles: what they start from, what they copy, as whom they run."""

import ast
import re
import shlex
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from services.local.child import Command, run_to_end

FOLDER = Path(__file__).parents[2] / "deploy" / "docker"
DOCKERFILES = sorted(FOLDER.glob("*.Dockerfile"))


@dataclass
class Stage:
    base: str
    name: str
    steps: list[tuple[str, str]]


def stages_of(path):
    """Return the stages in order; arguments of the file are put where they are used."""
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", path.read_text()))
    arguments, stages = {}, []
    for line in filter(None, (line.strip() for line in joined.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "ARG" and not stages:
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "FROM":
            base, _, name = rest.partition(" AS ")
            for key, value in arguments.items():
                base = base.replace(f"${{{key}}}", value)
            stages.append(Stage(base, name, []))
        else:
            stages[-1].steps.append((word, re.sub(r"\s+", " ", rest)))
    return stages


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.stem)
def dockerfile(request):
    return request.param


def test_every_target_of_compose_is_a_stage(compose, root):
    built = [s.body["build"] for s in compose.services.values() if "build" in s.body]
    assert built
    for build in built:
        assert build["context"] == "."
        stages = {stage.name for stage in stages_of(root / build["dockerfile"])}
        assert build["target"] in stages


def test_base_images_are_pinned(dockerfile):
    names = set()
    for stage in stages_of(dockerfile):
        assert stage.name
        assert stage.name not in names
        assert stage.base in names or re.search(r":\d+\.\d+(\.\d+)?-[\w.-]+$", stage.base)
        names.add(stage.name)


def test_the_image_that_is_run_is_not_run_as_root(dockerfile, compose):
    stages = {stage.name: stage for stage in stages_of(dockerfile)}
    targets = {s.body["build"]["target"] for s in compose.services.values() if "build" in s.body}
    for name in (targets | {"training"}) & set(stages):
        stage, users = stages[name], []
        while stage is not None:
            users = [rest for word, rest in stage.steps if word == "USER"] + users
            stage = stages.get(stage.base)
        assert users[-1:] == ["10001:10001"], name


def test_the_last_stage_of_several_holds_no_installer(dockerfile):
    stages = stages_of(dockerfile)
    assert len(stages) > 1
    for stage in stages:
        installs = any("pip" in rest for word, rest in stage.steps if word == "RUN")
        assert installs == stage.name.endswith("packages")


def test_nothing_is_fetched_but_locked_packages(dockerfile):
    for stage in stages_of(dockerfile):
        for word, rest in stage.steps:
            assert word != "ADD"
            assert not re.search(r"https?://|curl|wget|apt-get|--index|--find-links|PIP_", rest)
            if word == "RUN" and "install --disable" in rest:
                for flag in ("--require-hashes", "--no-deps", "--only-binary=:all:"):
                    assert flag in rest


def test_no_secret_gets_into_an_image(dockerfile):
    for stage in stages_of(dockerfile):
        for word, rest in stage.steps:
            if word in ("ARG", "ENV"):
                assert not re.search(r"PASSWORD|SECRET|TOKEN|_KEY", rest)


def test_everything_copied_exists_and_is_let_into_the_build(dockerfile, root):
    ignored = (root / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"  # an allowlist
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for stage in stages_of(dockerfile):
        for word, rest in stage.steps:
            if word != "COPY" or "--from=" in rest:
                continue
            *sources, _target = [w for w in shlex.split(rest) if not w.startswith("--")]
            for source in sources:
                assert (root / source).exists(), source
                assert any(source == a or fnmatch(source, f"{a}/*") for a in allowed), source


def test_stages_copy_from_stages_that_exist(dockerfile):
    stages = stages_of(dockerfile)
    names = {stage.name for stage in stages}
    for stage in stages:
        for _word, rest in stage.steps:
            found = re.search(r"--from=(\S+)", rest)
            assert found is None or found[1] in names


def test_the_application_image_has_no_training_and_no_model_server(root):
    text = (root / "deploy/docker/app.Dockerfile").read_text()
    assert "requirements/main.txt" in text
    assert not re.search(r"train\.txt|server\.txt|tritonserver", text)


def test_the_models_python_is_the_one_its_packages_are_installed_for(root):
    stages = {stage.name: stage for stage in stages_of(root / "deploy/docker/model.Dockerfile")}
    for name in ("serving-packages", "gpu-packages"):
        # Triton containers from 24.11 on run Python 3.12.
        assert stages[name].base.startswith("python:3.12.")
    assert re.search(r":25\.\d\d-py3$", stages["serve"].base)
    assert stages["serve-gpu"].base == "serve"


def test_hadolint_finds_nothing(dockerfile, tool):
    status, output = run_to_end(Command((tool("hadolint"), str(dockerfile))), 60)
    assert status == 0, output


def test_the_model_server_finds_its_packages_although_it_embeds_python_in_isolation(root, tmp_path):
    line = (root / "deploy/docker/serving_path.txt").read_text()
    # Python reads the file when it looks through its site folders, isolated (-I) or not.
    (tmp_path / "groundswell.pth").write_text(line)
    code = f"import site, sys; site.addsitedir({str(tmp_path)!r}); print(sys.path[:3])"
    status, output = run_to_end(Command((sys.executable, "-I", "-c", code)), 60)
    assert status == 0, output
    found = ast.literal_eval(output)
    assert found == ["/opt/serving-gpu", "/opt/serving", "/app"]
    targets = {
        rest.split()[-1]
        for stage in stages_of(root / "deploy/docker/model.Dockerfile")
        for word, rest in stage.steps
        if word == "COPY" and stage.name in ("serve", "serve-gpu")
    }
    assert {"/opt/serving", "/opt/serving-gpu", "/app/core", "/app/models"} <= targets
    assert "/usr/local/lib/python3.12/dist-packages/groundswell.pth" in targets
