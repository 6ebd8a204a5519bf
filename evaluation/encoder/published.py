"""Figures that others published on the same test splits. None was measured here."""

from typing import Final

from evaluation.encoder.tables import Published

_TWEETEVAL: Final = "TweetEval leaderboard, published"
_SEMEVAL: Final = "published, not re-checked against the papers"

SENTIMENT: Final = (
    Published("SemEval-2017 winners DataStories, BB_twtr", "macro_recall", 0.681, _SEMEVAL),
    Published("SVM, FastText", "macro_recall", 0.629, _TWEETEVAL),
    Published("RoBERTa-Base", "macro_recall", 0.713, _TWEETEVAL),
    Published("BERTweet", "macro_recall", 0.734, _TWEETEVAL),
    Published("TimeLMs-2021", "macro_recall", 0.737, _TWEETEVAL),
)
EMOTION: Final = (
    Published("SVM", "macro_f1", 0.647, _TWEETEVAL),
    Published("FastText", "macro_f1", 0.652, _TWEETEVAL),
    Published("RoBERTa-Base", "macro_f1", 0.761, _TWEETEVAL),
    Published("BERTweet", "macro_f1", 0.793, _TWEETEVAL),
    Published("TimeLMs-2021", "macro_f1", 0.802, _TWEETEVAL),
)
PARTICIPATION: Final = (
    Published(
        "fine-tuned RoBERTa-base",
        "weighted_f1",
        0.71,
        "Pera & Aiello, arXiv 2501.07368, abstract; the only figure that could be had",
    ),
)
