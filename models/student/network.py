"""The student's network. Needs torch; `models.serving.student` is the same arithmetic in numpy.

A table of word pieces, filters over five neighbours, grouped filters over three with what went in
added, pooling by attention and by maximum, one hidden layer, one linear map for each head.

Shapes: `B` batch, `T` tokens, `E` width of the table, `F` filters, `L` logits of a head.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.student.config import StudentShape


class StudentNetwork(nn.Module):
    """Pieces and mask to the logits of every head."""

    def __init__(
        self, shape: StudentShape, heads: Mapping[str, int], table: Tensor, dropout: float = 0.1
    ) -> None:
        """Make an untrained network.

        Args:
            shape: Its sizes.
            heads: Head -> its number of logits.
            table: Where the pieces' vectors begin, (pieces, E).
            dropout: Of vectors and of what is pooled, in training alone.
        """
        super().__init__()
        self.shape = shape
        self.table = nn.Embedding(shape.pieces, shape.table, sparse=True, _weight=table.clone())
        self.first = nn.Conv1d(
            shape.table, shape.first, shape.first_span, padding=shape.first_span // 2
        )
        self.second = nn.Conv1d(
            shape.first, shape.first, shape.second_span,
            padding=shape.second_span // 2, groups=shape.groups,
        )  # fmt: skip
        self.attention = nn.Linear(shape.first, 1)
        self.hidden = nn.Linear(2 * shape.first, shape.hidden)
        self.heads = nn.ModuleDict({n: nn.Linear(shape.hidden, w) for n, w in heads.items()})
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return head -> logits (B, L) of pieces (B, T); the mask is 1 where there is one."""
        kept = mask.float()[:, None]
        vectors = self.dropout(self.table(ids)).transpose(1, 2) * kept
        first = functional.relu(self.first(vectors)) * kept
        both = (functional.relu(self.second(first)) + first) * kept
        words = both.transpose(1, 2)
        weights = self.attention(words)[..., 0].masked_fill(mask == 0, float("-inf")).softmax(1)
        mean = (weights[:, None] @ words)[:, 0]
        # What is pooled is never negative, so padding cannot be the largest.
        pooled = self.dropout(torch.cat([mean, words.amax(1)], 1))
        hidden = self.dropout(functional.relu(self.hidden(pooled)))
        return {name: head(hidden) for name, head in self.heads.items()}
