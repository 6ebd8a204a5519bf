"""PAC-LoRA: low-rank adaptation whose experts are chosen by the event and by the person.

Analysing experts `A` read, writing experts `B` write; the event's text mixes the first, the
person's the second (Zhang et al. 2025, arXiv 2508.00497). Two variants:

- `released`, for comparison: each layer has two gates of its own, and a token is mixed by itself if
  it stands in the span, evenly if it does not. So neither event nor person says what writes the
  answer, and since places are counted anew in each chunk, what is read after a cache is mixed
  otherwise than what is read at once.
- `sequence`, the corrected one: one gate for all layers and all tokens, from the mean of the
  vectors of each span. Read after a cache or at once, the update is the same.

Shapes: `B` sequences, `T` tokens, `E` experts of a kind, `I` inputs, `O` outputs, `r` rank,
`H` width of the vectors of tokens.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

Variant = Literal["released", "sequence"]
VARIANTS: Final[tuple[Variant, ...]] = ("released", "sequence")


@dataclass(frozen=True, slots=True)
class PacSettings:
    """What an adapter is.

    Attributes:
        variant: `released` or `sequence`.
        experts: How many experts of each kind.
        rank: The rank of each.
        alpha: The numerator of their scaling.
        hidden: The width inside a gate.
        temperature: What the logits of a gate are divided by.
    """

    variant: Variant = "sequence"
    experts: int = 3
    rank: int = 8
    alpha: float = 16.0
    hidden: int = 32
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"variant {self.variant!r}: expected one of {', '.join(VARIANTS)}")
        if min(self.experts, self.rank, self.hidden) < 1 or not self.temperature > 0:
            raise ValueError(f"{self}: expected experts, rank, hidden and temperature above zero")


@dataclass(frozen=True, slots=True)
class Spans:
    """Where the event and the person stand.

    Attributes:
        news: (B, T) the tokens of the event, without padding.
        user: (B, T) the tokens of the person, without padding.
    """

    news: Tensor
    user: Tensor


@dataclass(frozen=True, slots=True)
class Gates:
    """The shares of experts in the update, summing to one over the last axis.

    Attributes:
        analysing: (B, E), or (B, T, E) by token.
        writing: (B, E), or (B, T, E) by token.
    """

    analysing: Tensor
    writing: Tensor


class ExpertGate(nn.Module):
    """Vectors to shares of experts, in fp32; zeros give equal shares, as nothing has a bias."""

    def __init__(self, width: int, settings: PacSettings) -> None:
        super().__init__()
        self.inner = nn.Linear(width, settings.hidden, bias=False)
        self.outer = nn.Linear(settings.hidden, settings.experts, bias=False)
        self.temperature = settings.temperature

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (..., H) to (..., E)."""
        with torch.autocast(vectors.device.type, enabled=False):
            inner = nn.functional.gelu(vectors.float() @ self.inner.weight.float().T)
            logits = inner @ self.outer.weight.float().T
            return (logits / self.temperature).softmax(-1)


class _Reading:
    """What the layers of one network share while it reads a batch."""

    def __init__(self) -> None:
        self.gates: Gates | None = None
        self.spans: Spans | None = None


