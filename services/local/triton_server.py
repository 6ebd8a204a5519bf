"""NVIDIA Triton on this machine: the real `tritonserver`, serving the built model repository."""

import re
import uuid
from collections.abc import Mapping
from pathlib import Path

from core.folders import importable
from services.local.child import Command, run_to_end
from services.local.paths import DEFAULT_PATHS, DEFAULT_SERVER_PYTHON
from services.local.ports import LOOPBACK, any_free_port
from services.local.probes import fetch, http_answers
from services.local.server import LocalServer, ServerFailed

_BUILD_TIMEOUT_S = 600.0


def build_model_repository(
    server_python: Path = DEFAULT_SERVER_PYTHON,
    repository: Path = DEFAULT_PATHS.model_repository,
) -> str:
    """Build the model repository in the model server's environment; quick when up to date.

    Returns:
        What the builder printed.

    Raises:
        ServerFailed: There is no such environment, or the build failed.
    """
    if not server_python.exists():
        raise ServerFailed(
            f"there is no model server environment at {server_python}: groundswell setup makes it"
        )
    build = Command(
        (str(server_python), "-P", "-m", "models.build", "--output", str(repository)),
        env={"PYTHONPATH": str(importable())},
    )
    status, output = run_to_end(build, _BUILD_TIMEOUT_S)
    if status != 0:
        raise ServerFailed(f"the model was not built:\n{output}")
    return output


class TritonServer(LocalServer):
    """The inference server; it keeps nothing, so a restart is always clean.

    Example:
        with TritonServer(Path("scratch/triton")) as triton:
            triton.grpc_address
        '127.0.0.1:49154'
    """

    name = "triton"
    ready_timeout_s = 120.0  # loading and compiling the model takes the larger part
    stop_grace_s = 15.0
    # It looks for a GPU and tells that there is none as a warning and an error; the model it
    # serves here runs on the CPU.
    unshown = re.compile(
        r'E\d{4} .* "CudaDriverHelper has not been initialized\."$'
        r'|W\d{4} .* "Unable to allocate pinned system memory, pinned memory pool will not be '
    )

    def __init__(
        self,
        directory: Path,
        http_port: int | None = None,
        grpc_port: int | None = None,
        metrics_port: int | None = None,
        log_path: Path | None = None,
        server_python: Path = DEFAULT_SERVER_PYTHON,
        repository: Path = DEFAULT_PATHS.model_repository,
    ) -> None:
        """Choose ports; start nothing yet. The repository must have been built.

        Args:
            directory: Scratch folder of the server.
            http_port: Health and HTTP inference; any free port if None.
            grpc_port: Inference; any free port if None.
            metrics_port: Prometheus page; any free port if None.
            log_path: The file for the server's output; `<directory>/triton.log` if None.
            server_python: The interpreter of the model server's environment.
            repository: The built Triton model repository.
        """
        super().__init__(directory, log_path)
        self.http_port = http_port or any_free_port()
        self.grpc_port = grpc_port or any_free_port({self.http_port})
        self.metrics_port = metrics_port or any_free_port({self.http_port, self.grpc_port})
        # By this name the server answers to questions of who it is.
        self._server_id = f"groundswell-{uuid.uuid4()}"
        self._server_python = server_python
        self._repository = repository

    @property
    def grpc_address(self) -> str:
        """Where the scorer connects, `host:port`."""
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def http_url(self) -> str:
        """Base address of the HTTP interface."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def ports(self) -> Mapping[str, int]:
        """HTTP, gRPC and metrics ports."""
        return {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}

    def is_ready(self) -> bool:
        """Triton says that it and every model of the repository are ready, and that it is ours."""
        if not http_answers(self.http_port, "/v2/health/ready"):
            return False
        return self._server_id.encode() in (fetch(self.http_port, "/v2") or b"")

    def command(self) -> Command:
        """Return the server's command; its library path stays in its own environment.

        Raises:
            ServerFailed: The model repository has not been built.
        """
        # The one place where the local stack touches the models package: its maker knows where
        # the wheel keeps its parts. Standard library only, so it is safe in this environment.
        from models.serving.triton_process import triton_command

        if not self._repository.is_dir():
            raise ServerFailed(
                f"there is no model repository at {self._repository}: groundswell setup builds it"
            )
        started = triton_command(
            self._server_python,
            self._repository,
            self.directory,
            http_port=self.http_port,
            grpc_port=self.grpc_port,
            metrics_port=self.metrics_port,
            server_id=self._server_id,
        )
        return Command(tuple(started.argv), started.env, self.directory, inherits=False)
