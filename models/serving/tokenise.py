"""Normalised text to token ids with the backbone's own tokenizer file (Rust, no torch)."""

from collections.abc import Sequence
from pathlib import Path

from core.errors import ConfigError


class TextTokenizer:
    """Token ids of normalised texts; special tokens included, no padding. Thread-safe."""

    def __init__(self, tokenizer_file: Path, max_tokens: int) -> None:
        """Load a tokenizer file.

        Raises:
            ConfigError: the tokenizers package is not installed.
        """
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ConfigError(
                "the model needs tokenizers, which is in the model server's environment: use "
                "scorer.kind = 'triton', or run this with .venv-server/bin/python"
            ) from error
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, at most `max_tokens` long; an empty list for no texts."""
        if not texts:
            return []
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
