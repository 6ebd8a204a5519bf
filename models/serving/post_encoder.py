"""Text in, everything out: the whole path of a post through the model, without a server.

Used by Triton's model, by the in-process scorer and by evaluation, so all give the same numbers.

Shapes: `B` posts, `D` embedding width, `C` classes of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from core.errors import ConfigError
from core.model_version import served_version
from models.encoder.config import EncoderConfig, load_config
from models.serving.cache import RecentCache, content_key
from models.serving.calibration import probabilities
from models.serving.engine_choice import AUTO, EngineChoice
from models.serving.engines import (
    EMBEDDING,
    LENGTH_STEP,
    LOGITS_PREFIX,
    InferenceEngine,
)
from models.serving.language import LanguageGate, count_letters
from models.serving.normalise import NORMALISER_VERSION, normalise
from models.serving.place import check_bits
from models.serving.tokenise import TextTokenizer
from models.serving.trials import open_engine

TOKENIZER_FILE: Final = "tokenizer.json"
CACHED_TEXTS: Final = 65_536
"""About 20 MB of scores; reposts of the last minutes are found at any likely rate."""


@dataclass(frozen=True, slots=True)
class ScoredTexts:
    """Scores of a batch; row i belongs to the i-th text.

    A row whose text was not even read by the network (language, too few letters) is all zero and
    not rated. A row of low confidence has its probabilities and is not rated.
    """

    rated: NDArray[np.bool_]
    heads: Mapping[str, NDArray[np.float32]]
    embedding: NDArray[np.float32] | None


class PostEncoderService:
    """A loaded model with its tokenizer, gate and cache. One call at a time.

    Attributes:
        config: The model's configuration; its version names the engine, where one was chosen.
        choice: Which engine runs the network and why; None where it was handed in.
    """

    def __init__(
        self,
        config: EncoderConfig,
        tokenizer: TextTokenizer,
        engine: InferenceEngine,
        cached: int = CACHED_TEXTS,
    ) -> None:
        if config.normaliser_version != NORMALISER_VERSION:
            raise ConfigError(
                f"model {config.version} was trained with text normaliser "
                f"{config.normaliser_version}, this program has {NORMALISER_VERSION}: train again "
                "or use the program that the model came with"
            )
        self.config = config
        self.choice: EngineChoice | None = None
        self._tokenizer = tokenizer
        self._engine = engine
        self._gate = LanguageGate(config.languages)
        self._cache: RecentCache[NDArray[np.float32]] = RecentCache(cached)
        widths = [len(head.labels) for head in config.heads]
        ends = np.cumsum(widths).tolist()
        self._columns = {
            head.name: slice(end - width, end)
            for head, width, end in zip(config.heads, widths, ends, strict=True)
        }
        self._width = sum(widths)

    @property
    def version(self) -> str:
        """The model version that every score carries."""
        return self.config.version

    @property
    def heads(self) -> tuple[str, ...]:
        """The names of the model's heads."""
        return tuple(self._columns)

    def score(
        self, texts: Sequence[str], langs: Sequence[str], with_embedding: bool = False
    ) -> ScoredTexts:
        """Score texts; `langs` has a BCP-47 tag or "" for each. An empty batch gives empty arrays.

        The numbers of a text depend on the text alone (see `models.serving.engines`).
        """
        normalised = [normalise(text) for text in texts]
        readable = [
            count_letters(text) >= self.config.min_letters and self._gate.admits(text, lang)
            for text, lang in zip(normalised, langs, strict=True)
        ]
        packed = np.zeros((len(texts), self._width), np.float32)
        embedding = None
        if with_embedding:
            embedding = np.zeros((len(texts), self.config.embedding_size), np.float32)
        rows = [row for row, is_readable in enumerate(readable) if is_readable]
        self._fill(normalised, rows, packed, embedding)
        heads = {
            name: np.ascontiguousarray(packed[:, columns])
            for name, columns in self._columns.items()
        }
        rated = np.asarray(readable, np.bool_)
        if self.config.confidence_head in heads:
            confident = heads[self.config.confidence_head].max(axis=1, initial=0.0)
            rated &= confident >= np.float32(self.config.min_confidence)
        return ScoredTexts(rated, heads, embedding)

    def _fill(
        self,
        normalised: Sequence[str],
        rows: Sequence[int],
        packed: NDArray[np.float32],
        embedding: NDArray[np.float32] | None,
    ) -> None:
        """Write the numbers of `rows`, asking the network once for each distinct new text."""
        keys = {row: content_key(normalised[row]) for row in rows}
        first_of: dict[bytes, int] = {}
        for row in rows:
            # Embeddings are not cached (1.5 KB each): whoever wants them has the text read.
            known = None if embedding is not None else self._cache.get(keys[row])
            if known is not None:
                packed[row] = known
            else:
                first_of.setdefault(keys[row], row)
        if not first_of:
            return
        new_rows = list(first_of.values())
        encoded = self._tokenizer.encode([normalised[row] for row in new_rows])
        fresh, vectors = self._probabilities(encoded)
        position = {key: index for index, key in enumerate(first_of)}
        for row in rows:
            index = position.get(keys[row])
            if index is None:
                continue
            packed[row] = fresh[index]
            if embedding is not None:
                embedding[row] = vectors[index]
        # Nonsense is answered as it is, for whoever asks to refuse, and asked for anew next time.
        sound: Any = ((fresh >= 0) & (fresh <= 1)).all(axis=1)  # of NaN neither holds
        for key, index in position.items():
            if sound[index]:
                # A copy: a view would keep the scores of the whole batch alive.
                self._cache.put(key, fresh[index].copy())

    def _probabilities(
        self, token_ids: Sequence[Sequence[int]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the network; return the probabilities of all heads side by side, and embeddings."""
        outputs = self._engine.infer(token_ids)
        fresh = np.empty((len(token_ids), self._width), np.float32)
        for head in self.config.heads:
            logits = outputs[LOGITS_PREFIX + head.name]
            expected = (len(token_ids), len(head.calibration.scale))
            if logits.shape != expected:  # a single row or column would be written to all of them
                raise ValueError(f"{head.name} has shape {logits.shape}, expected {expected}")
            fresh[:, self._columns[head.name]] = probabilities(logits, head)
        return fresh, outputs[EMBEDDING]

    def warm_up(self) -> None:
        """Read texts of every length once, so that no post waits for kernels to be made.

        Raises:
            ValueError: The network's outputs are not those of the configuration.
        """
        lengths = range(LENGTH_STEP, self.config.max_tokens + 1, LENGTH_STEP)
        self._probabilities([[1] * length for length in lengths for _ in range(2)])


def open_service(
    folder: Path, threads: int = 0, cached: int = CACHED_TEXTS, engine: str = AUTO
) -> PostEncoderService:
    """Load a built model: one version folder of a model repository.

    Args:
        folder: The version folder.
        threads: CPU threads; 0 means the cores that this process may use.
        cached: How many texts' scores are kept.
        engine: The engine that runs the network; `auto` leaves it to `models.serving.trials`.

    Raises:
        ConfigError: the folder holds no built model or another than it names, no engine can run it,
            or a runtime that it needs is missing.
    """
    if not (folder / TOKENIZER_FILE).is_file():
        raise ConfigError(f"{folder} holds no built model: run `groundswell models build`")
    config = load_config(folder)
    check_bits(folder, config.version)
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, config.max_tokens)
    opened, choice = open_engine(folder, config, engine, threads)
    config = replace(config, version=served_version(config.version, choice.engine))
    service = PostEncoderService(config, tokenizer, opened, cached)
    service.choice = choice
    return service
