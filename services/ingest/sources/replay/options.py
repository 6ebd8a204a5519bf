"""Options of the replay source, as in `configs/sources/replay-*.toml` and on the command line."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.errors import ConfigError
from core.suggest import did_you_mean

ATTACHED_FIELDS = ("tags", "links", "cards", "alts", "polls")
"""What a row can say beside its text, as in `core.schemas.Attached`."""
COUNT_FIELDS = ("likes", "replies", "reposts", "quotes")
"""What a row can say of how far its post went, as in `core.schemas.PostEvent`."""
COUNTS_TIME = "counts_at"
"""When a row's counts were taken."""
FIELDS = (
    "id", "author", "text", "time", "lang", "reply_to", "repost_of", "url", "title",
    *ATTACHED_FIELDS, *COUNT_FIELDS, COUNTS_TIME,
)  # fmt: skip
"""What a row can say of a post, in the order in which readers hand it on."""


class NeedsOption(ConfigError):
    """A file cannot be read without an option that only a person can give.

    Attributes:
        remedies: The assignments that mend it, `KEY=VALUE` as `--set` takes them, any one of them.
    """

    def __init__(self, message: str, remedies: tuple[str, ...]) -> None:
        ways = " or ".join(f"--set {shlex.quote(way)}" for way in remedies)
        super().__init__(f"{message}: {ways}")
        self.remedies = remedies


NotNegative = Annotated[float, Meta(ge=0)]


class ReplayOptions(Struct, frozen=True, kw_only=True):
    """How a file becomes a stream."""

    path: str = ""
    """The file; what packs it (gzip, zip, zstd, bzip2, xz) is recognised by its content.
    Required."""
    format: Literal["auto", "csv", "jsonl", "json", "raw"] = "auto"
    """`auto` looks at the content; `json` is an array or pages; `raw` sends each line as it is."""
    delimiter: str = ""
    """Between the cells of a CSV file: a character, or comma, semicolon, tab, pipe; "" finds it."""
    encoding: str = ""
    """A name that Python knows, such as cp1252; "" recognises UTF-8, UTF-16 and cp1252."""
    header: str = ""
    """Names of the columns, comma-separated, for a CSV file that has no header row."""
    order: Literal["auto", "file", "time"] = "auto"
    """`auto` sorts by time what is not in order; `file` takes rows as they stand."""
    columns: dict[str, str] = {}
    """Field -> column (JSON: key, with dots into nested objects); others are detected."""
    constants: dict[str, str] = {}
    """Field -> value for every post, where the file has no column for it."""
    time_format: str = "auto"
    """`auto` recognises what can mean one moment only; `iso`, `epoch_s`, `epoch_ms`, `epoch_us`,
    `day_first` and `month_first` (03/04/2026), or a pattern of Python's strptime."""
    time_zone: str = "UTC"
    """Of times without a zone: an IANA name."""
    speed: NotNegative = 0.0
    """Recorded speed times this; 0 means as fast as possible."""
    rate_posts_per_s: NotNegative = 0.0
    """A fixed rate instead of the recorded one; 0 means none."""
    times: Literal["recorded", "shifted"] = "recorded"
    """`shifted` makes the first post now and keeps the distances (divided by the speed)."""
    shuffle_within_s: NotNegative = 0.0
    """Shuffle posts inside stretches of so much event time; 0 means the order of the file."""
    seed: int = 0
    """Of the shuffle."""
    limit_rows: Annotated[int, Meta(ge=0)] = 0
    """Stop after so many rows; 0 means all."""
    counts: Literal["auto", "none"] = "auto"
    """`auto` sends the likes, replies, reposts and quotes that rows have, each at its time, to
    `post-events`; `none` leaves them out."""
    counts_after_s: NotNegative = 86_400.0
    """How long after its post a count was taken, where no column says when."""
    authors: Literal["hashed", "public"] = "hashed"
    """`public`: public figures only, never hashed. `hashed` takes effect with a key in
    `ingest.author_key`."""

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            ConfigError: names the option, its value and what was expected.
        """
        if not self.path:
            raise ConfigError("replay: `path` is empty: expected a file (--path FILE)")
        for table, chosen in (("columns", self.columns), ("constants", self.constants)):
            for field in chosen:
                if field not in FIELDS:
                    raise ConfigError(
                        f"replay: unknown field {table}.{field}{did_you_mean(field, FIELDS)}"
                    )
        if self.speed and self.rate_posts_per_s:
            raise ConfigError("replay: expected either `speed` or `rate_posts_per_s`, not both")
        if self.times == "shifted" and not (self.speed or self.rate_posts_per_s):
            raise ConfigError(
                "replay: times = 'shifted' as fast as possible would put posts into the future: "
                "expected `speed` or `rate_posts_per_s` with it"
            )
