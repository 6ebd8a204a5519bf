"""Teach the backbone how posts are written before it is asked anything: guess the masked words.

Masked-LM (Devlin et al. 2018, arXiv 1810.04805, section 3.1) on posts without labels, with the same
adapters as every other training, so what is left can be begun from like any weights. The backbone
comes without the layers that guess words, so those start at random and are thrown away. Needs
torch.

Shapes: `B` batch, `T` tokens, `M` tokens to guess, `D` embedding width, `V` words.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import torch
from rich.progress import track
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from core.errors import ConfigError
from models.backbone import Backbone
from models.encoder.batches import PAD_ID, pad, plan_epoch, tokenise
from models.encoder.data import posts_unlabelled
from models.encoder.model import PostEncoder, adapt, load_backbone, save_weights, width_of
from models.encoder.run import CHOSEN, RECORD_FILE
from models.encoder.schedule import TrainingSettings, learning_rate_share

MASK: Final = "[MASK]"
GUESSED: Final = 0.15
"""Share of the tokens that are to be guessed."""
HIDDEN: Final = 0.8
SWAPPED: Final = 0.1
"""Of those, how many show the mask and how many another word; the rest show themselves."""
NOT_ASKED: Final = -100


class WordGuesser(nn.Module):
    """From hidden states to words, by the backbone's own word vectors."""

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, hidden: Tensor, vectors: Tensor) -> Tensor:
        """Logits (M, V) for hidden states (M, D), by word vectors (V, D)."""
        inner = self.norm(functional.gelu(self.dense(hidden)))
        return functional.linear(inner, vectors, self.bias)


def hide(
    ids: Tensor, mask: Tensor, mask_id: int, words: int, chance: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Token ids with some hidden, and what was there (`NOT_ASKED` elsewhere), both (B, T).

    The first and the last token of a text mark its ends and are never asked for.
    """
    inside = mask.bool().clone()
    inside[:, 0] = False
    inside[torch.arange(len(ids)), mask.sum(1) - 1] = False
    asked = (torch.rand(ids.shape, generator=chance) < GUESSED) & inside
    what = torch.rand(ids.shape, generator=chance)
    others = torch.randint(PAD_ID + 1, words, ids.shape, generator=chance)
    shown = torch.where(asked & (what < HIDDEN), torch.full_like(ids, mask_id), ids)
    swapped = asked & (what >= HIDDEN) & (what < HIDDEN + SWAPPED)
    return torch.where(swapped, others, shown), ids.masked_fill(~asked, NOT_ASKED)


def pretrain(
    data_root: Path, out: Path, settings: TrainingSettings, backbone: Backbone, steps: int
) -> Path:
    """Guess masked words for so many steps; returns the folder of the weights, `out / "chosen"`.

    Weights that are there already are taken as they are.

    Raises:
        ConfigError: the tokenizer has no word for what is hidden, or the data is not there.
    """
    chosen = out / CHOSEN
    if (chosen / RECORD_FILE).is_file():
        return chosen
    torch.manual_seed(settings.seed)
    texts = posts_unlabelled(data_root, steps * settings.batch_posts, settings.seed)
    ids = tokenise(texts, backbone.tokenizer, settings.max_tokens)
    mask_id = Tokenizer.from_file(str(backbone.tokenizer)).token_to_id(MASK)
    if mask_id is None:
        raise ConfigError(f"{backbone.tokenizer} has no {MASK}: it hides no words")
    body = load_backbone(backbone.folder)
    model = PostEncoder(body, width_of(body), ())
    adapt(model, settings.lora_rank, settings.lora_alpha)
    losses = _guess(model, body, ids, mask_id, settings)
    chosen.mkdir(parents=True, exist_ok=True)
    save_weights(model, chosen)
    record = {"posts": len(ids), "steps": len(losses), "loss": losses}
    (chosen / RECORD_FILE).write_text(json.dumps(record) + "\n")
    return chosen


def _guess(
    model: PostEncoder,
    body: nn.Module,
    ids: Sequence[Sequence[int]],
    mask_id: int,
    settings: TrainingSettings,
) -> list[float]:
    """Guess the masked words of all posts once; return the loss of each step."""
    vectors = cast(Any, body).get_input_embeddings().weight
    guesser = WordGuesser(width_of(body), len(vectors))
    trained = [p for p in (*model.parameters(), *guesser.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, betas=(0.9, 0.98))
    chance = torch.Generator().manual_seed(settings.seed)
    losses: list[float] = []
    batches = plan_epoch([len(one) for one in ids], settings.batch_posts, settings.seed, 0)
    model.train()
    for step, rows in enumerate(track(batches, "masked words")):
        tokens, mask = pad([ids[row] for row in rows])
        shown, wanted = hide(tokens, mask, mask_id, len(vectors), chance)
        for group in optimizer.param_groups:
            share = learning_rate_share(step, len(batches), settings.warmup_share)
            group["lr"] = settings.learning_rate * share
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bf16):
            hidden = body(input_ids=shown, attention_mask=mask).last_hidden_state
            logits = guesser(hidden[wanted != NOT_ASKED], vectors)
        loss = functional.cross_entropy(logits.float(), wanted[wanted != NOT_ASKED])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.max_gradient_norm)
        optimizer.step()
        losses.append(loss.item())
    return losses
