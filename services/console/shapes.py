"""What answers look like: the models that the OpenAPI document is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.console.keys import Role


class Shape(BaseModel):
    """A part of an answer; nothing is in it that it does not name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldFault(Shape):
    """A field, and what is wrong with it."""

    field: str
    detail: str


class ProblemShape(Shape):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldFault] | None = None
    away: list[str] | None = None


class Health(Shape):
    """That store and broker answer, and how far windows are."""

    status: Literal["ok"]
    version: str
    closed_until: AwareDatetime | None
    role: Role


class Thresholds(Shape):
    """The evidence (nats) that a shift needs, by kind, where a query has none of its own."""

    opinion: float
    mix: float
    volume: float
    brigading: float


class QueryShape(Shape):
    """A query that is watched, and what is asked of its alerts."""

    name: str
    title: str
    expression: str
    labels: dict[str, str]
    parts: list[str]
    thresholds: dict[str, float]
    direction: Literal["both", "up", "down"]
    muted: list[str]


class QueryList(Shape):
    """The queries of the catalog, by name."""

    version: str
    thresholds: Thresholds
    queries: list[QueryShape]
    next_cursor: str | None


class CheckRequest(BaseModel):
    """An expression to look at, and a post to try it on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expression: Annotated[str, Field(max_length=20_000)]
    text: Annotated[str, Field(max_length=10_000)] | None = None
    author: Annotated[str, Field(max_length=256)] = ""
    lang: Annotated[str, Field(max_length=35)] = ""
    source: Annotated[str, Field(max_length=64)] = ""


class CheckFault(Shape):
    """Where an expression is wrong; line and column count from 1."""

    line: int
    column: int
    problem: str


class CheckHint(Shape):
    """What may not mean what was meant; the column counts from 1."""

    column: int
    text: str


class CheckResult(Shape):
    """Whether an expression can be watched, and whether the post matches it."""

    valid: bool
    error: CheckFault | None
    understood: str | None
    hints: list[CheckHint]
    matches: bool | None


class Sentiment(Shape):
    """The mean sentiment in [-1, 1] with its 95 % interval; none below two rated posts."""

    mean: float
    stderr: float | None
    low: float | None
    high: float | None


class WindowShape(Shape):
    """A window of a query: `counters` are the integers that `groundswell windows dump` has."""

    start: AwareDatetime
    end: AwareDatetime
    closed: bool
    whole: bool
    panes: int
    revision: int | None
    posts: int
    rated_share: float | None
    authors: int
    authors_exact: bool
    sentiment: Sentiment | None
    shares: dict[str, dict[str, float]]
    mobilisation: dict[str, float]
    counters: dict[str, int]


class WindowPage(Shape):
    """Windows of a query, the oldest first."""

    query: str
    step_s: int
    windows: list[WindowShape]
    next_cursor: str | None


class Estimate(Shape):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class AlertShape(Shape):
    """A shift, from its beginning to what is known of it last."""

    alert_id: str
    query: str
    kind: str
    state: Literal["firing", "resolved"]
    direction: Literal["up", "down"]
    severity: int
    started: AwareDatetime
    fired: AwareDatetime
    ended: AwareDatetime | None
    ended_as: str
    evidence: float
    threshold: float
    before: Estimate
    after: Estimate
    change: Estimate
    posts: int
    sentence: str


class AlertPage(Shape):
    """Alerts, the newest first; `notes` say what of them could not be read."""

    alerts: list[AlertShape]
    notes: list[str]
    next_cursor: str | None


class StratumShape(Shape):
    """What one stratum adds to the change of the mean: by mix, and by opinion."""

    stratum: str
    posts: int
    share_before: float
    share_after: float
    mean_before: float
    mean_after: float
    mix: float
    opinion: float


class TermShape(Shape):
    """A term that came (`weight` above zero) or went, in standard errors."""

    term: str
    weight: float
    before: int
    after: int


class ExampleShape(Shape):
    """A post that shows the shift; what is of the post itself is for analysts and operators."""

    why: str
    source: str
    state: Literal["there", "gone"]
    post_id: str | None = None
    text: str | None = None
    url: str | None = None


class AlertDetail(AlertShape):
    """A shift with what is behind it."""

    mix: float
    opinion: float
    figures: list[str]
    contributions: list[StratumShape]
    terms: list[TermShape]
    examples: list[ExampleShape]
    examples_withheld: bool


class WindowPostsShape(Shape):
    """Some of the posts of a window; `found` is how many they were chosen from."""

    query: str
    start: AwareDatetime
    end: AwareDatetime
    found: int
    posts: list[ExampleShape]
    withheld: bool


class QualityShape(Shape):
    """What the last forecasts of a source or a query were worth."""

    kind: Literal["source", "query"]
    name: str
    target: str
    outcomes: int
    skill: float | None
    coverage: float | None
    rank_correlation: float | None
    greyed: bool
    not_judged: list[str]


class Quality(Shape):
    """Forecasts by source and by query, those of most outcomes first."""

    forecasts: list[QualityShape]
    notes: list[str]


class KeyShape(Shape):
    """A key, without the key."""

    name: str
    role: Role
    created: AwareDatetime


class KeyList(Shape):
    """Who has a key."""

    keys: list[KeyShape]
