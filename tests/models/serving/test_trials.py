"""The engine that is taken: cheapest of those that are right, and the same one after a restart."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from core.config import build as settings_of
from core.errors import ConfigError
from core.server_settings import Engine
from models.encoder.config import EncoderConfig, HeadCalibration, HeadConfig
from models.serving import candidates, engine_choice, trials
from models.serving.candidates import EngineForm
from models.serving.engines import Outputs
from models.serving.reference import REFERENCE_FILE, TrialTexts, load_reference
from models.serving.trials import choose_engine

TEXTS = [[1, 2, 3], [4, 5], [6], [7, 8, 9, 10]]
COSTS = {"first": 300.0, "second": 200.0, "third": 100.0}


class Sums:
    """A network of sums, changed by `bend`, which sees the batch."""

    def __init__(self, name: str, bend: Callable[[np.ndarray], np.ndarray]) -> None:
        self.name = name
        self._bend = bend

    def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
        sums = np.array([[sum(ids), 1.0] for ids in token_ids], np.float32)
        bent = self._bend(sums).astype(np.float32)
        return {"post_embedding": bent, "logits_sentiment": np.concatenate([bent, bent], 1)[:, :3]}


def candidate(
    name: str,
    bend: Callable[[np.ndarray], np.ndarray] = lambda sums: sums,
    package: str = "json",
    any_of: frozenset[str] = frozenset(),
) -> EngineForm:
    return EngineForm(name, "cpu", "net", package, any_of, lambda _, __: Sums(name, bend))


def config(version: str = "tiny-1.0123456789ab") -> EncoderConfig:
    calibration = HeadCalibration(scale=(0.1,) * 3, bias=(0.0,) * 3)
    labels = ("negative", "neutral", "positive")
    head = HeadConfig(name="sentiment", labels=labels, calibration=calibration)
    return EncoderConfig(
        version=version, backbone="b", backbone_sha256="0", normaliser_version=1,
        embedding_size=2, heads=(head,),
    )  # fmt: skip


class Timer:
    """Gives each engine its cost, and counts what it was asked."""

    def __init__(self, costs: dict[str, float] | None = None) -> None:
        self.costs = costs or COSTS
        self.timed: list[str] = []

    def __call__(self, engine: object, _: Sequence[Sequence[int]]) -> tuple[float, float]:
        assert isinstance(engine, Sums)
        self.timed.append(engine.name)
        return self.costs[engine.name], 1e6 / self.costs[engine.name]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a version folder in which these candidates are built, on one processor."""

    def made(*built: EngineForm) -> Path:
        monkeypatch.setattr(candidates, "CANDIDATES", built)
        monkeypatch.setattr(candidates, "NAMES", tuple(each.name for each in built))
        monkeypatch.setattr(trials, "processor_name", lambda: "a processor")
        monkeypatch.setattr(trials, "read_flags", lambda: frozenset({"avx2"}))
        for each in built:
            each.place(tmp_path).parent.mkdir(parents=True)
            each.place(tmp_path).touch()
        TrialTexts(TEXTS, Sums("fp32", lambda sums: sums).infer(TEXTS)).save(tmp_path)
        return tmp_path

    return made


def test_the_cheapest_is_taken_and_all_figures_are_kept(build: Callable[..., Path]) -> None:
    folder = build(candidate("first"), candidate("second"), candidate("third"))
    choice = choose_engine(folder, config(), measure=Timer())
    assert choice.engine == "third"
    assert {trial.engine: trial.cpu_us for trial in choice.trials} == COSTS
    assert choice.said() == (
        "third 0.10 ms of processor a post, the cheapest that is right; "
        "first 0.30 ms of processor a post; second 0.20 ms of processor a post"
    )


def test_of_two_that_are_as_cheap_the_first_is_taken(build: Callable[..., Path]) -> None:
    folder = build(candidate("first"), candidate("second"))
    choice = choose_engine(folder, config(), measure=Timer({"first": 105.0, "second": 100.0}))
    assert choice.engine == "first"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (candidate("third", lambda sums: sums + 1e-3 * len(sums)), "4 of 4 texts have other bits"),
        (candidate("third", lambda sums: -sums), "mean cosine -1.0000"),
        (candidate("third", lambda sums: sums * np.nan), "mean cosine nan"),
        (candidate("third", package="no_such_package"), "no_such_package is not installed"),
        (candidate("third", any_of=frozenset({"amx_int8"})), "has none of amx_int8"),
        (
            EngineForm("third", "cpu", "net", "json", frozenset(), lambda *_: [][0]),
            "it failed with IndexError",
        ),
    ],
)
def test_who_is_wrong_is_refused_by_name_however_cheap(
    wrong: EngineForm, why: str, build: Callable[..., Path]
) -> None:
    timer = Timer()
    choice = choose_engine(build(candidate("second"), wrong), config(), measure=timer)
    assert (choice.engine, timer.timed) == ("second", ["second"])
    assert why in choice.trials[1].refused
    assert f"third refused: {choice.trials[1].refused}" in choice.said()


def test_where_all_are_wrong_nothing_runs(build: Callable[..., Path]) -> None:
    folder = build(candidate("first", lambda sums: -sums), candidate("second", package="absent_"))
    with pytest.raises(ConfigError, match=r"first: mean cosine .*; second: the package absent_"):
        choose_engine(folder, config(), measure=Timer())


