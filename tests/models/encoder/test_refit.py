from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from core.heads import TOPICS
from models.encoder.batches import TokenisedTask
from models.encoder.distil import refit_topics
from models.encoder.heads.base import Lesson
from models.encoder.model import PostEncoder, embed_all

pytestmark = pytest.mark.train

WIDTH = 16
SPORT, MUSIC = range(1, 11), range(11, 21)
"""Words of two topics; the first five of each occur in labelled posts."""


class Words(nn.Module):
    """A backbone that knows each word by a vector; `kinship` pulls a topic's words together."""

    def __init__(self, kinship: float, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        table = torch.randn(30, WIDTH, generator=generator)
        for words, axis in ((SPORT, 0), (MUSIC, 1)):
            table[list(words), axis] += kinship
        self.table = nn.Embedding.from_pretrained(table)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.table(input_ids))


def topic_posts() -> TokenisedTask:
    """Forty posts of two words each."""
    posts, tags = [], []
    for row in range(40):
        words = list((SPORT, MUSIC)[row % 2])[:5]
        posts.append((words[row % 5], words[(row // 5) % 5]))
        wanted = [0.0] * len(TOPICS)
        wanted[TOPICS.index("sports" if row % 2 == 0 else "music")] = 1.0
        tags.append(tuple(wanted))
    return TokenisedTask("topics", tuple(posts), (Lesson("topics", tuple(tags), (1.0,) * 40),))


def test_the_topics_layer_learns_words_that_no_labelled_post_has() -> None:
    bare = PostEncoder(Words(kinship=4.0, seed=1), WIDTH, ())
    # The trained encoder has lost the kinship of words: only the teacher can tell the new ones.
    model = PostEncoder(Words(kinship=0.0, seed=2), WIDTH, ("sentiment", "topics"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    new = [(word,) for words in (SPORT, MUSIC) for word in list(words)[5:]]
    others = tuple(post for post in new for _ in range(8))
    refit_topics(model, bare, topic_posts(), others, is_bf16=False)

    logits = model.head("topics")(embed_all(model, new)).detach()
    lead = logits[:, TOPICS.index("sports")] - logits[:, TOPICS.index("music")]
    assert bool((lead[:5] > 1).all())
    assert bool((lead[5:] < -1).all())
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"heads.topics.linear.weight", "heads.topics.linear.bias"}
