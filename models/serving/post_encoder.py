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
from core.routes import Routes
from models.encoder.config import EncoderConfig, load_config
from models.serving.cache import RecentCache, content_key
from models.serving.cascade import Cascade, EncoderAlone, columns_of
from models.serving.engine_choice import AUTO, EngineChoice
from models.serving.engines import LENGTH_STEP, InferenceEngine
from models.serving.language import LanguageGate, count_letters
from models.serving.normalise import NORMALISER_VERSION, normalise
from models.serving.place import check_bits
from models.serving.student import open_student
from models.serving.tokenise import TextTokenizer
from models.serving.trials import open_engine
from models.student.config import STUDENT_CONFIG_FILE

TOKENIZER_FILE: Final = "tokenizer.json"
CACHED_TEXTS: Final = 65_536
"""About 20 MB of scores; reposts of the last minutes are found at any likely rate."""


@dataclass(frozen=True, slots=True)
class ScoredTexts:
    """Scores of a batch; row i belongs to the i-th text.

    A row whose text was not even read by the network (language, too few letters) is all zero and
    not rated. A row of low confidence has its probabilities and is not rated. `routes` say how
    each was answered, and how long both networks took for what the cache did not know; without a
    student there are none.
    """

    rated: NDArray[np.bool_]
    heads: Mapping[str, NDArray[np.float32]]
    embedding: NDArray[np.float32] | None
    routes: Routes | None = None


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
        cascade: Cascade | None = None,
    ) -> None:
        """Take a model; with a cascade, that decides which texts the encoder reads.

        Raises:
            ConfigError: It was trained with another text normaliser.
        """
        if config.normaliser_version != NORMALISER_VERSION:
            raise ConfigError(
                f"model {config.version} was trained with text normaliser "
                f"{config.normaliser_version}, this program has {NORMALISER_VERSION}: train again "
                "or use the program that the model came with"
            )
        self.config = config
        self.choice: EngineChoice | None = None
        self._tokenizer = tokenizer
        self._reader = cascade or EncoderAlone(config.heads, engine)
        self._gate = LanguageGate(config.languages)
        self._cache: RecentCache[NDArray[np.float32]] = RecentCache(cached)
        self._columns = columns_of(config.heads)
        # What is kept of a text: its probabilities, and in the last column how it was answered.
        self._width = sum(len(head.labels) for head in config.heads) + 1
        self._has_routes = cascade is not None

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
        seconds = self._fill(normalised, rows, packed, embedding)
        heads = {
            name: np.ascontiguousarray(packed[:, columns])
            for name, columns in self._columns.items()
        }
        rated = np.asarray(readable, np.bool_)
        if self.config.confidence_head in heads:
            confident = heads[self.config.confidence_head].max(axis=1, initial=0.0)
            rated &= confident >= np.float32(self.config.min_confidence)
        routes = Routes(packed[:, -1].astype(np.uint16), *seconds) if self._has_routes else None
        return ScoredTexts(rated, heads, embedding, routes)

    def _fill(
        self,
        normalised: Sequence[str],
        rows: Sequence[int],
        packed: NDArray[np.float32],
        embedding: NDArray[np.float32] | None,
    ) -> tuple[float, float]:
        """Write the numbers of `rows`, asking the networks once for each distinct new text.

        Returns:
            How many seconds the student and the encoder took.
        """
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
            return 0.0, 0.0
        encoded = self._tokenizer.encode([normalised[row] for row in first_of.values()])
        read = self._reader.read(encoded, list(first_of), embedding is not None)
        fresh = np.zeros((len(first_of), self._width), np.float32)
        fresh[:, :-1] = read.probabilities
        if read.routes is not None:
            fresh[:, -1] = read.routes.bits
        position = {key: index for index, key in enumerate(first_of)}
        for row in rows:
            index = position.get(keys[row])
            if index is None:
                continue
            packed[row] = fresh[index]
            if embedding is not None and read.embedding is not None:
                embedding[row] = read.embedding[index]
        self._keep(list(first_of), fresh)
        routes = read.routes
        return (routes.student_s, routes.encoder_s) if routes is not None else (0.0, 0.0)

    def _keep(self, keys: Sequence[bytes], fresh: NDArray[np.float32]) -> None:
        """Remember the numbers of new texts, row i for key i."""
        # Nonsense is answered as it is, for whoever asks to refuse, and asked for anew next time.
        answers = fresh[:, :-1]
        sound: Any = ((answers >= 0) & (answers <= 1)).all(axis=1)  # of NaN neither holds
        for index, key in enumerate(keys):
            if sound[index]:
                # A copy: a view would keep the scores of the whole batch alive.
                self._cache.put(key, fresh[index].copy())

    def warm_up(self) -> None:
        """Read texts of every length once, so that no post waits for kernels to be made.

        Raises:
            ValueError: The network's outputs are not those of the configuration.
        """
        lengths = range(LENGTH_STEP, self.config.max_tokens + 1, LENGTH_STEP)
        pieces = [[1] * length for length in lengths for _ in range(2)]
        self._reader.warm_up(pieces)


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
    cascade = None
    if (folder / STUDENT_CONFIG_FILE).is_file():
        student = open_student(folder, config, threads)
        cascade = Cascade(*student, config.heads, opened)
    config = replace(config, version=served_version(config.version, choice.engine))
    service = PostEncoderService(config, tokenizer, opened, cached, cascade)
    service.choice = choice
    return service
