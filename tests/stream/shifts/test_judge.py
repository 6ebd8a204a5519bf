"""The judge's contract: order, repeats, corrections, restarts, and what is said of a shift."""

import random

import pytest

from core.schemas import Window
from core.settings import ShiftSettings
from stream.shifts.judge import MAX_STATE_BYTES, ShiftJudge
from stream.shifts.rules import AlertRules
from stream.shifts.signals import JudgeContext, ShiftSignal
from testkit.shifts import make_window

SETTINGS = ShiftSettings(warmup_s=3_600, correction_panes=8)
CONTEXT = JudgeContext(model_version="m1")
USUAL = {"s|en|a": (30, 0.2), "s|en|b": (20, -0.3)}
WORSE = {"s|en|a": (30, -0.2), "s|en|b": (20, -0.7)}
OTHERS = {"s|en|a": (10, 0.2), "s|en|b": (40, -0.3)}
MORE = {"s|en|a": (90, 0.2), "s|en|b": (60, -0.3)}
BEFORE = 130


def stream(after: dict[str, tuple[int, float]], minutes: int = 60) -> list[Window]:
    usual = [make_window(minute, USUAL) for minute in range(BEFORE)]
    return usual + [make_window(BEFORE + minute, after) for minute in range(minutes)]


def judge_all(
    judge: ShiftJudge, windows: list[Window], context: JudgeContext = CONTEXT
) -> list[ShiftSignal]:
    return [signal for window in windows for signal in judge.judge(window, context)]


@pytest.mark.parametrize(
    ("after", "kind", "direction"),
    [(WORSE, "opinion", "down"), (OTHERS, "mix", "down"), (MORE, "volume", "up")],
    ids=["opinion", "mix", "volume"],
)
def test_a_shift_is_called_what_it_is_and_nothing_else(
    after: dict[str, tuple[int, float]], kind: str, direction: str
) -> None:
    said = judge_all(ShiftJudge(SETTINGS), stream(after))
    assert {(one.kind, one.direction) for one in said} == {(kind, direction)}
    first = said[0]
    assert first.state == "firing"
    assert first.started_s == int(make_window(BEFORE, USUAL).start.timestamp())
    assert first.fired_s - first.started_s <= 300


def test_a_constant_crowd_raises_nothing() -> None:
    assert judge_all(ShiftJudge(SETTINGS), stream(USUAL, 200)) == []


def test_resolved_follows_firing_under_the_same_id() -> None:
    windows = stream(WORSE, 30)
    windows += [make_window(BEFORE + 30 + minute, USUAL) for minute in range(60)]
    said = judge_all(ShiftJudge(SETTINGS), windows)
    assert [one.state for one in said if one.alert_id == said[0].alert_id][-1] == "resolved"
    assert {one.alert_id for one in said} == {said[0].alert_id}
    assert said[-1].ended_as == "over"
    assert 0 < said[-1].ended_s - windows[BEFORE + 30].start.timestamp() <= 600


def test_strata_and_parts_add_up_to_the_change() -> None:
    for after in (WORSE, OTHERS):
        (first, *_) = judge_all(ShiftJudge(SETTINGS), stream(after))
        assert first.mix + first.opinion == pytest.approx(first.change.value, abs=1e-9)
        assert first.after.value - first.before.value == pytest.approx(first.change.value, abs=1e-9)
        assert sum(one.mix for one in first.strata) == pytest.approx(first.mix, abs=1e-4)
        assert sum(one.opinion for one in first.strata) == pytest.approx(first.opinion, abs=1e-4)
        assert first.change.low < first.change.value < first.change.high


def test_judging_again_changes_nothing_and_says_nothing() -> None:
    judge, windows = ShiftJudge(SETTINGS), stream(WORSE, 20)
    judge_all(judge, windows)
    before = judge.state_bytes("trains")
    assert judge.judge_many(windows[-6:], CONTEXT) == []
    assert judge_all(judge, windows[-3:]) == []
    assert judge.state_bytes("trains") == before


def test_a_state_taken_up_at_any_pane_says_what_an_uninterrupted_judge_says() -> None:
    windows = stream(WORSE, 20)
    whole = ShiftJudge(SETTINGS)
    said = judge_all(whole, windows)
    for cut in (1, BEFORE + 2):
        first, second = ShiftJudge(SETTINGS), ShiftJudge(SETTINGS)
        begun = judge_all(first, windows[:cut])
        state = first.state_bytes("trains")
        assert len(state) <= MAX_STATE_BYTES
        assert second.restore("trains", state)
        assert begun + judge_all(second, windows[cut:]) == said
        assert second.state_bytes("trains") == whole.state_bytes("trains")


