import json
from pathlib import Path

import pytest

from core.errors import ConfigError
from models.serving.triton_process import triton_command


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "post_encoder").mkdir(parents=True)
    (folder / "post_encoder" / "config.pbtxt").write_text('name: "post_encoder"\n')
    return folder


def fake_python(folder: Path, site: Path) -> Path:
    """An interpreter that says what a real one would say of its environment."""
    said = json.dumps(
        {
            "version": "3.11",
            "site": str(site),
            "libraries": str(site),
            "library": "libpython3.11.so.1.0",
            "base": "/base",
        }
    )
    python = folder / "python"
    python.write_text(f"#!/bin/sh\necho '{said}'\n")
    python.chmod(0o755)
    return python


def install_wheel(site: Path) -> None:
    """The wheel's files as far as starting the server touches them."""
    server = site / "pytriton" / "tritonserver"
    for file in (
        server / "bin" / "tritonserver",
        server / "backends" / "python" / "libtriton_python.so",
        server / "backends" / "python" / "triton_python_backend_utils.py",
        server / "python_backend_stubs" / "3.11" / "triton_python_backend_stub",
        site / "libpython3.11.so.1.0",
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")


def test_without_the_environment_it_says_what_makes_it(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="groundswell setup"):
        triton_command(tmp_path / "none" / "python", repository, tmp_path, 1, 2, 3)


def test_without_a_model_it_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="models build"):
        triton_command(tmp_path / "python", tmp_path, tmp_path, 1, 2, 3)


def test_without_the_wheel_it_names_what_is_missing(repository: Path, tmp_path: Path) -> None:
    python = fake_python(tmp_path, tmp_path / "site")
    with pytest.raises(ConfigError, match="tritonserver is missing"):
        triton_command(python, repository, tmp_path / "run", 1, 2, 3)


def test_command_and_environment_are_complete(repository: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install_wheel(site)
    python = fake_python(tmp_path, site)
    for _ in range(2):  # a second start finds the links of the first
        command = triton_command(python, repository, tmp_path / "run", 18000, 18001, 18002)
    backend = tmp_path / "run" / "backends" / "python"
    assert {part.name for part in backend.iterdir()} == {
        "libtriton_python.so",
        "triton_python_backend_utils.py",
        "triton_python_backend_stub",
    }
    assert command.argv[:3] == [str(python), "-m", "models.serving.triton_launcher"]
    assert command.argv[3] == str(site / "pytriton" / "tritonserver" / "bin" / "tritonserver")
    assert f"--model-repository={repository}" in command.argv
    assert {"--http-port=18000", "--grpc-port=18001", "--metrics-port=18002"} <= set(command.argv)
    assert {a for a in command.argv if "-address=" in a} == {
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
    }
    assert str(site / "nvidia_pytriton.libs") in command.env["LD_LIBRARY_PATH"]
    assert str(site) in command.env["PYTHONPATH"].split(":")


def test_links_follow_the_environment_when_it_moves(repository: Path, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        install_wheel(tmp_path / name / "site")
        python = fake_python(tmp_path / name, tmp_path / name / "site")
        triton_command(python, repository, tmp_path / "run", 1, 2, 3)
    stub = tmp_path / "run" / "backends" / "python" / "triton_python_backend_stub"
    assert (tmp_path / "new") in stub.resolve().parents
