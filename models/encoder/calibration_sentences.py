"""Write the sentences that set the ranges of the int8 model: made up here, nobody's posts.

They only need to look like posts to the network (length, punctuation, names, emotion), so that
activations take the values they take in service; what they say does not matter.

    python -m models.encoder.calibration_sentences models/weights/post-encoder
"""

import random
import sys
from pathlib import Path
from typing import Final

SENTENCES_FILE: Final = "calibration-sentences.txt"
COUNT: Final = 320
SEED: Final = 7

_WHO: Final = (
    "the airline", "my phone company", "our mayor", "this band", "the new bus line", "the bakery",
    "the coach", "the committee", "that film", "the landlord", "the library", "their support team",
    "the council", "a friend of mine", "the ferry", "the vaccine clinic", "the game studio",
    "@user",
)  # fmt: skip
_GOOD: Final = (
    "answered within minutes", "made my whole week", "finally fixed the problem",
    "was better than anyone expected", "deserves an award for patience", "sounded amazing live",
    "kept every promise so far", "gave everyone a refund without being asked", "won again",
)  # fmt: skip
_BAD: Final = (
    "cancelled on us again", "lost my luggage and will not even say sorry", "ruined the evening",
    "keeps raising prices for no reason", "never picks up", "broke after two days",
    "is a complete disgrace", "wasted three hours of my life", "lied about the delay",
)  # fmt: skip
_PLAIN: Final = (
    "opens at nine on Monday", "will publish the figures tomorrow",
    "moved to the other side of town",
    "is meeting on Thursday to discuss the plan", "has 240 seats", "released version 3.1 today",
    "said the road stays closed until June", "is looking for volunteers", "plays in Leeds next",
)  # fmt: skip
_OPENINGS: Final = (
    "", "", "", "OMG ", "Honestly, ", "Breaking: ", "So ", "Just heard that ", "Not sure why but ",
    "Can anyone confirm? ", "RT @user: ", "Update: ", "I can't believe it, ", "Good morning! ",
)  # fmt: skip
_CLOSINGS: Final = (
    "", "", "", ".", "!", "!!!", "...", " :)", " :(", " lol", " http", " #fail", " #love", " #news",
    " what do you think?", " and I am so tired of it.", " thank you so much", " tears of joy",
    " weary face", " smh", " please share", " (again)", " - full story: http",
)  # fmt: skip
_LINKS: Final = (
    " and ", ", but ", ". Meanwhile ", " while ", "; then ", " because ", ". To be fair, ",
    " although ", "? And ", ", which is funny since ",
)  # fmt: skip
_ALONE: Final = (
    "good", "no", "why??", "love it", "worst day ever", "hahaha", "see you at 8", "@user @user yes",
    "http", "so proud of you", "I hate this", "ok then", "what a goal!!!", "meh",
    "sorry for your loss",
    "100 %", "#monday", "it is what it is", "free tickets, link below http", "RIP",
)  # fmt: skip


def _clause(chooser: random.Random) -> str:
    return f"{chooser.choice(_WHO)} {chooser.choice(chooser.choice((_GOOD, _BAD, _PLAIN)))}"


def write_sentences(count: int = COUNT, seed: int = SEED) -> list[str]:
    """Distinct sentences of 1 to about 120 tokens, the same for the same arguments."""
    chooser = random.Random(seed)
    sentences: list[str] = list(_ALONE)
    seen: set[str] = set(sentences)
    while len(sentences) < count:
        # Mostly one to three clauses like most posts, now and then a long one.
        clauses = chooser.choice((1, 1, 2, 2, 2, 3, 3, 4, 6, 9))
        body = _clause(chooser)
        for _ in range(clauses - 1):
            body += chooser.choice(_LINKS) + _clause(chooser)
        sentence = chooser.choice(_OPENINGS) + body + chooser.choice(_CLOSINGS)
        if sentence not in seen:
            seen.add(sentence)
            sentences.append(sentence)
    return sentences


def main() -> None:
    """Write the file into the folder given as the only argument."""
    target = Path(sys.argv[1]) / SENTENCES_FILE
    target.write_text("\n".join(write_sentences()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
