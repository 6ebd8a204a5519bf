"""How to start the `tritonserver` that the nvidia-pytriton wheel carries.

The wheel's Python driver is not used: only its server binary, its python backend and the stub
for the running Python version. Called by the supervisor from the main environment about the
model server's environment, so it imports nothing but the standard library (and our errors).
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import ConfigError
from core.folders import importable

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- where Linux keeps POSIX shared memory
CODE_VARIABLE: Final = "GROUNDSWELL_CODE"
"""Where `model.py` of the repository finds our packages."""
_LOOPBACK: Final = "127.0.0.1"
_ALWAYS: Final = (
    "--disable-auto-complete-config",
    "--allow-gpu-metrics=false",
    "--exit-timeout-secs=10",
    "--log-verbose=0",
)
_ASK_PYTHON: Final = """
import json, sys, sysconfig
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "site": sysconfig.get_path("purelib"),
    "libraries": sysconfig.get_config_var("LIBDIR"),
    "library": sysconfig.get_config_var("INSTSONAME"),
    "base": sys.base_prefix,
}))
"""


@dataclass(frozen=True, slots=True)
class TritonCommand:
    """What to hand to `subprocess`: `env` is complete, nothing of the caller's is inherited.

    `LD_LIBRARY_PATH` in it would break other programs; never merge it into another environment.
    """

    argv: list[str]
    env: dict[str, str]


@dataclass(frozen=True, slots=True)
class _ServerPython:
    version: str
    site: Path
    libraries: Path
    library: str
    base: Path


def _ask(server_python: Path) -> _ServerPython:
    if not server_python.is_file():
        raise ConfigError(
            f"the model server's Python {server_python} does not exist: groundswell setup makes it"
        )
    asked = subprocess.run(  # noqa: S603 -- our own environment's interpreter, fixed code
        [str(server_python), "-I", "-c", _ASK_PYTHON],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if asked.returncode:
        raise ConfigError(f"{server_python} does not run: {asked.stderr.strip()[-300:]}")
    said = json.loads(asked.stdout)
    return _ServerPython(
        said["version"], Path(said["site"]), Path(said["libraries"]), said["library"],
        Path(said["base"]),
    )  # fmt: skip


def _link(target: Path, link: Path) -> None:
    if link.is_symlink() or link.exists():
        if link.resolve() == target.resolve():
            return
        link.unlink()
    link.symlink_to(target)


def _prepare_backends(python: _ServerPython, runtime_dir: Path) -> Path:
    """A backend directory of links: the wheel's python backend and the fitting stub."""
    server = python.site / "pytriton" / "tritonserver"
    stub = server / "python_backend_stubs" / python.version / "triton_python_backend_stub"
    for needed, remedy in (
        (server / "bin" / "tritonserver", "groundswell setup installs nvidia-pytriton there"),
        (stub, "the wheel has stubs for Python 3.8 to 3.13; use one of them"),
        (python.libraries / python.library, "use a Python built with a shared library (uv's is)"),
    ):
        if not needed.exists():
            raise ConfigError(f"{needed} is missing in the model server's environment: {remedy}")
    backend = runtime_dir / "backends" / "python"
    backend.mkdir(parents=True, exist_ok=True)
    for part in (server / "backends" / "python").iterdir():
        if part.name != stub.name:
            _link(part, backend / part.name)
    _link(stub, backend / stub.name)
    return backend.parent


def remove_stale_shared_memory(grpc_port: int) -> list[str]:
    """Delete what a killed server on this port left in shared memory; returns the names.

    Call only while no server runs on the port; `triton_command` does it.
    """
    stale = sorted(_SHARED_MEMORY.glob(f"{_shared_memory_prefix(grpc_port)}*"))
    for region in stale:
        region.unlink(missing_ok=True)
    return [region.name for region in stale]


def _shared_memory_prefix(grpc_port: int) -> str:
    return f"groundswell-{grpc_port}-"


def triton_command(
    server_python: Path,
    repository: Path,
    runtime_dir: Path,
    http_port: int,
    grpc_port: int,
    metrics_port: int,
    server_id: str = "",
) -> TritonCommand:
    """The command line and environment that serve a built model repository.

    The command is `models.serving.triton_launcher`, which runs the server as its child and dies
    with it. The server listens on the loopback address only, is ready after a few seconds (ask
    `/v2/health/ready` on `http_port`), and stops cleanly on SIGTERM. Also links the backend
    files into `runtime_dir` and removes the shared memory of a predecessor that was killed, so
    call it once per start.

    Args:
        server_python: Interpreter of the model server's environment.
        repository: A folder made by `models.build`.
        runtime_dir: Writable folder for the backend links, and the server's home.
        http_port: Health and readiness.
        grpc_port: Inference.
        metrics_port: Triton's own Prometheus endpoint.
        server_id: The name that the server gives in its metadata, `/v2`; Triton's own if empty.

    Raises:
        ConfigError: the environment lacks the wheel or a fitting Python, or there is no model.
    """
    if not any(repository.glob("*/config.pbtxt")):
        raise ConfigError(f"{repository} holds no model: run `groundswell models build`")
    # The folder itself, not the interpreter it links to: a virtual environment is found by it.
    server_python = server_python.absolute()
    runtime_dir = runtime_dir.absolute()
    python = _ask(server_python)
    backends = _prepare_backends(python, runtime_dir)
    remove_stale_shared_memory(grpc_port)
    served = _serve(repository, server_id, http=http_port, grpc=grpc_port, metrics=metrics_port)
    argv = [*_launch(server_python, python, backends, grpc_port), *served]
    return TritonCommand(argv, _environment(server_python, python, runtime_dir))


def _launch(
    server_python: Path, python: _ServerPython, backends: Path, grpc_port: int
) -> Iterator[str]:
    """Yield the words that start the server, with the files of its python backend."""
    # The launcher ends the server when its model process has died, which the server would not.
    yield from (str(server_python), "-m", "models.serving.triton_launcher")
    yield str(python.site / "pytriton" / "tritonserver" / "bin" / "tritonserver")
    yield f"--backend-directory={backends}"
    yield f"--backend-config=python,shm-region-prefix-name={_shared_memory_prefix(grpc_port)}"


def _serve(repository: Path, server_id: str, **ports: int) -> Iterator[str]:
    """Yield the words that say what is served, under which name and where."""
    yield f"--model-repository={repository.absolute()}"
    if server_id:
        yield f"--id={server_id}"
    for name, port in ports.items():
        yield from (f"--{name}-address={_LOOPBACK}", f"--{name}-port={port}")
    yield from _ALWAYS


def _environment(server_python: Path, python: _ServerPython, home: Path) -> dict[str, str]:
    """Return the whole environment of the server."""
    return {
        "PATH": f"{server_python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": f"{python.libraries}:{python.site / 'nvidia_pytriton.libs'}",
        # The stub embeds Python: without this it would look for a standard library by guessing.
        "PYTHONHOME": str(python.base),
        "PYTHONPATH": f"{python.site}:{importable()}",  # of the launcher; the stub reads no paths
        CODE_VARIABLE: str(importable()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