def test_a_restart_takes_the_same_engine_without_timing(build: Callable[..., Path]) -> None:
    folder = build(candidate("first"), candidate("second"))
    before = choose_engine(folder, config(), measure=Timer())
    # By now the other one would look cheaper.
    timer = Timer({"first": 1.0, "second": 100.0})
    assert choose_engine(folder, config(), measure=timer) == before
    assert timer.timed == []


@pytest.mark.parametrize("change", ["processor", "model", "packages", "record"])
def test_another_processor_model_or_package_is_timed_anew(
    change: str, build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(candidate("first"), candidate("second"))
    assert choose_engine(folder, config(), measure=Timer()).engine == "second"
    if change == "processor":
        monkeypatch.setattr(trials, "processor_name", lambda: "another")
    if change == "packages":
        monkeypatch.setattr(trials, "version", lambda _: "9")
    if change == "record":
        (folder / engine_choice.choice_file()).write_bytes(b"{\xff" + b"[" * 100_000)
    model = config("tiny-2.0123456789ab") if change == "model" else config()
    timer = Timer({"first": 1.0, "second": 100.0})
    choice = choose_engine(folder, model, measure=timer)
    assert choice.engine == "first"
    assert ("engine.json cannot be read" in choice.said()) == (change == "record")
    assert timer.timed == ["first", "second"]


def test_a_record_of_an_engine_that_was_not_built_is_no_choice(build: Callable[..., Path]) -> None:
    folder = build(candidate("first"), candidate("second"))
    file = folder / engine_choice.choice_file()
    choose_engine(folder, config(), measure=Timer())
    file.write_text(file.read_text().replace('"second"', '"secund"'))
    choice = choose_engine(folder, config(), measure=Timer())
    assert choice.engine == "second"
    assert "secund, which was not built" in choice.why


def test_the_one_that_is_set_is_taken_although_another_is_cheaper(
    build: Callable[..., Path],
) -> None:
    folder = build(candidate("first"), candidate("second"))
    assert choose_engine(folder, config(), measure=Timer()).engine == "second"
    choice = choose_engine(folder, config(), "first", measure=Timer())
    assert (choice.engine, choice.why, len(choice.trials)) == ("first", "as set", 1)
    timer = Timer()  # both are on record
    assert choose_engine(folder, config(), measure=timer).engine == "second"
    assert choose_engine(folder, config(), "first", measure=timer) == choice
    assert timer.timed == []


def test_one_that_is_set_and_wrong_is_refused(build: Callable[..., Path]) -> None:
    folder = build(candidate("first", lambda sums: sums + 1e-3 * len(sums)), candidate("second"))
    with pytest.raises(ConfigError, match="first: 4 of 4 texts have other bits in a batch"):
        choose_engine(folder, config(), "first", measure=Timer())


def test_the_error_of_an_unknown_engine_names_those_there_are(build: Callable[..., Path]) -> None:
    folder = build(candidate("first"), candidate("second"))
    with pytest.raises(ConfigError, match="'thrid'; expected auto, first, second"):
        choose_engine(folder, config(), "thrid", measure=Timer())


def test_the_only_one_that_was_built_is_taken_untried(build: Callable[..., Path]) -> None:
    folder = build(candidate("first", package="only_where_it_is_served"))
    choice = choose_engine(folder, config(), measure=Timer())
    assert (choice.engine, choice.why) == ("first", "the only one built")


def test_a_folder_that_cannot_be_written_is_timed_at_each_start(
    build: Callable[..., Path],
) -> None:
    folder = build(candidate("first"), candidate("second"))
    (folder / engine_choice.choice_file()).mkdir()  # nothing can be put in its place
    (folder / engine_choice.choice_file() / "full").touch()
    timer = Timer()
    for _ in range(2):
        assert choose_engine(folder, config(), measure=timer).engine == "second"
    assert timer.timed == ["first", "second"] * 2
    assert [part.name for part in folder.glob("engine.json.*")] == []


def test_a_folder_without_a_model_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="models build"):
        choose_engine(tmp_path, config())


def test_texts_and_what_fp32_says_of_them_come_back(build: Callable[..., Path]) -> None:
    folder = build(candidate("first"), candidate("second"))
    found = load_reference(folder, config())
    assert found.token_ids == TEXTS
    assert found.outputs["post_embedding"][0].tolist() == [6.0, 1.0]
    (folder / REFERENCE_FILE).write_bytes(b"PK spoilt")
    with pytest.raises(ConfigError, match="build --force"):
        choose_engine(folder, config(), measure=Timer())


def test_timing_asks_for_all_texts_and_for_a_few_at_a_time() -> None:
    asked: list[int] = []

    class Noting:
        def infer(self, token_ids: Sequence[Sequence[int]]) -> Outputs:
            asked.append(len(token_ids))
            return {}

    timed = partial(trials.measure, seconds=0.0)
    cpu_us, posts_per_s = timed(Noting(), TEXTS * 8)
    assert asked == [32, 32, 4, 4]  # once for nothing, then timed
    assert (cpu_us >= 0, posts_per_s > 0) == (True, True)


def test_what_can_be_set_is_what_can_be_built_for_cpu() -> None:
    cpu = {each.name for each in candidates.CANDIDATES if each.device == "cpu"}
    assert set(get_args(Engine)) == {engine_choice.AUTO, *cpu}
    with pytest.raises(ConfigError, match="openvino-fp32"):
        settings_of({"scorer": {"engine": "openvino"}})
