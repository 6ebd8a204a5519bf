"""From panes in the store to what people are shown: counted shares, and corrected ones beside."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from core.metrics import Metrics
from core.quantification import CORRECTIONS_FILE, Correction, Corrections, corrected_intervals
from core.settings import RedisSettings, ScorerSettings, Settings, WindowSettings
from services.cli.main import run
from services.corrected_shares import ShareCorrector, weights_folder
from services.exporter.conversation import Exporter
from services.exporter.process import refresh
from services.local import runfile
from services.local.redis_server import RedisServer
from stream.store.increments import ApplyBatch, Horizons
from stream.store.redis_store import RedisStore
from stream.topics import POSTS
from stream.windows.layout import COUNTERS
from stream.windows.records import ScoringModel

DATABASE = 8
START = 1_772_366_400  # 2026-03-01 12:00 UTC
VERSION = "weights-1"
SENTIMENT = Correction(
    labels=("negative", "neutral", "positive"),
    blocks=(0, 1, 2),
    matrix=((0.8, 0.2, 0.1), (0.1, 0.6, 0.1), (0.1, 0.2, 0.8)),
    posts=300,
    block_posts=(100, 100, 100),
)
COUNTED = {
    "posts": 100, "rated": 100, "sentiment_negative": 45_000_000, "sentiment_neutral": 20_000_000,
    "sentiment_positive": 35_000_000, "emotion_posts": 100, "emotion_anger": 40_000_000,
    "emotion_joy": 60_000_000, "participation_posts": 100, "participation_none": 90_000_000,
    "participation_execution": 10_000_000,
}  # fmt: skip


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder of weights with a correction of sentiment alone."""
    corrections = Corrections(model_version=VERSION, heads={"sentiment": SENTIMENT})
    (tmp_path / CORRECTIONS_FILE).write_bytes(msgspec.json.encode(corrections))
    return tmp_path


def settings_of(weights: Path, *, is_on: bool = True) -> Settings:
    return Settings(
        scorer=ScorerSettings(weights=str(weights)), windows=WindowSettings(corrected_shares=is_on)
    )


def corrected(weights: Path, version: str = f"{VERSION}.int8.0f") -> dict[str, object]:
    return dict(ShareCorrector.of(settings_of(weights)).shares(COUNTED, version))


def test_only_heads_with_a_correction_of_the_model_that_scored_are_corrected(weights: Path) -> None:
    labels = SENTIMENT.labels
    counts = [COUNTED[f"sentiment_{label}"] for label in labels]
    expected = corrected_intervals(counts, 100, SENTIMENT)
    assert corrected(weights) == {"sentiment": dict(zip(labels, expected, strict=True))}
    assert corrected(weights, "weights-2.int8.0f") == {}
    assert corrected(weights, "") == {}


def test_why_shares_are_counted_only_is_said(weights: Path, tmp_path: Path) -> None:
    corrector = ShareCorrector.of(settings_of(weights))
    assert corrector.missing("sentiment", VERSION) == ""
    assert "no correction of participation" in corrector.missing("participation", VERSION)
    assert f"fitted to {VERSION}" in corrector.missing("sentiment", "weights-2")
    assert "several models" in corrector.missing("sentiment", "")
    nowhere = ShareCorrector.of(settings_of(tmp_path / "nowhere"))
    assert nowhere.is_asked
    assert "cannot be read" in nowhere.missing("sentiment", VERSION)
    assert nowhere.shares(COUNTED, VERSION) == {}


def test_without_the_setting_nothing_is_read_and_nothing_corrected(tmp_path: Path) -> None:
    corrector = ShareCorrector.of(settings_of(tmp_path / "nowhere", is_on=False))
    assert not corrector.is_asked
    assert corrector.shares(COUNTED, VERSION) == {}


def test_shipped_weights_have_corrections_for_the_heads_that_docs_name() -> None:
    corrector = ShareCorrector.of(Settings(windows=WindowSettings(corrected_shares=True)))
    assert corrector.corrections is not None
    assert set(corrector.corrections.heads) == {"sentiment", "emotion"}
    config = json.loads((weights_folder("") / "config.json").read_text())
    assert corrector.corrections.model_version == config["version"]
    assert all(one.block_posts for one in corrector.corrections.heads.values())


