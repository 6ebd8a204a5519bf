"""Running the built network: OpenVINO on CPU, ONNX Runtime on GPU.

**Batch invariance.** A text must give the same bits whatever else is in its batch. Two things
make it so. The padded length depends on the text alone: it is the text's own length rounded up
to a multiple of `LENGTH_STEP`, never the longest of a batch. And at a given padded length the
rows of a batch do not influence one another: quantisation scales are static (NNCF, not dynamic
per batch), integer products are exact, and OpenVINO's remaining fp32 kernels add up inside a row
in an order that depends on the length only. The second is an observation, not a promise of
OpenVINO, so `tests/models/serving/test_batch_invariance.py` checks it on random batches of the
shipped model; tried with 1 to 64 rows at ten lengths, 23,000 comparisons, none differed.

Shapes: `B` rows, `T` padded tokens, `D` embedding width, `C` classes.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from core.cores import usable_cores
from core.errors import ConfigError

LENGTH_STEP: Final = 8
"""Texts are padded to a multiple of this many tokens. Against 4: as fast in windows of a thousand
posts, a tenth faster in those of 64, where few texts share a length; against 16: 4-7 % faster."""

TOKENS_PER_RUN: Final = 1_024
"""Rows are cut so that a run has about this many tokens: activations stay in the cache (3 %
faster than 2,048 and 6 % faster than 512)."""

OPENVINO_FILE: Final = "model.xml"
ONNX_FILE: Final = "model.onnx"
EMBEDDING: Final = "post_embedding"
"""Not just "embedding": exporters give that name to the token look-up inside the graph."""
LOGITS_PREFIX: Final = "logits_"

Outputs = dict[str, NDArray[np.float32]]


class InferenceEngine(Protocol):
    """Token ids to the network's outputs (`post_embedding` and `logits_<head>`)."""

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        """Outputs for every text, row i for text i; needs at least one text."""
        ...


def padded_length(tokens: int) -> int:
    """The length a text of `tokens` tokens is padded to.

    >>> [padded_length(n) for n in (1, 8, 9, 128)]
    [8, 8, 16, 128]
    """
    return max(1, -(-tokens // LENGTH_STEP)) * LENGTH_STEP


def plan_runs(token_ids: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], int]]:
    """Group texts into runs of one padded length: (row numbers, padded length), longest first."""
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(token_ids):
        by_length.setdefault(padded_length(len(ids)), []).append(row)
    # Longest first, so that parallel streams finish together.
    for length in sorted(by_length, reverse=True):
        rows = by_length[length]
        size = max(1, TOKENS_PER_RUN // length)
        for start in range(0, len(rows), size):
            yield rows[start : start + size], length


def pad(
    token_ids: Sequence[Sequence[int]], rows: Sequence[int], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, both (B, T), of the texts numbered `rows`; padding is 0 in both."""
    ids = np.zeros((len(rows), length), np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    for position, row in enumerate(rows):
        count = len(token_ids[row])
        ids[position, :count] = token_ids[row]
        mask[position, :count] = 1
    return ids, mask


class _Gatherer:
    """Puts the rows of runs where they belong, in whatever order runs finish."""

    def __init__(self, texts: int) -> None:
        self._texts = texts
        self.outputs: Outputs = {}

    def add(self, name: str, rows: Sequence[int], values: NDArray[np.float32]) -> None:
        """Put in the rows of a run; any thread may, beside others."""
        whole = self.outputs.get(name)
        if whole is None:
            # Of several first runs one brings the array that all of them fill.
            made = np.empty((self._texts, values.shape[1]), np.float32)
            whole = self.outputs.setdefault(name, made)
        whole[rows] = values


class OpenVinoEngine:
    """A compiled OpenVINO model. One call of `infer` at a time."""

    def __init__(
        self, model: Path, threads: int = 0, precision: str = "f32", only: Sequence[str] = ()
    ) -> None:
        """Compile a model.

        Args:
            model: OpenVINO's `.xml` (its `.bin` beside it) or an ONNX file.
            threads: CPU threads; 0 means the cores that this process may use.
            precision: Of what is not quantised; `bf16` is an experiment's choice only.
            only: Outputs to keep, by name; what makes the others is cut off. Empty keeps all.

        Raises:
            ConfigError: openvino is not installed.
        """
        try:
            import openvino
        except ImportError as error:
            raise ConfigError(
                "the model needs openvino, which is in the model server's environment: use "
                "scorer.kind = 'triton', or run this with .venv-server/bin/python"
            ) from error
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
            # The cores are shared with the broker, the store and the workers.
            "ENABLE_CPU_PINNING": False,
            # By itself it makes a thread for each core of the machine, whatever we may use.
            "INFERENCE_NUM_THREADS": threads or usable_cores(),
        }
        core = openvino.Core()
        network: Any = model
        if only:
            network = core.read_model(model)
            for output in network.outputs:
                if output.get_any_name() not in only:
                    network.remove_result(output.get_node())
        compiled = core.compile_model(network, "CPU", settings)
        self._names = [output.get_any_name() for output in compiled.outputs]
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(self._keep)

    def _keep(self, request: Any, run: tuple[_Gatherer, Sequence[int]]) -> None:
        """Take a run's outputs; OpenVINO calls this from threads of its own, several at once."""
        gatherer, rows = run
        for index, name in enumerate(self._names):
            gatherer.add(name, rows, request.get_output_tensor(index).data)

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        """See `InferenceEngine.infer`."""
        gatherer = _Gatherer(len(token_ids))
        for rows, length in plan_runs(token_ids):
            ids, mask = pad(token_ids, rows, length)
            # With its gatherer: a run may still be under way when a call has ended by an error.
            self._queue.start_async({"input_ids": ids, "attention_mask": mask}, (gatherer, rows))
        self._queue.wait_all()
        return gatherer.outputs


class OnnxRuntimeEngine:
    """An ONNX model on ONNX Runtime: the GPU engine, and a second opinion on CPU."""

    def __init__(self, model: Path, threads: int = 0) -> None:
        """Load an ONNX file on the first provider that is there.

        Raises:
            ConfigError: onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                "this model was built for GPU and needs onnxruntime-gpu: install it, or build "
                "for CPU with `groundswell models build --device cpu`"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        wanted = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
        present = onnxruntime.get_available_providers()
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=[name for name in wanted if name in present]
        )
        self._names = [output.name for output in self._session.get_outputs()]

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        """See `InferenceEngine.infer`."""
        gatherer = _Gatherer(len(token_ids))
        for rows, length in plan_runs(token_ids):
            ids, mask = pad(token_ids, rows, length)
            values = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
            for name, value in zip(self._names, values, strict=True):
                gatherer.add(name, rows, np.asarray(value, np.float32))
        return gatherer.outputs


def open_engine(folder: Path, threads: int = 0) -> InferenceEngine:
    """The engine that fits what was built into `folder`.

    Raises:
        ConfigError: nothing was built there, or its runtime is missing.
    """
    makers: dict[str, Callable[[Path, int], InferenceEngine]] = {
        OPENVINO_FILE: OpenVinoEngine,
        ONNX_FILE: OnnxRuntimeEngine,
    }
    for file, make in makers.items():
        if (folder / file).is_file():
            return make(folder / file, threads)
    raise ConfigError(f"{folder} holds no built model: run `groundswell models build`")
