"""A decoder's GGUF file as arrays under the names that transformers gives them. No torch.

Decoders of the Llama family only (SmolLM2 is one): RMSNorm, rotary positions, grouped queries,
gated feed-forward layers, a byte-level BPE vocabulary. What the file says otherwise is refused.

Shapes: `D` width, `L` layers, `H` heads of queries, `K` heads of keys, `E = D / H`, `V` pieces.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGUFReader, dequantize
from msgspec import Struct
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from core.errors import ConfigError
from models.assemble import Arrays

ARCHITECTURE: Final = "llama"
EMBEDDINGS: Final = "model.embed_tokens.weight"
LAST_NORM: Final = "model.norm.weight"
OUTPUT: Final = "lm_head.weight"
_LAYER_NAMES: Final = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAMES: Final = {"token_embd": EMBEDDINGS, "output_norm": LAST_NORM, "output": OUTPUT}
_SPECIAL: Final = 3
"""What GGUF calls a piece that no text spells (`CONTROL`)."""


class DecoderShape(Struct, frozen=True, kw_only=True):
    """The sizes of a decoder.

    Attributes:
        layers: The number of layers.
        width: The width of the residual stream.
        heads: The number of heads of queries.
        key_heads: The number of heads of keys and values.
        inner: The width of the feed-forward layers.
        pieces: The size of the vocabulary.
        theta: The base of the rotary frequencies.
        epsilon: What keeps the norms from dividing by zero.
    """

    layers: int
    width: int
    heads: int
    key_heads: int
    inner: int
    pieces: int
    theta: float
    epsilon: float

    @property
    def head_width(self) -> int:
        """The width of one head."""
        return self.width // self.heads


class Checkpoint:
    """An opened GGUF file of a decoder.

    Args:
        path: The file.

    Raises:
        ConfigError: It is no GGUF file, or one of a decoder that is not of the Llama family.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader = GGUFReader(path)
        except Exception as error:  # whatever the reader makes of bytes that are no GGUF
            raise ConfigError(
                f"{path} cannot be read as GGUF: {type(error).__name__}: {error}"
            ) from error
        found = self._field("general.architecture")
        if found != ARCHITECTURE:
            raise ConfigError(f"{path} is a decoder of kind {found!r}, expected {ARCHITECTURE!r}")
        self.shape = self._shape()

    def _field(self, key: str, default: object = None) -> Any:
        field = self._reader.fields.get(key)
        value = default if field is None else field.contents()
        if value is None:
            raise ConfigError(f"{self._path} does not say {key}")
        return value

    def _shape(self) -> DecoderShape:
        def size(key: str) -> int:
            return int(self._field(f"{ARCHITECTURE}.{key}"))

        shape = DecoderShape(
            layers=size("block_count"),
            width=size("embedding_length"),
            heads=size("attention.head_count"),
            key_heads=size("attention.head_count_kv"),
            inner=size("feed_forward_length"),
            pieces=len(self._field("tokenizer.ggml.tokens")),
            theta=float(self._field(f"{ARCHITECTURE}.rope.freq_base", 10_000.0)),
            epsilon=float(self._field(f"{ARCHITECTURE}.attention.layer_norm_rms_epsilon")),
        )
        turned = self._field(f"{ARCHITECTURE}.rope.dimension_count", shape.head_width)
        if shape.width % shape.heads or shape.heads % shape.key_heads or shape.head_width % 2:
            raise ConfigError(f"{self._path}: {shape} cannot be split into heads")
        if turned != shape.head_width or f"{ARCHITECTURE}.rope.scaling.type" in self._reader.fields:
            raise ConfigError(
                f"{self._path}: expected positions that turn whole heads ({shape.head_width}"
                f" numbers, unscaled), found {turned} or a scaling"
            )
        return shape

    def tensors(self) -> Arrays:
        """Return all tensors as float32, (out, in) where they are matrices.

        Raises:
            ConfigError: One is of an unknown name, or one is missing.
        """
        found = {_name(tensor.name): _array(tensor) for tensor in self._reader.tensors}
        wanted = set(_wanted(self.shape))
        if unknown := (set(found) - wanted - {OUTPUT}) or (wanted - set(found)):
            raise ConfigError(f"{self._path}: unexpected or missing tensors {sorted(unknown)[:3]}")
        for layer in range(self.shape.layers):
            for name, heads in (("q_proj", self.shape.heads), ("k_proj", self.shape.key_heads)):
                full = f"model.layers.{layer}.self_attn.{name}.weight"
                found[full] = _halves(found[full], heads)
        return found

    def tokenizer(self) -> Tokenizer:
        """Return what cuts texts into this decoder's pieces.

        Raises:
            ConfigError: Its vocabulary is of another kind.
        """
        kind = (self._field("tokenizer.ggml.model"), self._field("tokenizer.ggml.pre"))
        if kind != ("gpt2", "smollm"):
            raise ConfigError(f"{self._path}: a vocabulary of kind {kind}, expected gpt2, smollm")
        pieces: list[str] = self._field("tokenizer.ggml.tokens")
        merges = [tuple(merge.split(" ")) for merge in self._field("tokenizer.ggml.merges")]
        made = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, merges))
        made.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        made.decoder = decoders.ByteLevel()
        types = self._field("tokenizer.ggml.token_type")
        made.add_special_tokens(
            [
                AddedToken(piece, special=True, normalized=False)
                for piece, kind in zip(pieces, types, strict=True)
                if kind == _SPECIAL
            ]
        )
        return made


def _name(name: str) -> str:
    """Return what transformers calls a tensor.

    Example:
        >>> _name("blk.3.attn_q.weight")
        'model.layers.3.self_attn.q_proj.weight'
    """
    parts = name.split(".")
    if parts[0] == "blk" and parts[2] in _LAYER_NAMES:
        return f"model.layers.{parts[1]}.{_LAYER_NAMES[parts[2]]}.{parts[3]}"
    return _NAMES.get(parts[0], name)


def _wanted(shape: DecoderShape) -> list[str]:
    layers = range(shape.layers)
    names = [f"model.layers.{at}.{name}.weight" for at in layers for name in _LAYER_NAMES.values()]
    return [EMBEDDINGS, LAST_NORM, *names]


def _array(tensor: Any) -> NDArray[np.float32]:
    return np.array(dequantize(tensor.data, tensor.tensor_type), np.float32)


def _halves(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo the order of rows in which GGUF keeps what positions turn.

    GGUF turns neighbouring rows of a head, transformers the rows of its halves.

    Args:
        weights: (heads * E, D) the matrix.
        heads: The number of heads in it.
    """
    rows, width = weights.shape
    pairs = weights.reshape(heads, rows // heads // 2, 2, width)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, width))
