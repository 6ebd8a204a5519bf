"""Options of the synthetic source: `configs/sources/synthetic.toml` and the command line."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from core.errors import ConfigError
from core.suggest import did_you_mean
from services.ingest.synthetic.lexicons import LANGUAGES, TOPICS

Share = Annotated[float, Meta(ge=0, le=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=0)]

MAX_LIFE_S: Final = 172_800
MAX_LIVES: Final = 200_000
"""Posts that are alive at once, about 500 bytes each."""
USUAL_LANGUAGES: Final = {"en": 80.0, "es": 8.0, "de": 5.0, "fr": 4.0, "pt": 3.0}


class Shift(Struct, frozen=True, kw_only=True):
    """A change at a known time, in event seconds after the start.

    `volume` multiplies how much is written (of one topic, one language, or everything); `mix`
    multiplies the share of a topic or language while the volume stays; `opinion` moves what people
    say about a topic (or all) to `sentiment`.
    """

    kind: Literal["volume", "mix", "opinion"]
    at_s: NotNegative
    lasts_s: NotNegative = 0.0
    """0 means to the end."""
    ramp_s: NotNegative = 0.0
    """Time from nothing to the full change, at either end."""
    every_s: NotNegative = 0.0
    """Comes again so long after its beginning; 0 means once."""
    topic: str = ""
    """Empty means all topics."""
    language: str = ""
    """Empty means all languages; not for `opinion`."""
    factor: NotNegative = 1.0
    """Of `volume` and `mix`."""
    sentiment: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of `opinion`: shares of negative, neutral, positive."""


class Ignition(Struct, frozen=True, kw_only=True):
    """A post that takes off at a known time: the first that can, of an author with a following."""

    at_s: NotNegative
    """Event seconds after the start."""
    every_s: NotNegative = 0.0
    """Another one so long after it, and so on; 0 means once."""
    factor: NotNegative = 0.0
    """How far beyond its author's normal; 0 draws between 10 and 100."""


class SyntheticOptions(Struct, frozen=True, kw_only=True):
    """How much is said, by whom, how well-formed, and what changes when."""

    seed: int = 1
    """The same seed and start give the same items to the byte."""
    posts: Count = 0
    """Distinct posts in all, exactly; 0 means no bound."""
    duration_s: NotNegative = 0.0
    """Event time in all; 0 means no bound."""
    posts_per_s: Positive = 50.0
    """Posts per second of event time, the daily mean."""
    speed: NotNegative = 1.0
    """How much faster than the wall clock event time runs until it has caught up with it;
    0 means as fast as items are taken, and never slower."""
    history_s: NotNegative = 0.0
    """Event time starts so long before now; 0 means now, or with a speed other than 1 and a
    bound: so that it ends now."""
    start_at: str = ""
    """Start of event time as RFC 3339 instead, for runs that are to be the same to the byte."""
    authors: Annotated[int, Meta(ge=10)] = 400
    """Accounts in all; their rates follow a Pareto law."""
    daily_cycle: Share = 0.5
    """0 is the same at all hours; 0.5 swings the volume by half around 19:00 UTC."""
    languages: dict[str, NotNegative] = field(default_factory=lambda: dict(USUAL_LANGUAGES))
    """Language -> weight."""
    topics: dict[str, NotNegative] = {}
    """Topic -> weight; those not named have weight 1."""
    repost_share: Share = 0.05
    """Posts that repeat a recent one by somebody else (`repost_of`)."""
    reply_share: Share = 0.0
    """Other posts that answer a recent one (`reply_to`)."""
    near_duplicate_share: Share = 0.02
    """Posts that copy a recent text with a small change."""
    late_share: Share = 0.02
    """Posts that arrive late and out of order."""
    late_max_s: NotNegative = 20.0
    """How late at most."""
    duplicate_share: Share = 0.01
    """Posts that the source delivers a second time, same id."""
    odd_share: Share = 0.004
    """Posts that are accepted with a repair: no text, control characters, wrong clocks."""
    malformed_share: Share = 0.003
    """Messages that are no posts, on top of the posts."""
    edit_share: Share = 0.01
    """Posts that are edited later."""
    delete_share: Share = 0.005
    """Posts that are deleted later."""
    like_share: Share = 0.05
    """Posts that get a like, repost, reply or a count of them."""
    follow_up_max_s: NotNegative = 30.0
    """Duplicates, edits, deletions and likes come at most so long after their post."""
    engagement_share: Share = 0.0
    """Authors with a following: their posts get totals of likes, replies and reposts, again and
    again over their lives, in place of the likes of `like_share`."""
    life_s: Annotated[float, Meta(gt=0, le=MAX_LIFE_S)] = 600.0
    """Event time until nothing more happens to a post: `forecasts.horizon_s`, or a shorter one for
    a short run. After a restart the posts of one life are made again, 70,000 a second."""
    ignitions: tuple[Ignition, ...] = ()
    """Posts that take off, and when."""
    shifts: tuple[Shift, ...] = ()
    """What changes when."""
    ledger: str = ""
    """File for one line per item that Kafka has: what an oracle counts. Empty means none."""
    truth: str = ""
    """File for the schedule and the intended opinion per minute and topic. Empty means none."""

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            ConfigError: Names the option, its value and what was expected.
        """
        for kind, chosen, known in (
            ("language", self.languages, LANGUAGES),
            ("topic", self.topics, TOPICS),
            ("topic", [s.topic for s in self.shifts if s.topic], TOPICS),
            ("language", [s.language for s in self.shifts if s.language], LANGUAGES),
        ):
            for name in chosen:
                if name not in known:
                    raise ConfigError(
                        f"synthetic: unknown {kind} {name!r}{did_you_mean(name, known)}"
                    )
        if not any(self.languages.values()):
            raise ConfigError("synthetic: languages: expected a weight above 0")
        for number, shift in enumerate(self.shifts):
            self._check_shift(number, shift)
        self._check_engagement()

    def _check_engagement(self) -> None:
        if self.ignitions and not self.engagement_share:
            raise ConfigError(
                "synthetic: ignitions: expected engagement_share above 0: nobody has a following"
            )
        lives = self.engagement_share * self.posts_per_s * self.life_s
        if lives > MAX_LIVES:
            raise ConfigError(
                f"synthetic: engagement_share = {self.engagement_share}, life_s = {self.life_s}: "
                f"{lives:,.0f} posts would be alive at once, expected at most {MAX_LIVES:,}"
            )

    def _check_shift(self, number: int, shift: Shift) -> None:
        name = f"synthetic: shifts[{number}] ({shift.kind})"
        if shift.kind == "opinion":
            if min(shift.sentiment) < 0 or abs(sum(shift.sentiment) - 1) > 0.001:
                raise ConfigError(
                    f"{name}: sentiment = {shift.sentiment}: expected three shares that add up to 1"
                )
            if shift.language:
                raise ConfigError(f"{name}: language is not for opinion shifts")
        if shift.kind == "mix" and not (shift.topic or shift.language):
            raise ConfigError(f"{name}: expected a topic or a language")
        if shift.every_s and shift.every_s < shift.lasts_s:
            raise ConfigError(f"{name}: every_s = {shift.every_s}: expected at least lasts_s")
