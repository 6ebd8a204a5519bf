"""The backtest in its short form: what it counts, what it draws, and that the judge is good."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as struct_replace

from core.codec import encode
from core.errors import ConfigError
from core.settings import ShiftSettings
from evaluation.alerts import rivals
from evaluation.alerts.labelled import STREAMS, panes, replay
from evaluation.alerts.plan import DAY, Shift, StreamPlan, null_suite, standard_suite
from evaluation.alerts.recorded import crowds_of, read_windows
from evaluation.alerts.run import tune_on_windows
from evaluation.alerts.running import Call, Judged, judge_streams
from evaluation.alerts.scoring import alarms_of, delay_figures, limit_of, tally
from evaluation.alerts.summary import AT_RATE, at_rate, finite, summarise
from evaluation.alerts.synthetic import SPREAD, make_crowd
from evaluation.alerts.tuning import as_toml, threshold_for
from evaluation.drawing import lines
from services.cli.main import run
from testkit.shifts import make_window

SHORT = 2_000
SETTINGS = ShiftSettings()


def judged_of(calls: list[Call], panes: int = 3 * DAY, rate: float = 60.0) -> Judged:
    return Judged(
        calls=calls,
        residual=np.zeros(panes, dtype=np.float32),
        mean=np.zeros(panes, dtype=np.float32),
        rated=np.full(panes, rate, dtype=np.float32),
        rate=np.full(panes, rate, dtype=np.float32),
        silent=np.zeros(panes, dtype=np.bool_),
    )


PLAN = StreamPlan("step", 60, 0.2, 1, (Shift(2_000, 2_100, -0.2), Shift(3_000, 3_100, 0.2)))


def test_the_standard_suite_is_the_same_for_the_same_seed_and_has_everything() -> None:
    plans = standard_suite(200, 5)
    assert plans == standard_suite(200, 5)
    assert plans != standard_suite(200, 6)
    assert {plan.scenario for plan in plans} == {
        "step", "ramp", "burst", "mix", "volume", "none", "seasonal", "brigading", "bots", "outage",
    }  # fmt: skip
    assert {(p.volume, p.strength) for p in plans if p.scenario == "step"} == {
        (volume, strength) for volume in (15, 60, 240, 960) for strength in (0.10, 0.15, 0.25, 0.40)
    }
    for plan in plans:
        ends = [shift.end for shift in plan.shifts]
        assert all(a + 120 < b.begin for a, b in zip(ends, plan.shifts[1:], strict=False))


def test_a_crowd_has_the_shift_that_was_scheduled() -> None:
    shifts = (Shift(1_000, 1_400, -0.3),)
    for scenario in ("step", "mix"):
        crowd = make_crowd(StreamPlan(scenario, 240, 0.3, 9, shifts), 1_500)
        mean = crowd.panes["sentiment"].sum(axis=1) / crowd.panes["rated"].sum(axis=1)
        assert mean[1_000:1_400].mean() - mean[700:1_000].mean() == pytest.approx(-0.3, abs=0.06)
    louder = make_crowd(StreamPlan("volume", 240, 3.0, 9, (Shift(1_000, 1_400, 3.0),)), 1_500)
    plain = make_crowd(StreamPlan("none", 240, 0.0, 9), 1_500)
    assert louder.rate[1_100] == pytest.approx(3 * plain.rate[1_100])


def test_first_alarm_in_a_shift_counts_and_what_is_outside_is_false() -> None:
    calls = [100, 1_700, 2_003, 2_050, 2_150, 2_500]
    judged = judged_of([Call("opinion", True, at) for at in calls])
    counted = tally([(PLAN, judged, alarms_of(judged, "opinion"))], ["step"])
    assert [outcome.delay for outcome in counted.outcomes] == [4, None]
    assert counted.false_alarms == 2  # 1,700 and 2,500: not the warm-up, not the echo
    assert counted.precision == pytest.approx(1 / 3)
    assert counted.quiet_days == pytest.approx((2 * DAY - 2 * 220) / DAY)
    figures = delay_figures(counted.outcomes)
    assert figures["missed_share"] == 0.5
    assert figures["delay_p90_panes"] > 50


def test_the_limit_is_the_logarithm_of_30_days_over_the_divergence() -> None:
    judged, shift = judged_of([]), PLAN.shifts[0]
    divergence = 60 * 0.2**2 / (2 * SPREAD**2)
    assert limit_of(PLAN, shift, judged) == pytest.approx(np.log(43_200) / divergence, rel=1e-5)
    gone = replace(PLAN, shifts=(Shift(2_000, 2_001, 0.01),))
    assert limit_of(gone, gone.shifts[0], judged) == float("inf")


@pytest.mark.slow
def test_short_streams_are_called_what_they_are() -> None:
    shifts = (Shift(1_560, 1_900, -0.25),)
    plans = [
        StreamPlan("step", 60, 0.25, 1, shifts),
        StreamPlan("mix", 240, 0.25, 2, shifts),
        StreamPlan("brigading", 60, 0.2, 3, shifts),
        StreamPlan("bots", 240, 0.2, 4, shifts),
        StreamPlan("outage", 240, 0.0, 5, shifts),
        StreamPlan("none", 60, 0.0, 6),
    ]
    judged = judge_streams(plans, SETTINGS, panes=SHORT)
    kinds = [{call.kind for call in one.calls} for one in judged]
    # Bots are a quarter more posts, which after one day of knowing a query may count as volume.
    kinds[3].discard("volume")
    assert kinds == [{"opinion"}, {"mix"}, {"brigading"}, {"brigading"}, set(), set()]
    found = summarise(list(zip(plans, judged, strict=True)))
    (cell,) = found["cells"]
    assert cell["within"]
    assert cell["missed_share"] == 0
    assert found["acceptance"]["brigading_called_opinion"] == 0
    assert found["scenarios"]["mix"]["called_mix"] == 1


def test_a_threshold_meets_its_budget_on_an_exponential_tail() -> None:
    rng = np.random.default_rng(3)
    peaks = (4 + rng.exponential(1.0, 3_000)).tolist()
    tuned = threshold_for("opinion", peaks, days=900, budget=0.6)
    passed = 30 * np.exp(-(tuned.threshold - 4)) * 3_000 / 900
    assert passed == pytest.approx(0.6, rel=0.6)
    assert tuned.per_30_days <= 0.6
    dearer = threshold_for("opinion", peaks, days=900, budget=6)
    assert dearer.threshold < tuned.threshold


def test_settings_of_tune_are_settings(tmp_path: Path) -> None:
    settings = struct_replace(SETTINGS, opinion_threshold=12.25)
    path = tmp_path / "shifts.toml"
    path.write_text(as_toml(settings, 1.0, "a test"), encoding="utf-8")
    assert run(["--config", str(path), "tune", "--help"]) == 0
    assert "opinion_threshold = 12.25" in path.read_text(encoding="utf-8")


def test_recorded_windows_become_panes_of_equal_length(tmp_path: Path) -> None:
    usual = {"s|en|a": (30, 0.2), "s|en|b": (20, -0.2)}
    windows = [make_window(minute, usual) for minute in range(40) if minute != 7]
    windows.append(make_window(3, usual, query="buses"))
    windows.append(make_window(5, {"s|en|a": (10, 0.0)}, revision=1))
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\n".join(encode(window) for window in windows))
    buses, trains = crowds_of(read_windows(path))
    assert trains.panes["posts"][[5, 6, 7]].tolist() == [10, 50, 0]
    assert (len(buses.panes), buses.panes["posts"].sum()) == (40, 50)
    _, rows = tune_on_windows(struct_replace(SETTINGS, warmup_s=0), 1.0, [trains, buses])
    assert [row.kind for row in rows] == ["opinion", "mix", "volume", "brigading"]


@pytest.mark.parametrize("content", [b"", b"{}\n"])
def test_a_file_that_has_no_windows_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_windows(path)


def test_a_detector_is_read_off_where_it_has_as_many_false_alarms() -> None:
    curve = [
        {"false_per_query_and_day": rate} | dict.fromkeys(AT_RATE, delay)
        for rate, delay in ((1.0, 2.0), (0.1, 10.0), (0.01, 20.0))
    ]
    found = at_rate(curve, 0.0316228)
    assert found is not None
    assert found["delay_mean_all_panes"] == pytest.approx(15.0, abs=0.01)
    assert at_rate(curve, 2.0) is None
    assert at_rate(curve, 0.001) is None


def test_an_alarm_every_so_often_begins_at_another_time_in_every_stream() -> None:
    found = [rivals.every(30 * DAY, 14 * DAY, number) for number in range(100)]
    assert sum(map(len, found)) == pytest.approx(100 * 14 / 30, abs=2)
    assert rivals.every(60, 180) == [59, 119, 179]


def test_rivals_alarm_once_a_crossing_and_rest() -> None:
    statistic = np.zeros(300)
    statistic[[10, 11, 12, 30, 200]] = 5.0
    assert rivals.crossings(statistic, [1.0, 9.0]) == [[10, 200], []]


def test_page_hinkley_finds_a_step_and_not_a_quiet_stream() -> None:
    rng = np.random.default_rng(1)
    quiet, stepped = judged_of([], 1_000), judged_of([], 1_000)
    quiet.residual[:] = rng.standard_normal(1_000)
    stepped.residual[:] = quiet.residual
    stepped.residual[500:] += 1.5
    (nothing,), (step,) = rivals.page_hinkley([quiet, stepped], 0.3, [20.0])
    assert nothing == []
    assert 500 <= step[0] < 530


def test_every_rival_has_a_statistic_for_every_pane() -> None:
    judged = judge_streams(null_suite(1, 3), SETTINGS, panes=300)[0]
    for name, (statistic, thresholds) in rivals.STATISTICS.items():
        values = statistic(judged)
        assert values.shape == (300,), name
        assert np.isfinite(values).all(), name
        assert list(thresholds) == sorted(thresholds)


@pytest.mark.slow
def test_rivers_detectors_run_behind_the_same_protocol() -> None:
    pytest.importorskip("river")
    judged = judged_of([], 900)
    rng = np.random.default_rng(2)
    judged.residual[:] = rng.standard_normal(900)
    judged.residual[500:] += 3
    for name, grid in rivals.RIVER_GRIDS.items():
        found = rivals.river_alarms(name, grid[0], judged)
        assert [at for at in found if at >= 500], name


def test_labelled_rows_become_windows_that_add_up() -> None:
    rows = [
        {"created_at": f"2015-02-17T08:{minute:02d}:30Z", "label": label, "topic": topic,
         "author": f"a{minute}"}
        for minute in range(40)
        for label, topic in (("negative", "north"), ("positive", "south"), ("neutral", "south"))
    ]  # fmt: skip
    (first, *rest) = panes(rows, STREAMS["airline"])
    assert [window.query for window in first] == ["all", "north", "south"]
    everything = [windows[0] for windows in (first, *rest)]
    assert sum(window.counters["posts"] for window in everything) == 120
    assert first[0].strata["north"].sentiment_sum == -15_000_000
    assert first[0].authors == 15
    assert replay("airline", rows, SETTINGS)["alerts"] == []


def test_a_report_has_no_number_that_json_lacks() -> None:
    assert finite({"a": float("nan"), "b": [np.float64(1.5), float("inf")], "c": np.int64(2)}) == {
        "a": None, "b": [1.5, None], "c": 2,
    }  # fmt: skip


@pytest.mark.slow
def test_a_picture_has_every_series_and_no_number_that_is_none() -> None:
    series = {"ours": [(0.01, 3.0), (0.1, 2.0)], "theirs": [(0.0, 9.0)]}
    drawn = lines("title", "x", "y", series, is_log=True).svg()
    assert drawn.startswith("<svg")
    assert drawn.count('id="series-') == 2
    assert "nan" not in drawn