def test_any_order_within_the_correction_panes_ends_in_the_same_alert() -> None:
    windows = stream(WORSE, 24)
    straight = ShiftJudge(SETTINGS)
    judge_all(straight, windows)
    rng = random.Random(5)
    shuffled = [
        window
        for begin in range(0, len(windows), 4)
        for window in rng.sample(windows[begin : begin + 4], k=len(windows[begin : begin + 4]))
    ]
    mixed = ShiftJudge(SETTINGS)
    said = judge_all(mixed, shuffled)
    live = straight._memory.now, mixed._memory.now
    assert live[0]["firing"].tolist() == live[1]["firing"].tolist()
    assert live[0]["opinion"]["score"] == pytest.approx(live[1]["opinion"]["score"])
    assert live[0]["learnt"]["gram"] == pytest.approx(live[1]["learnt"]["gram"])
    last = {one.alert_id: one for one in said}
    assert [one.kind for one in last.values() if one.state == "firing"] == ["opinion"]


def test_a_correction_that_takes_the_evidence_away_resolves_the_alert() -> None:
    judge, windows = ShiftJudge(SETTINGS), stream(WORSE, 4)
    said = judge_all(judge, windows)
    assert said[0].kind == "opinion"
    fixed = [make_window(BEFORE + minute, USUAL, revision=1) for minute in range(4)]
    ended = judge.judge_many(fixed, CONTEXT)
    assert (ended[-1].state, ended[-1].ended_as) == ("resolved", "corrected")
    straight = ShiftJudge(SETTINGS)
    judge_all(straight, [*windows[:BEFORE], *fixed])
    assert straight._memory.now["firing"].sum() == 0


def test_many_corrections_at_once_say_what_they_say_one_by_one() -> None:
    together, alone = ShiftJudge(SETTINGS), ShiftJudge(SETTINGS)
    for judge in (together, alone):
        judge_all(judge, stream(WORSE, 4))
    other = JudgeContext(queries=5_000, model_version="m1")
    fixed = [make_window(BEFORE + minute, USUAL, revision=1) for minute in range(4)]
    new = make_window(BEFORE + 4, USUAL)
    said = together.judge_groups([(fixed[:2], CONTEXT), (fixed[2:], other), ([new], CONTEXT)])
    judge_all(alone, fixed)
    judge_all(alone, [new])
    assert [(one.state, one.ended_as) for one in said] == [("resolved", "corrected")]
    assert together.state_bytes("trains") == alone.state_bytes("trains")


def test_after_a_longer_silence_than_is_ever_judged_charts_begin_anew() -> None:
    judge = ShiftJudge(SETTINGS, pane_s=10)
    judge.judge(make_window(0, USUAL), CONTEXT)
    judge.judge_quiet(int(make_window(60 * 23, USUAL).start.timestamp()), CONTEXT)
    assert judge._memory.now["panes"].max() < 5


def test_a_correction_from_before_the_ring_is_counted_and_changes_nothing() -> None:
    judge, windows = ShiftJudge(SETTINGS), stream(USUAL, 20)
    judge_all(judge, windows)
    before = judge.state_bytes("trains")
    assert judge.judge(make_window(BEFORE, WORSE, revision=1), CONTEXT) == []
    assert judge.too_old == 1
    assert judge.state_bytes("trains") == before


@pytest.mark.parametrize(
    "context",
    [JudgeContext(healthy=False), JudgeContext(missing_sources=frozenset({"bluesky"}))],
    ids=["unhealthy", "missing source"],
)
def test_nothing_is_said_or_learnt_while_ingest_cannot_be_trusted(context: JudgeContext) -> None:
    judge, windows = ShiftJudge(SETTINGS), stream(WORSE, 20)
    judge_all(judge, windows[:BEFORE])
    learnt = judge._memory.now["learnt"]["gram"].copy()
    assert judge_all(judge, windows[BEFORE:], context) == []
    assert judge._memory.now["learnt"]["gram"].tolist() == learnt.tolist()


def test_another_model_starts_the_baseline_again_and_ends_its_alerts() -> None:
    judge, windows = ShiftJudge(SETTINGS), stream(WORSE, 90)
    judge_all(judge, windows[: BEFORE + 10])
    after = judge_all(judge, windows[BEFORE + 10 :], JudgeContext(model_version="m2"))
    assert [(one.state, one.ended_as) for one in after] == [("resolved", "reset")]


def test_one_author_is_named_and_raises_no_alert_of_opinion() -> None:
    usual = [make_window(minute, USUAL, authors=48) for minute in range(BEFORE)]
    brigade = USUAL | {"s|en|c": (13, -1.0)}
    loud = [make_window(BEFORE + minute, brigade, authors=49) for minute in range(60)]
    said = judge_all(ShiftJudge(SETTINGS), usual + loud)
    assert {one.kind for one in said} == {"brigading"}
    assert not said[0].copies


def test_one_author_among_few_posts_is_named_and_raises_no_alert_of_opinion() -> None:
    few = {"s|en|a": (4, 0.3), "s|en|b": (3, -0.1)}
    usual = [make_window(minute, few, authors=7) for minute in range(BEFORE)]
    # Two posts a pane, of which one is a repeat: the other must not count as the crowd's.
    brigade = few | {"s|en|c": (2, -1.0)}
    loud = [make_window(BEFORE + minute, brigade, authors=8) for minute in range(240)]
    said = judge_all(ShiftJudge(SETTINGS), usual + loud)
    assert {one.kind for one in said} == {"brigading"}


