"""The student answers what it is sure of, the encoder the rest: decided by a post's text alone.

A post goes on to the encoder when the student is not sure of any one of its heads, since the
encoder answers all of them in one pass. A fixed share of texts, chosen by their digest and not by a
draw, is always asked about, and on those both are compared. So the same text has the same answer in
every batch, on every server.

Shapes: `B` posts, `C` classes of a head, `W` classes of all heads together.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from core.routes import AUDITED, READ, SENT, Routes, agreed_bit
from models.encoder.config import HeadConfig
from models.serving.calibration import probabilities
from models.serving.engines import EMBEDDING, LOGITS_PREFIX, InferenceEngine, Outputs
from models.student.config import Answers, StudentConfig

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
_DIGEST_SPAN: Final = 1 << 64
_EDGE: Final = 1e-6


class LogitsEngine(Protocol):
    """Token ids to `logits_<head>`; an embedding is not needed."""

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        """Return the logits of every text, row i for text i; needs at least one text."""
        ...


def packed_probabilities(
    outputs: Mapping[str, Floats], heads: Sequence[HeadConfig], rows: int
) -> Floats:
    """Return the calibrated probabilities (B, W) of all heads side by side.

    Raises:
        ValueError: Logits have another shape than their head.
    """
    found: list[Floats] = []
    for head in heads:
        logits = outputs[LOGITS_PREFIX + head.name]
        expected = (rows, len(head.calibration.scale))
        if logits.shape != expected:  # a single row or column would be written to all of them
            raise ValueError(f"{head.name} has shape {logits.shape}, expected {expected}")
        found.append(probabilities(logits, head))
    return np.concatenate(found, axis=1)


def columns_of(heads: Sequence[HeadConfig]) -> dict[str, slice]:
    """Return head -> its columns among those of all heads."""
    widths = [len(head.labels) for head in heads]
    ends = np.cumsum(widths).tolist()
    return {
        head.name: slice(end - width, end)
        for head, width, end in zip(heads, widths, ends, strict=True)
    }


def decisions(found: Floats, head: HeadConfig) -> NDArray[np.int64]:
    """Return what a head decides: (B,) the class or level, (B, C) yes or no of each question."""
    if head.activation == "softmax":
        return found.argmax(1)
    if head.activation == "sigmoid":
        return (found >= head.cut).astype(np.int64)
    level = found[:, 1:].argmax(1) + 1
    return np.where(1.0 - found[:, 0] >= head.cut, level, 0).astype(np.int64)


def sureness(found: Floats, head: HeadConfig) -> NDArray[np.float64]:
    """Return how sure a head is of its decision (B,), in [0, 1].

    Of exclusive classes the probability on top; of a yes-or-no question how far, in log odds, its
    probability is from the cut, as a probability, and of several the least.
    """
    if head.activation == "softmax":
        return found.max(1).astype(np.float64)
    yes = found if head.activation == "sigmoid" else 1.0 - found[:, :1]
    inside = np.clip(yes.astype(np.float64), _EDGE, 1 - _EDGE)
    margin = np.abs(np.log(inside / (1 - inside)) - np.log(head.cut / (1 - head.cut)))
    return 1.0 / (1.0 + np.exp(-margin.min(1)))


def is_audited(key: bytes, share: float) -> bool:
    """Tell whether a text with this digest (8 bytes or more) is one of those always asked about."""
    return int.from_bytes(key[:8], "big") < share * _DIGEST_SPAN


@dataclass(frozen=True, slots=True)
class NetworkReading:
    """What came of reading some texts.

    Attributes:
        probabilities: Of all heads side by side, (B, W).
        routes: How each text was answered; None where nothing was to be decided.
        embedding: The encoder's, (B, D), where it was wanted.
    """

    probabilities: Floats
    routes: Routes | None
    embedding: Floats | None


class EncoderAlone:
    """Every text is read by the encoder."""

    def __init__(self, heads: Sequence[HeadConfig], engine: InferenceEngine) -> None:
        self._heads, self._engine = heads, engine

    def read(
        self, token_ids: Sequence[Sequence[int]], keys: Sequence[bytes], with_embedding: bool
    ) -> NetworkReading:
        """Read at least one text."""
        outputs = self._engine.infer(token_ids)
        found = packed_probabilities(outputs, self._heads, len(token_ids))
        return NetworkReading(found, None, outputs[EMBEDDING] if with_embedding else None)

    def warm_up(self, token_ids: Sequence[Sequence[int]]) -> None:
        """Read texts for the sake of what the first reading makes.

        Raises:
            ValueError: The outputs are not those of the heads.
        """
        self.read(token_ids, (), with_embedding=True)


class Cascade:
    """Every text is read by the student, some by the encoder. One call at a time."""

    def __init__(
        self,
        config: StudentConfig,
        student: LogitsEngine,
        heads: Sequence[HeadConfig],
        encoder: InferenceEngine,
    ) -> None:
        """Put a student before an encoder.

        Args:
            config: The student's.
            student: Its engine.
            heads: The encoder's heads, in the order of the probabilities.
            encoder: The encoder's engine.
        """
        self._config, self._student = config, student
        self._heads, self._encoder = heads, encoder
        self._columns = columns_of(heads)

    def read(
        self, token_ids: Sequence[Sequence[int]], keys: Sequence[bytes], with_embedding: bool
    ) -> NetworkReading:
        """Read at least one text; `keys` are the digests of the texts.

        The embedding is the encoder's alone, so who wants it has every text read by both; the
        probabilities are the same as without.
        """
        started = time.perf_counter()
        outputs = self._student.infer(token_ids)
        found = packed_probabilities(outputs, self._config.heads, len(token_ids))
        audited = np.asarray([is_audited(key, self._config.audit_share) for key in keys], np.bool_)
        sent = audited | self.unsure(found)
        bits = np.where(sent, READ | SENT, READ).astype(np.uint16)
        between = time.perf_counter()
        asked = np.arange(len(token_ids)) if with_embedding else np.flatnonzero(sent)
        vectors: Floats | None = None
        if len(asked):
            outputs = self._encoder.infer([token_ids[row] for row in asked.tolist()])
            theirs = packed_probabilities(outputs, self._heads, len(asked))
            vectors = outputs[EMBEDDING] if with_embedding else None
            same = self._agreements(found[asked], theirs)
            bits[asked] |= np.where(audited[asked], same | AUDITED, 0).astype(np.uint16)
            kept = sent[asked]
            found[asked[kept]] = theirs[kept]
        ended = time.perf_counter()
        return NetworkReading(found, Routes(bits, between - started, ended - between), vectors)

    def warm_up(self, token_ids: Sequence[Sequence[int]]) -> None:
        """Let both read texts for the sake of what the first reading makes.

        Raises:
            ValueError: The outputs of either are not those of its heads.
        """
        for engine, heads in ((self._student, self._config.heads), (self._encoder, self._heads)):
            packed_probabilities(engine.infer(token_ids), heads, len(token_ids))

    def unsure(self, found: Floats) -> Flags:
        """Tell of which posts the student is not sure on some head, (B,), by its answers (B, W)."""
        unsure = np.zeros(len(found), np.bool_)
        if self._config.answers is Answers.CASCADE:
            for head in self._config.heads:
                sure = sureness(found[:, self._columns[head.name]], head)
                # Not "below": what is no number is not sure either.
                unsure |= ~(sure >= self._config.least_sure[head.name])
        return unsure

    def _agreements(self, ours: Floats, theirs: Floats) -> NDArray[np.uint16]:
        """Return the bits of the heads on which both decide alike, (B,)."""
        found = np.zeros(len(ours), np.uint16)
        for student, encoder in zip(self._config.heads, self._heads, strict=True):
            columns = self._columns[encoder.name]
            mine, yours = (
                decisions(ours[:, columns], student),
                decisions(theirs[:, columns], encoder),
            )
            same = (mine == yours).reshape(len(mine), -1).all(1)
            found |= np.where(same, agreed_bit(encoder.name), 0).astype(np.uint16)
        return found
