"""Running the built network: OpenVINO and ONNX Runtime on CPU, the latter on GPU.

**Batch invariance.** A text must give the same bits whatever else is in its batch. Two things
make it so. The padded length depends on the text alone: it is the text's own length rounded up
to a multiple of `LENGTH_STEP`, never the longest of a batch. And at a given padded length the
rows of a batch do not influence one another: quantisation scales are static (NNCF) or a row's own
(`models.row_scales`), never a batch's; integer products are exact, and the remaining fp32 kernels
add up inside a row in an order that depends on the length only. The second is an observation, no
promise of a library, and does not hold everywhere (OpenVINO with int8 weights and fp32 activations
breaks it without AVX-512). So an engine is tried before it is taken (`models.serving.trials`), and
`tests/models/serving/test_batch_invariance.py` checks each that can be on random batches.

Shapes: `B` rows, `T` padded tokens, `D` embedding width, `C` classes.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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

_ERRORS: Final = 3
"""What ONNX Runtime says by itself: not that a quantised graph needs some constants no more."""

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
    """An ONNX model on ONNX Runtime. One call of `infer` at a time.

    On CPU a run has one thread, and as many runs as threads are under way at once: the sums of a
    run do not depend on the number of threads, and none of them waits for another.
    """

    def __init__(self, model: Path, threads: int = 0, *, on_gpu: bool = True) -> None:
        """Load an ONNX file.

        Args:
            model: The file.
            threads: CPU threads; 0 means the cores that this process may use.
            on_gpu: Whether a GPU is used where there is one.

        Raises:
            ConfigError: onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                "this model needs onnxruntime (on GPU onnxruntime-gpu): install it, or take "
                "another engine, such as scorer.engine = 'openvino-int8'"
            ) from error
        options = onnxruntime.SessionOptions()
        threads = threads or usable_cores()
        options.intra_op_num_threads = threads if on_gpu else 1
        # Who waits for work must not burn a core that broker, store and workers share.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _ERRORS
        wanted = ("CPUExecutionProvider",)
        if on_gpu:
            wanted = ("TensorrtExecutionProvider", "CUDAExecutionProvider", *wanted)
        present = onnxruntime.get_available_providers()
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=[name for name in wanted if name in present]
        )
        self._names = [output.name for output in self._session.get_outputs()]
        self._pool = ThreadPoolExecutor(1 if on_gpu else threads, thread_name_prefix="onnxruntime")

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        """See `InferenceEngine.infer`."""
        gatherer = _Gatherer(len(token_ids))

        def run(planned: tuple[list[int], int]) -> None:
            rows, length = planned
            ids, mask = pad(token_ids, rows, length)
            values = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
            for name, value in zip(self._names, values, strict=True):
                gatherer.add(name, rows, np.asarray(value, np.float32))

        # A list: an error of a run is raised where its result is looked at.
        list(self._pool.map(run, plan_runs(token_ids)))
        return gatherer.outputs