@pytest.fixture
def url(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store with a pane of before and one of since a model alone scores, both closed."""
    found = redis_server.url.removesuffix("/0") + f"/{DATABASE}"
    with redis.Redis.from_url(found) as client:
        client.flushdb()
    monkeypatch.setattr(runfile, "read_run", lambda: None)
    monkeypatch.setenv("GROUNDSWELL__REDIS__URL", found)
    asyncio.run(_fill(found))
    return found


async def _fill(url: str) -> None:
    store = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
    counters = [COUNTED.get(name, 0) for name in COUNTERS]
    panes = {start: [("all", counters, {}, ["a"])] for start in (START, START + 60)}
    await store.apply(0, ApplyBatch(POSTS, -1, 199, (START + 150) * 1000, panes))
    await store.close_through([0], START + 120)
    epoch = await store.begin_closing()
    assert await store.set_scoring_model(epoch, ScoringModel(VERSION, START + 60))
    await store.close()


@pytest.mark.integration
def test_panes_become_metrics_of_counted_and_corrected_shares(url: str, weights: Path) -> None:
    def shown(settings: Settings) -> Metrics:
        async def look() -> Metrics:
            metrics = Metrics(role="exporter")
            store = RedisStore(RedisSettings(url=url), Horizons(60, 172_800, 21_600, 86_400))
            exporter = Exporter(metrics, 10, ShareCorrector.of(settings))
            await refresh(store, exporter, settings)
            await store.close()
            return metrics

        return asyncio.run(look())

    def value(metrics: Metrics, name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"groundswell_{name}", labels)

    on = shown(settings_of(weights))
    (negative, _, _) = corrected_intervals([45.0, 20.0, 35.0], 100, SENTIMENT)
    labels = {"query": "all", "head": "sentiment", "label": "negative"}
    assert value(on, "window_share", **labels) == pytest.approx(0.45)
    assert value(on, "window_corrected_share", **labels) == pytest.approx(negative.value)
    assert value(on, "window_corrected_share_lower", **labels) == pytest.approx(negative.low)
    assert value(on, "window_corrected_share_upper", **labels) == pytest.approx(negative.high)
    assert negative.low < negative.value < negative.high
    assert value(on, "share_correction", head="sentiment") == 1
    assert value(on, "share_correction", head="emotion") == 0
    joy = {"query": "all", "head": "emotion", "label": "joy"}
    assert value(on, "window_share", **joy) == pytest.approx(0.6)
    assert value(on, "window_corrected_share", **joy) is None
    off = shown(settings_of(weights, is_on=False))
    assert value(off, "window_share", **labels) == pytest.approx(0.45)
    assert value(off, "window_corrected_share", **labels) is None
    assert value(off, "share_correction", head="sentiment") is None


@pytest.mark.integration
def test_commands_show_corrected_shares_and_why_some_windows_have_none(
    url: str, weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROUNDSWELL__WINDOWS__CORRECTED_SHARES", "true")
    monkeypatch.setenv("GROUNDSWELL__SCORER__WEIGHTS", str(weights))
    (negative, _, _) = corrected_intervals([45.0, 20.0, 35.0], 100, SENTIMENT)
    assert run(["windows", "show", "all"]) == 0
    page = capfd.readouterr().out
    assert f"{negative.value:.0%} ({negative.low:.0%}-{negative.high:.0%})" in page
    assert "1 of 2 windows have counted shares only: several models" in page
    assert run(["windows", "show", "all", "--head", "participation"]) == 0
    assert "1 of 2 windows have counted shares only: no correction of" in capfd.readouterr().out
    assert run(["windows", "dump"]) == 0
    before, since = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert before["corrected_shares"] == {}
    assert "several models" in before["uncorrected_shares"]["sentiment"]
    found = since["corrected_shares"]["sentiment"]["negative"]
    assert found == pytest.approx([negative.value, negative.low, negative.high])
    assert sorted(since["uncorrected_shares"]) == ["emotion", "participation", "problem"]
