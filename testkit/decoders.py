"""Tiny decoders with random weights, as GGUF files and adapters: what tests build and serve.

Of the same family, with the same kind of vocabulary and the same marks as the shipped one, so the
whole path is the real one; what they write is noise of whole words.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray
from safetensors.numpy import save_file

from models.backbone import sha256_of
from models.popalm.checkpoint import Checkpoint
from models.popalm.config import (
    ADAPTER_CONFIG,
    ADAPTER_FILE,
    ResponderConfig,
    save_responder_config,
)

SIZES: Final = {"layers": 2, "width": 32, "heads": 4, "key_heads": 2, "inner": 48}
MARKS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>")
WORDS: Final = (
    "the", "that", "this", "so", "very", "cat", "dog", "day", "good", "great", "bad", "funny", "is",
    "was", "and", "but", "my", "what", "why", "how", "love", "like", "hate", "really", "never",
    "always", "again", "today", "people", "they", "it",
)  # fmt: skip
ADAPTED: Final = ("q_proj", "v_proj", "up_proj")
EVERY_LINEAR: Final = (*ADAPTED, "k_proj", "o_proj", "gate_proj", "down_proj")
"""What training adapts."""
_NORMAL, _CONTROL = 1, 3


def write_decoder(path: Path, seed: int = 1) -> Path:
    """Write a decoder's GGUF file.

    Args:
        path: The file.
        seed: What its weights are drawn by.

    Returns:
        The file.
    """
    pieces, merges = _vocabulary()
    rng = np.random.default_rng(seed)
    writer = GGUFWriter(path, "llama")
    width, heads = SIZES["width"], SIZES["heads"]
    writer.add_block_count(SIZES["layers"])
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(SIZES["inner"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(SIZES["key_heads"])
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(pieces)
    writer.add_token_types([_CONTROL if piece in MARKS else _NORMAL for piece in pieces])
    writer.add_token_merges(merges)
    for name, tensor in _tensors(rng, pieces).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary() -> tuple[list[str], list[str]]:
    """Return pieces (the marks, all bytes, words) and the merges that make the words."""
    from tokenizers.pre_tokenizers import ByteLevel

    pieces = [*MARKS, *sorted(ByteLevel.alphabet())]
    merges: list[str] = []
    for word in WORDS:
        whole = "Ġ"
        for letter in word:
            if whole + letter not in pieces:
                merges.append(f"{whole} {letter}")
                pieces.append(whole + letter)
            whole += letter
    return pieces, merges


def _tensors(rng: np.random.Generator, pieces: list[str]) -> dict[str, NDArray[np.float32]]:
    """Return random weights whose likeliest pieces are whole words."""
    width, inner = SIZES["width"], SIZES["inner"]
    keys = width // SIZES["heads"] * SIZES["key_heads"]
    shapes = {
        "attn_q": (width, width), "attn_k": (keys, width), "attn_v": (keys, width),
        "attn_output": (width, width), "ffn_gate": (inner, width), "ffn_up": (inner, width),
        "ffn_down": (width, inner),
    }  # fmt: skip
    found: dict[str, Any] = {}
    for layer in range(SIZES["layers"]):
        for name, shape in shapes.items():
            found[f"blk.{layer}.{name}.weight"] = rng.normal(0, 0.3, shape)
        for name in ("attn_output", "ffn_down"):
            found[f"blk.{layer}.{name}.weight"][0] = 0
        for name in ("attn_norm", "ffn_norm"):
            found[f"blk.{layer}.{name}.weight"] = rng.uniform(0.8, 1.2, width)
    # One number of the stream is the same whatever was read; by it the last layer likes whole
    # words and the ends of sentences, and dislikes single bytes.
    embeddings, output = (rng.normal(0, scale, (len(pieces), width)) for scale in (0.5, 0.15))
    embeddings[:, 0] = 9.0
    liked = {*(f"Ġ{word}" for word in WORDS), ".", "!", MARKS[2]}
    output[:, 0] = [3.0 if piece in liked else -3.0 for piece in pieces]
    output[[pieces.index("."), pieces.index(MARKS[2])], 0] = 3.2
    found |= {"token_embd.weight": embeddings, "output.weight": output}
    found["output_norm.weight"] = rng.uniform(0.8, 1.2, width)
    return {name: np.asarray(tensor, np.float32) for name, tensor in found.items()}


def write_responder(
    folder: Path, seed: int = 1, rank: int = 4, adapted: tuple[str, ...] = ADAPTED, **values: Any
) -> ResponderConfig:
    """Write a decoder `tiny.gguf` with a random adapter and their configuration.

    Args:
        folder: Where they go.
        seed: What all weights are drawn by.
        rank: The rank of the adapter; 0 writes none.
        adapted: The kinds of layers that it changes.
        values: Further fields of the configuration.

    Returns:
        The configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    decoder = write_decoder(folder / "tiny.gguf", seed)
    config = ResponderConfig(
        version="tiny-1", base="tests/tiny", base_sha256=sha256_of(decoder), **values
    )  # fmt: skip
    save_responder_config(config, folder)
    if rank:
        described = {"base_model_name_or_path": config.base, "r": rank, "lora_alpha": 2 * rank}
        described["layers_to_transform"] = list(range(SIZES["layers"]))
        (folder / ADAPTER_CONFIG).write_text(json.dumps(described))
        rng = np.random.default_rng(seed + 1)
        adapter: dict[str, Any] = {}
        for name, tensor in Checkpoint(decoder).tensors().items():
            if name.endswith(tuple(f"{kind}.weight" for kind in adapted)):
                layer = f"base_model.model.{name.removesuffix('.weight')}"
                out, into = tensor.shape
                adapter[f"{layer}.lora_A.weight"] = rng.normal(0, 0.2, (rank, into))
                adapter[f"{layer}.lora_B.weight"] = rng.normal(0, 0.2, (out, rank))
        save_file(
            {key: value.astype(np.float32) for key, value in adapter.items()}, folder / ADAPTER_FILE
        )
    return config
