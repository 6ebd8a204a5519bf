"""The post encoder: backbone, mean pooling, heads. Needs torch and transformers.

Shapes: `B` batch, `T` tokens, `D` embedding width, `C` classes of a head.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel

from core.errors import ConfigError
from models.encoder.batches import pad
from models.encoder.config import EncoderConfig
from models.encoder.heads.layers import Head, make_head
from models.encoder.lora import adapter_state, inject, load_adapter_state

ADAPTER_FILE = "adapter_model.safetensors"
HEADS_FILE = "heads.safetensors"


def load_backbone(folder: Path, attention: str = "sdpa", layers: Sequence[int] = ()) -> nn.Module:
    """Load any encoder checkpoint that `AutoModel` knows, in fp32.

    `layers` are those to keep, counted from 0; none names all.

    Raises:
        ConfigError: the checkpoint lacks one of them.
    """
    model = AutoModel.from_pretrained(
        folder, attn_implementation=attention, dtype=torch.float32, local_files_only=True
    )
    # The pooler is not used (the embedding is a mean), so it must not be trained or exported.
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    body = cast(nn.Module, model)
    if layers:
        keep_layers(body, layers)
    return body


def width_of(backbone: nn.Module) -> int:
    """D of a loaded checkpoint."""
    return int(cast(Any, backbone).config.hidden_size)


def keep_layers(backbone: nn.Module, layers: Sequence[int]) -> None:
    """Drop every layer of a loaded checkpoint but these; those that stay keep their names.

    So adapters, graph and the checkpoint's own file agree on what a tensor is called, whichever
    layers are kept.

    Raises:
        ConfigError: one of them is not there.
    """
    many = int(cast(Any, backbone).config.num_hidden_layers)
    stacks = [
        module
        for module in backbone.modules()
        if isinstance(module, nn.ModuleList) and len(module) == many
    ]
    if len(stacks) != 1:
        raise ConfigError("this kind of checkpoint has no one stack of layers to choose from")
    if not set(layers) <= set(range(many)):
        raise ConfigError(f"the backbone has layers 0 to {many - 1}, not {list(layers)}")
    for number in set(range(many)) - set(layers):
        delattr(stacks[0], str(number))


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average the hidden states (B, T, D) over real tokens; `mask` (B, T) is 1 on those."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)


class PostEncoder(nn.Module):
    """One pass over the backbone serves the embedding and every head."""

    def __init__(
        self, backbone: nn.Module, width: int, heads: Sequence[str], dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = width
        self.heads = nn.ModuleDict({name: make_head(name, width, dropout) for name in heads})

    def head(self, name: str) -> Head:
        """The head module called `name`."""
        return cast(Head, self.heads[name])

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask, both (B, T), to embeddings (B, D)."""
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        return mean_pool(output.last_hidden_state.float(), attention_mask)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Embedding (B, D) and logits (B, C) per head."""
        embedding = self.embed(input_ids, attention_mask)
        return embedding, {name: head(embedding) for name, head in self.heads.items()}


@torch.no_grad()
def embed_all(
    model: PostEncoder, token_ids: Sequence[Sequence[int]], batch_posts: int = 64
) -> Tensor:
    """Embeddings (N, D) of tokenised texts, in the given order; leaves evaluation mode on."""
    model.eval()
    order = sorted(range(len(token_ids)), key=lambda row: len(token_ids[row]))
    found: list[Tensor] = [torch.empty(0)] * len(order)
    for start in range(0, len(order), batch_posts):
        rows = order[start : start + batch_posts]
        embeddings = model.embed(*pad([token_ids[row] for row in rows])).float()
        for row, embedding in zip(rows, embeddings, strict=True):
            found[row] = embedding
    return torch.stack(found)


def adapt(model: PostEncoder, rank: int, alpha: float) -> None:
    """Freeze the backbone but for LoRA on every linear layer, LayerNorms and biases.

    Rank 0 frees all of it instead; what is saved then is a checkpoint under an adapter's names.
    """
    if rank == 0:
        model.backbone.requires_grad_(True)
        return
    model.backbone.requires_grad_(False)
    inject(model.backbone, rank, alpha)
    for module in model.backbone.modules():
        if isinstance(module, nn.LayerNorm):
            module.requires_grad_(True)
    for name, parameter in model.backbone.named_parameters():
        if "lora_" in name or name.endswith(".bias"):
            parameter.requires_grad_(True)


def trained_parameters(model: nn.Module) -> int:
    """How many numbers training may change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def trained_state(model: PostEncoder) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Adapter and head tensors, as they are saved."""
    heads = {name: value.detach().clone() for name, value in model.heads.state_dict().items()}
    return adapter_state(model.backbone), heads


def load_trained_state(
    model: PostEncoder, adapter: Mapping[str, Tensor], heads: Mapping[str, Tensor]
) -> None:
    """The inverse of `trained_state`, into a model already passed through `adapt`."""
    load_adapter_state(model.backbone, adapter)
    model.heads.load_state_dict(dict(heads))


def load_start(model: PostEncoder, folder: Path) -> None:
    """Begin from trained weights: the adapter, and those heads that both have.

    The file may be of more layers than `model` has; what it says of the others is left.

    Raises:
        KeyError: the file lacks a tensor that ours has.
    """
    ours = adapter_state(model.backbone)
    found = load_file(folder / ADAPTER_FILE)
    load_adapter_state(model.backbone, {name: found[name] for name in ours})
    own = model.heads.state_dict()
    known = {name: v for name, v in load_file(folder / HEADS_FILE).items() if name in own}
    model.heads.load_state_dict(own | known)


def save_weights(model: PostEncoder, folder: Path) -> None:
    """Write the adapter and head files."""
    adapter, heads = trained_state(model)
    save_file(adapter, folder / ADAPTER_FILE, metadata={"format": "pt"})
    save_file(heads, folder / HEADS_FILE, metadata={"format": "pt"})


def load_trained(
    config: EncoderConfig, weights: Path, backbone: Path, attention: str = "sdpa"
) -> PostEncoder:
    """A trained encoder in evaluation mode, adapters not merged."""
    body = load_backbone(backbone, attention, config.layers)
    model = PostEncoder(body, config.embedding_size, [head.name for head in config.heads])
    adapt(model, config.lora_rank, config.lora_alpha)
    load_trained_state(model, load_file(weights / ADAPTER_FILE), load_file(weights / HEADS_FILE))
    return model.eval()
