"""How much of a stream the model server has read before."""

from collections.abc import Sequence

from models.serving.cache import RecentCache, content_key
from models.serving.normalise import normalise
from models.serving.post_encoder import CACHED_TEXTS


def cached_share(texts: Sequence[str], capacity: int = CACHED_TEXTS) -> float:
    """Return the share of posts, in this order, whose text the model server's cache knows.

    Example:
        >>> cached_share(["Late again", "late again!", "Late again", "late  again!"])
        0.5
    """
    known: RecentCache[bool] = RecentCache(capacity)
    found = 0
    for text in texts:
        key = content_key(normalise(text))
        if known.get(key):
            found += 1
        else:
            known.put(key, True)
    return found / max(1, len(texts))