def test_copies_by_many_accounts_are_named_and_raise_no_alert_of_opinion() -> None:
    usual = [make_window(minute, USUAL, authors=48, copies=1) for minute in range(BEFORE)]
    bots = USUAL | {"s|en|c": (13, -1.0)}
    loud = [make_window(BEFORE + minute, bots, authors=60, copies=14) for minute in range(60)]
    said = judge_all(ShiftJudge(SETTINGS), usual + loud)
    assert {one.kind for one in said} == {"brigading"}
    assert said[0].copies


def test_many_queries_at_once_are_judged_as_one_by_one() -> None:
    together, alone = ShiftJudge(SETTINGS), ShiftJudge(SETTINGS)
    both: list[ShiftSignal] = []
    for first, second in zip(stream(WORSE, 10), stream(MORE, 10), strict=True):
        pair = [
            first,
            Window(
                **{f: getattr(second, f) for f in second.__struct_fields__} | {"query": "buses"}
            ),
        ]
        both += together.judge_many(pair, CONTEXT)
        judge_all(alone, pair)
    assert {(one.query, one.kind) for one in both} == {("trains", "opinion"), ("buses", "volume")}
    assert together.state_bytes("trains") == alone.state_bytes("trains")


def test_a_query_that_falls_silent_is_noticed_when_panes_pass_without_it() -> None:
    judge = ShiftJudge(SETTINGS)
    judge_all(judge, stream(USUAL, 1)[:-1])
    last = int(make_window(BEFORE - 1, USUAL).start.timestamp())
    said = [one for minute in range(1, 6) for one in judge.judge_quiet(last + 60 * minute, CONTEXT)]
    assert (said[0].kind, said[0].direction) == ("volume", "down")


@pytest.mark.parametrize("broken", [b"", b"nonsense", b"\x95\x02\x00\x00\x80\xc4\x00"])
def test_a_state_that_cannot_be_read_is_refused(broken: bytes) -> None:
    judge = ShiftJudge(SETTINGS)
    assert not judge.restore("trains", broken)
    assert list(judge.queries()) == []


def test_more_strata_than_slots_keep_those_that_speak() -> None:
    judge = ShiftJudge(SETTINGS)
    many = {f"s|en|{number}": (1, 0.0) for number in range(40)} | {"s|en|main": (50, 0.1)}
    for minute in range(6):
        judge.judge(make_window(minute, many), CONTEXT)
    late = {"s|en|late": (30, 0.1), "s|en|main": (50, 0.1)}
    for minute in range(6, 200):
        judge.judge(make_window(minute, late), CONTEXT)
    assert "s|en|late" in judge._memory.strata[0]
    rated = judge._memory.now["learnt"]["shares"][0, 0]
    assert rated.sum() == pytest.approx(judge._memory.now["learnt"]["gram"][0, 0])


def test_forgetting_a_query_frees_its_place() -> None:
    judge = ShiftJudge(SETTINGS)
    judge.judge(make_window(0, USUAL), CONTEXT)
    judge.forget("trains")
    assert judge.state_bytes("trains") == b""
    judge.judge(make_window(0, USUAL, query="buses"), CONTEXT)
    assert list(judge.queries()) == ["buses"]


def test_a_query_with_a_threshold_of_its_own_is_judged_by_it_and_the_others_as_before() -> None:
    windows = [
        make_window(minute, WORSE if minute >= BEFORE else USUAL, query=query)
        for minute in range(BEFORE + 30)
        for query in ("buses", "trains")
    ]
    plain, strict = ShiftJudge(SETTINGS), ShiftJudge(SETTINGS)
    strict.follow({"trains": AlertRules(thresholds={"opinion": 9_000.0})})
    usual, told = judge_all(plain, windows), judge_all(strict, windows)
    assert {one.query for one in usual} == {"buses", "trains"}
    assert told == [one for one in usual if one.query == "buses"]
    eager = ShiftJudge(SETTINGS)
    eager.follow({"trains": AlertRules(thresholds={"opinion": 2.0})})
    first = next(one for one in judge_all(eager, windows) if one.query == "trains")
    assert first.threshold == 2.0
    assert first.fired_s <= next(one.fired_s for one in usual if one.query == "trains")


def test_a_correction_is_judged_by_the_rules_of_its_query() -> None:
    strict = ShiftJudge(SETTINGS)
    strict.follow({"trains": AlertRules(thresholds={"opinion": 9_000.0})})
    windows = [*stream(WORSE, 6), make_window(BEFORE + 2, WORSE, revision=1, seed=1)]
    assert judge_all(strict, windows) == []
    assert {one.kind for one in judge_all(ShiftJudge(SETTINGS), windows)} == {"opinion"}