class PacLinear(nn.Module):
    """A frozen linear layer with experts beside it. Starts as the identity change."""

    def __init__(self, base_layer: nn.Linear, settings: PacSettings, reading: _Reading) -> None:
        super().__init__()
        self.base_layer = base_layer
        experts, rank = settings.experts, settings.rank
        self.analysing = nn.Parameter(torch.empty(experts, rank, base_layer.in_features))
        self.writing = nn.Parameter(torch.zeros(experts, base_layer.out_features, rank))
        for expert in self.analysing:
            nn.init.kaiming_uniform_(expert, a=math.sqrt(5))
        self.scaling = settings.alpha / rank
        self._reading = reading
        if settings.variant == "released":
            self.news_gate = ExpertGate(base_layer.in_features, settings)
            self.user_gate = ExpertGate(base_layer.in_features, settings)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, I) to (B, T, O).

        Raises:
            RuntimeError: The network reads outside `PacAdapter.reading`.
        """
        y = self.base_layer(x)
        if self._reading.gates is not None:
            return y + self._by_sequence(x, self._reading.gates) * self.scaling
        if self._reading.spans is not None:
            return y + self._by_token(x, self._own_gates(x, self._reading.spans)) * self.scaling
        raise RuntimeError("a network with PAC-LoRA reads inside `PacAdapter.reading` alone")

    def _own_gates(self, x: Tensor, spans: Spans) -> Gates:
        # As released: the places of a chunk are counted from its own beginning.
        news, user = (self._first(mask, x) for mask in (spans.news, spans.user))
        return Gates(self.news_gate(x * news), self.user_gate(x * user))

    @staticmethod
    def _first(mask: Tensor, x: Tensor) -> Tensor:
        found = torch.zeros(x.shape[:2], dtype=x.dtype, device=x.device)
        width = min(x.shape[1], mask.shape[1])
        found[:, :width] = mask[:, :width].to(x.dtype)
        return found[..., None]

    def _by_sequence(self, x: Tensor, gates: Gates) -> Tensor:
        """Mix the matrices once a sequence: a token then costs what it costs in plain LoRA."""
        analysing = torch.einsum("be,eri->bri", gates.analysing.to(x.dtype), self.analysing)
        writing = torch.einsum("be,eor->bor", gates.writing.to(x.dtype), self.writing)
        return x @ analysing.mT @ writing.mT

    def _by_token(self, x: Tensor, gates: Gates) -> Tensor:
        read = torch.einsum("bti,eri->bter", x, self.analysing)
        z = torch.einsum("bte,bter->btr", gates.analysing.to(x.dtype), read)
        written = torch.einsum("btr,eor->bteo", z, self.writing)
        return torch.einsum("bte,bteo->bto", gates.writing.to(x.dtype), written)


class PacAdapter:
    """Experts in the layers of a decoder, and the gates that mix them. Not thread-safe.

    Args:
        network: A causal language model of transformers; its layers are wrapped in place, and all
            of its own weights frozen.
        settings: What the adapter is.
        wants: Which linear layers are wrapped, by dotted name.
    """

    def __init__(
        self, network: Any, settings: PacSettings, wants: Callable[[str, nn.Linear], bool]
    ) -> None:
        self.network = network
        self.settings = settings
        self._reading = _Reading()
        network.requires_grad_(False)
        chosen = [
            (name, layer)
            for name, layer in network.named_modules()
            if isinstance(layer, nn.Linear) and wants(name, layer)
        ]
        if not chosen:
            raise ValueError("no linear layer of this network is wanted")
        self.layers: dict[str, PacLinear] = {}
        for name, layer in chosen:
            parent, _, child = name.rpartition(".")
            self.layers[name] = PacLinear(layer, settings, self._reading)
            setattr(network.get_submodule(parent), child, self.layers[name])
        self.shared = nn.ModuleDict()
        if settings.variant == "sequence":
            width = network.get_input_embeddings().weight.shape[1]
            for kind in ("news_gate", "user_gate"):
                self.shared[kind] = ExpertGate(width, settings)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return what is trained, by name."""
        own = [(f"shared.{name}", one) for name, one in self.shared.named_parameters()]
        for name, layer in self.layers.items():
            of_layer = layer.named_parameters()
            own += [(f"{name}.{n}", p) for n, p in of_layer if not n.startswith("base_layer.")]
        return dict(own)

    def gates(self, input_ids: Tensor, spans: Spans) -> Gates:
        """Return the (B, E) gates of sequences; those of `released` have none for all tokens.

        Args:
            input_ids: (B, T) the tokens of the prompts.
            spans: Where the event and the person stand among them.

        Raises:
            RuntimeError: The variant is `released`.
        """
        if self.settings.variant != "sequence":
            raise RuntimeError("only the variant `sequence` has one gate a sequence")
        vectors = self.network.get_input_embeddings()(input_ids).detach().float()
        return Gates(
            self.shared["news_gate"](_mean_of(vectors, spans.news)),
            self.shared["user_gate"](_mean_of(vectors, spans.user)),
        )

    def even_gates(self, sequences: int) -> Gates:
        """Return (B, E) gates by which every expert has the same share."""
        even = torch.full((sequences, self.settings.experts), 1 / self.settings.experts)
        even = even.to(next(iter(self.layers.values())).analysing.device)
        return Gates(even, even)

    @contextmanager
    def reading(self, spans: Spans | None = None, gates: Gates | None = None) -> Iterator[None]:
        """Let the network read, prompts and what follows them.

        Args:
            spans: For `released`: where the event and the person stand in what is read first.
            gates: For `sequence`: the gates, kept for as long as the cache is.
        """
        if (spans is None) == (gates is None):
            raise ValueError("expected either spans or gates")
        if spans is not None and self.settings.variant != "released":
            raise ValueError("the variant `sequence` reads by gates")
        self._reading.gates, self._reading.spans = gates, spans
        try:
            yield
        finally:
            self._reading.gates = self._reading.spans = None


def _mean_of(vectors: Tensor, mask: Tensor) -> Tensor:
    """Return the (B, H) mean vectors of spans; zeros, and so even gates, of an empty one."""
    weights = mask.float()[..., None]
    return (vectors * weights).sum(1) / weights.sum(1).clamp(min=1.0)


def imbalance(gates: Gates) -> Tensor:
    """Return how unevenly experts are used over a batch: 0 where evenly, E - 1 where one is.

    The loss takes it in, times a small weight, so that no expert dies. One sequence may well use
    one expert: only the mean over the batch is held to be even.
    """
    terms = [
        (shares.float().mean(0) ** 2).sum() * shares.shape[-1] - 1
        for shares in (gates.analysing, gates.writing)
    ]
    return (terms[0] + terms[1]) / 2


def equal_rank(layers: Sequence[nn.Linear], settings: PacSettings, width: int) -> int:
    """Return the rank by which plain LoRA has the nearest number of weights.

    Args:
        layers: The layers that both wrap.
        settings: The adapter of the variant `sequence` that it is held against.
        width: The width of the vectors of tokens.
    """
    sides = sum(layer.in_features + layer.out_features for layer in layers)
    gates = 2 * settings.hidden * (width + settings.experts)
    return max(1, round((settings.experts * settings.rank * sides + gates) / sides))
