"""What a language model is asked, and the closed set of answers it may give."""

from dataclasses import dataclass
from typing import Final

_PROBLEM: Final = (
    "A collective problem is made by people, wider than one person or quarrel, going on now, and "
    "something that a group could act on."
)
_LEVELS: Final = {
    "None": "no collective problem, or no stance of the author on acting against it",
    "Problem-Solution": "presents a collective problem as bad, blames someone or outlines a remedy",
    "Call-to-action": "tries to get others to act: to join, protest, organise, boycott, support",
    "Intention": "the author wants or plans to act on it",
    "Execution": "the author tells of something they did or do about it",
}
_BINARY: Final = {
    "None": _LEVELS["None"],
    "Participation": "names a collective problem as bad, calls for action, plans to act, or acts",
}
MOST_CHARACTERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """A set of exclusive answers in class order, and what each means."""

    definitions: dict[str, str]

    @property
    def labels(self) -> tuple[str, ...]:
        """The answers, in class order."""
        return tuple(self.definitions)

    def prompt(self, text: str) -> str:
        """Return the question about a text, up to where the answer begins."""
        meaning = "\n".join(f"- {label}: {what}" for label, what in self.definitions.items())
        return (
            "Judge how far the author of a post goes in collective action.\n"
            f"{_PROBLEM}\nAnswer with one label; if several apply, with the last of them:\n"
            f"{meaning}\n\nPost: {' '.join(text[:MOST_CHARACTERS].split())}\nLabel:"
        )


DIRECT: Final = Question(_LEVELS)
BINARY: Final = Question(_BINARY)
LEVEL: Final = Question({label: what for label, what in _LEVELS.items() if label != "None"})
