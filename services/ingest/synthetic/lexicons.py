"""The words of a language, read from `lexicon/<language>.txt`, and the posts made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

SENTIMENTS: Final = ("negative", "neutral", "positive")
TOPICS: Final = (
    "transit_strike",
    "flood_relief",
    "airline_delays",
    "phone_launch",
    "football_derby",
    "housing_rents",
    "election_debate",
    "climate_march",
)
LANGUAGES: Final = ("en", "es", "de", "fr", "pt")

_FOLDER: Final = Path(__file__).parent / "lexicon"
_SLOT: Final = re.compile(r"\{(\w+)\}")

Draw = Callable[[], float]
"""A source of numbers in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence with the choices for each of its slots."""

    pattern: str
    choices: tuple[tuple[str, ...], ...]

    def fill(self, draw: Draw) -> str:
        """Return the sentence with a choice in each slot."""
        return self.pattern % tuple([words[int(draw() * len(words))] for words in self.choices])


@dataclass(frozen=True, slots=True)
class Phrases:
    """What people say in one language about one topic with one sentiment."""

    openers: tuple[str, ...]
    sentences: tuple[Template, ...]
    tails: tuple[Template, ...]
    emoji: tuple[str, ...]
    hashtags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Habits:
    """How somebody writes; each a probability."""

    opener: float
    second_sentence: float
    tail: float
    hashtag: float
    emoji: float
    link: float
    mention: float
    lower_case: float
    shouting: float


def read_lexicon(path: Path) -> dict[str, tuple[str, ...]]:
    """Return section -> lines of a lexicon file; `# ` starts a comment, `[name]` a section."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("# "):
            continue
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], [])
        else:
            current.append(line)
    return {name: tuple(lines) for name, lines in sections.items()}


@cache
def phrases(language: str) -> Mapping[tuple[str, str], Phrases]:
    """Return (topic, sentiment) -> phrases of a language."""
    words = read_lexicon(_FOLDER / f"{language}.txt")
    found: dict[tuple[str, str], Phrases] = {}
    for topic in TOPICS:
        slots = {name: words[name] for name in ("place", "when", "number", "who")}
        slots["thing"] = words[f"topic.{topic}.things"]
        for sentiment in SENTIMENTS:
            own = words[f"topic.{topic}.{sentiment}"]
            # Sentences about the topic itself come about as often as those that fit any.
            general = words[f"opinion.{sentiment}"]
            repeated = own * max(1, len(general) // len(own))
            found[topic, sentiment] = Phrases(
                openers=words[f"opener.{sentiment}"],
                sentences=tuple(_template(line, slots) for line in (*repeated, *general)),
                tails=tuple(_template(line, slots) for line in words[f"tail.{sentiment}"]),
                emoji=words[f"emoji.{sentiment}"],
                hashtags=words[f"topic.{topic}.hashtags"],
            )
    return found


def _template(line: str, slots: Mapping[str, tuple[str, ...]]) -> Template:
    names = _SLOT.findall(line)
    pattern = _SLOT.sub("%s", line.replace("%", "%%"))
    return Template(pattern, tuple(slots[name] for name in names))


def write_post(phrases: Phrases, habits: Habits, names: Sequence[str], draw: Draw) -> str:
    """Return the text of a post: an opinion, and what the author's habits put around it.

    Args:
        phrases: The phrases of the language, topic and sentiment.
        habits: The habits of the author.
        names: The accounts that may be mentioned.
        draw: Gives the random numbers.
    """
    text = _sentences(phrases, habits, draw)
    if draw() < habits.lower_case:
        text = text.lower()
    elif draw() < habits.shouting:
        text = text.upper()
    if draw() < habits.mention:
        text = f"@{names[int(draw() * len(names))]} {text}"
    if draw() < habits.emoji:
        text = f"{text} {_pick(phrases.emoji, draw)}"
    if draw() < habits.hashtag:
        text = f"{text} {_pick(phrases.hashtags, draw)}"
        if draw() < 0.4:
            text = f"{text} {_pick(phrases.hashtags, draw)}"
    if draw() < habits.link:
        text = f"{text} https://example.org/{int(draw() * 16**6):06x}"
    return text


def _sentences(phrases: Phrases, habits: Habits, draw: Draw) -> str:
    sentences = phrases.sentences
    text = sentences[int(draw() * len(sentences))].fill(draw)
    if draw() < habits.opener:
        text = f"{_pick(phrases.openers, draw)} {text}"
    else:
        text = text[0].upper() + text[1:]
    if draw() < habits.second_sentence:
        more = sentences[int(draw() * len(sentences))].fill(draw)
        text = f"{text}. {more[0].upper()}{more[1:]}"
    if draw() < habits.tail:
        tails = phrases.tails
        text = f"{text}. {tails[int(draw() * len(tails))].fill(draw)}"
    return text


def _pick(words: Sequence[str], draw: Draw) -> str:
    return words[int(draw() * len(words))]
