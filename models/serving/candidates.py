"""The engines that a network is built for, and what each needs.

Shapes and the rule of batch invariance: `models.serving.engines`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from core.errors import ConfigError
from models.serving.engine_choice import AUTO
from models.serving.engines import (
    ONNX_FILE,
    OPENVINO_FILE,
    InferenceEngine,
    OnnxRuntimeEngine,
    OpenVinoEngine,
)

ENGINES_FOLDER: Final = "engines"


@dataclass(frozen=True, slots=True)
class EngineForm:
    """An engine that may run the network.

    Attributes:
        name: As settings, versions and metrics have it.
        device: `cpu` or `gpu`, as it is built for.
        file: The network's file in the engine's folder.
        package: What it is imported from.
        any_of: Features of the processor of which it needs one; none named, it needs none.
        load: Compiles a file for so many threads, 0 for the cores that may be used.
    """

    name: str
    device: str
    file: str
    package: str
    any_of: frozenset[str]
    load: Callable[[Path, int], InferenceEngine]

    def place(self, folder: Path) -> Path:
        """Its network in a version folder, whether it was built or not."""
        return folder / ENGINES_FOLDER / self.name / self.file

    def lacking(self, flags: frozenset[str]) -> str:
        """What it needs and does not find here; empty if it can run.

        Args:
            flags: The processor's features, as the kernel names them.
        """
        if find_spec(self.package) is None:
            return f"the package {self.package} is not installed"
        if self.any_of and not self.any_of & flags:
            return f"the processor has none of {', '.join(sorted(self.any_of))}"
        return ""


_SHORT_PRODUCTS: Final = frozenset({"avx2", "asimd"})
CANDIDATES: Final = (
    # Of two that are as fast the first is taken.
    EngineForm("openvino-int8", "cpu", OPENVINO_FILE, "openvino", frozenset(), OpenVinoEngine),
    EngineForm(
        "onnxruntime-int8", "cpu", ONNX_FILE, "onnxruntime", _SHORT_PRODUCTS,
        partial(OnnxRuntimeEngine, on_gpu=False),
    ),
    EngineForm(
        "openvino-int8-weights", "cpu", OPENVINO_FILE, "openvino", frozenset(), OpenVinoEngine
    ),
    EngineForm("openvino-fp32", "cpu", OPENVINO_FILE, "openvino", frozenset(), OpenVinoEngine),
    EngineForm(
        "onnxruntime-fp16", "gpu", ONNX_FILE, "onnxruntime", frozenset(),
        partial(OnnxRuntimeEngine, on_gpu=True),
    ),
)  # fmt: skip
NAMES: Final = tuple(candidate.name for candidate in CANDIDATES)
REFERENCE: Final = "openvino-fp32"
"""The engine that the others are held against."""
SHIPPED: Final = "openvino-int8"
"""The engine of all versions before engines could be chosen: what figures are compared with."""


def candidate(name: str) -> EngineForm:
    """The candidate called `name`.

    Raises:
        ConfigError: there is none; the message names those there are.
    """
    for found in CANDIDATES:
        if found.name == name:
            return found
    raise ConfigError(f"there is no engine {name!r}; expected {', '.join((AUTO, *NAMES))}")


def built_candidates(folder: Path) -> tuple[EngineForm, ...]:
    """Those whose network is in a version folder.

    Raises:
        ConfigError: there is none.
    """
    found = tuple(each for each in CANDIDATES if each.place(folder).is_file())
    if not found:
        raise ConfigError(f"{folder} holds no built model: run `groundswell models build`")
    return found


def load_shipped(folder: Path) -> InferenceEngine:
    """The engine `SHIPPED` of a version folder, whichever was chosen there.

    Raises:
        ConfigError: it was not built there, or its runtime is missing.
    """
    shipped = candidate(SHIPPED)
    if not shipped.place(folder).is_file():
        raise ConfigError(f"{folder} holds no model built for CPU: run `groundswell models build`")
    return shipped.load(shipped.place(folder), 0)
