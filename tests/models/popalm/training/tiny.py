"""A tiny random decoder on disk, made in a moment."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.popalm.training.adapters import adapt
from models.popalm.training.decoder import ReplyDecoder, load_decoder

MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def tiny_folder(folder: Path, seed: int = 0) -> Path:
    """Write a random Llama of two layers that reads bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: row for row, token in enumerate([*MARKS, *letters])}
    cutter = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    cutter.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    cutter.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=cutter, bos_token=MARKS[1], eos_token=MARKS[2], pad_token=MARKS[0]
    )
    torch.manual_seed(seed)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary), hidden_size=32, intermediate_size=48,
            num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=1024, bos_token_id=1, eos_token_id=2, pad_token_id=0,
            initializer_range=0.2,
        )
    )  # fmt: skip
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_decoder(folder: Path, rank: int = 2) -> ReplyDecoder:
    """Return the decoder with an adapter that changes nothing yet."""
    decoder = load_decoder(tiny_folder(folder))
    torch.manual_seed(1)
    adapt(decoder, rank, 2.0 * rank)
    return decoder


def shaken(decoder: ReplyDecoder, seed: int = 2, spread: float = 0.2) -> ReplyDecoder:
    """Return the decoder with an adapter that changes what it says."""
    torch.manual_seed(seed)
    for parameter in decoder.network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=spread)
    return decoder
