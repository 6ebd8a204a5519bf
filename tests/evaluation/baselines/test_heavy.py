"""The large baselines end to end, on tiny random checkpoints in the format of real ones."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import evaluation.baselines.shown as shown_module
from core.errors import ConfigError
from evaluation.baselines.__main__ import answers_of, main, parse_settings
from evaluation.baselines.fitting import FitSettings, epoch_batches, fit, learning_rate_factor
from evaluation.baselines.heavy import settings_of
from evaluation.baselines.label_scoring import IGNORED, LabelCodec, answer_log_probabilities
from evaluation.baselines.language_model import (
    LabelModel,
    LanguageModelSettings,
    adapters_off,
    dpo_loss,
    wrong_answers,
)
from evaluation.baselines.prompts import BINARY, DIRECT, LEVEL, Question
from evaluation.baselines.sequence import SequenceClassifier, SequenceSettings, class_weights
from models.encoder.heads.participation import LEVELS

pytestmark = pytest.mark.train

COLOURS = Question({"Red": "of blood", "Green": "of grass", "Blue": "of the sky"})
TEXTS = [f"{word} {n}" for n in range(8) for word in ("blood", "grass", "sky")]
ANSWERS = [0, 1, 2] * 8


def save_tokenizer(folder: Path) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    corpus = [*TEXTS, COLOURS.prompt("blood"), DIRECT.prompt("We march"), BINARY.prompt("No")]
    special = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(corpus, trainer)
    names = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>", "mask": "<mask>"}
    special_names = {f"{name}_token": token for name, token in names.items()}
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, **special_names)
    wrapped.save_pretrained(folder)
    return made.get_vocab_size()


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("decoder")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=save_tokenizer(folder), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=512, pad_token_id=0, bos_token_id=2, eos_token_id=3,
        initializer_range=0.3,  # adapters cannot make a nearly zero output layer confident
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    from transformers import RobertaConfig, RobertaForMaskedLM

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=save_tokenizer(folder), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=140,
        pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    RobertaForMaskedLM(config).save_pretrained(folder)
    return str(folder)


SMALL = LanguageModelSettings(
    epochs=30, batch_posts=8, accumulate=1, learning_rate=1e-2, dropout=0.0, max_tokens=128,
    max_gradient_norm=1.0, dpo_epochs=2, seed=3,
)  # fmt: skip


def test_an_encoder_checkpoint_learns_to_tell_classes_apart(encoder: str) -> None:
    settings = SequenceSettings(epochs=12, batch_posts=8, learning_rate=3e-3, max_tokens=32)
    made = SequenceClassifier(encoder, 3, settings)
    losses = made.fit(TEXTS, ANSWERS)
    assert np.mean(losses[-3:]) < 0.3 * np.mean(losses[:3])
    found = made.probabilities(TEXTS)
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    assert np.mean(found.argmax(1) == ANSWERS) > 0.9


def test_the_same_seed_trains_the_same_classifier(encoder: str) -> None:
    settings = SequenceSettings(max_steps=3, batch_posts=4, max_tokens=32)
    runs = [SequenceClassifier(encoder, 3, settings).fit(TEXTS, ANSWERS) for _ in range(2)]
    assert runs[0] == pytest.approx(runs[1], rel=1e-5)


def test_class_weights_are_the_papers() -> None:
    assert class_weights([0, 0, 0, 1], 3).tolist() == pytest.approx([4 / 6, 4 / 2, 0])


def test_supervision_then_preferences_teach_a_decoder(decoder: str) -> None:
    made = LabelModel(decoder, COLOURS, SMALL)
    before = made.probabilities(TEXTS[:3])
    assert before.sum(1) == pytest.approx(1, abs=1e-5)
    losses = made.fit_answers(TEXTS, ANSWERS)
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    after = made.probabilities(TEXTS)
    assert np.mean(after.argmax(1) == ANSWERS) > 0.9
    preferred = made.fit_preferences(TEXTS, ANSWERS)
    assert preferred[0] == pytest.approx(np.log(2), abs=1e-3)  # the policy is the reference yet
    assert np.mean(preferred[-3:]) < preferred[0]
    final = made.probabilities(TEXTS)
    rows = np.arange(len(TEXTS))
    assert final[rows, ANSWERS].mean() >= after[rows, ANSWERS].mean() - 0.02


def test_only_the_tokens_of_the_answer_have_a_loss(decoder: str) -> None:
    made = LabelModel(decoder, COLOURS, SMALL)
    batch = made.codec.batch(["Colour of blood:", "Of a much longer prompt:"], [0, 2], device())
    for row, label in enumerate((0, 2)):
        targets = batch.targets[row][batch.targets[row] != IGNORED].tolist()
        assert tuple(targets) == made.codec.answers[label]
        assert made.codec.parse(targets) == label
        assert batch.ids[row, -len(targets) :].tolist() == targets


def test_padding_and_company_change_no_answers_probability(decoder: str) -> None:
    made = LabelModel(decoder, COLOURS, SMALL)
    prompts = ["Colour of blood:", "A prompt that is a good deal longer than the other one:"]
    with torch.no_grad():
        both = made.codec.batch(prompts, [0, 1], device())
        together = answer_log_probabilities(made.model, both)
        for row, prompt in enumerate(prompts):
            alone = made.codec.batch([prompt], [row], device())
            found = answer_log_probabilities(made.model, alone)
            assert float(found[0]) == pytest.approx(float(together[row]), abs=1e-3)


def test_an_overlong_prompt_loses_its_beginning_never_the_answer(decoder: str) -> None:
    made = LabelModel(decoder, COLOURS, SMALL)
    batch = made.codec.batch(["x " * 500 + "the end:"], [1], device())
    assert batch.ids.shape[1] == SMALL.max_tokens
    assert tuple(batch.ids[0, -len(made.codec.answers[1]) :].tolist()) == made.codec.answers[1]


def test_parsing_is_exact_on_a_closed_set(decoder: str) -> None:
    codec = LabelModel(decoder, BINARY, SMALL).codec
    for label, answer in enumerate(codec.answers):
        assert codec.parse(answer) == label
        assert codec.parse(answer[:-1]) is None
        assert codec.parse((*answer, 5)) is None
    with pytest.raises(ConfigError, match="same tokens"):
        LabelCodec(codec._tokenizer, ["Red", "Red"], 64)
    with pytest.raises(ConfigError, match="no room"):
        LabelCodec(codec._tokenizer, ["Red", "Blue"], 2)


def test_a_wrong_answer_is_never_the_right_one() -> None:
    labels = [0, 1, 2, 3, 4] * 40
    pairs = wrong_answers(labels, 5, 3, seed=1)
    assert len(pairs) == 600
    assert all(labels[row] != wrong for row, wrong in pairs)
    assert {wrong for row, wrong in pairs if labels[row] == 2} == {0, 1, 3, 4}
    assert wrong_answers([0, 1], 2, 1, seed=1) == [(0, 1), (1, 0)]
    with pytest.raises(ConfigError):
        wrong_answers([0], 1, 1, seed=1)


def test_preference_loss_by_hand() -> None:
    policy = torch.tensor([-1.0]), torch.tensor([-3.0])
    reference = torch.tensor([-2.0]), torch.tensor([-2.0])
    expected = -np.log(1 / (1 + np.exp(-0.1 * 2)))
    assert float(dpo_loss(policy, reference, 0.1)) == pytest.approx(expected)


def test_adapters_off_is_the_base_model_and_saving_keeps_them(decoder: str, tmp_path: Path) -> None:
    made = LabelModel(decoder, COLOURS, SMALL)
    base = made.probabilities(TEXTS[:2])
    made.fit_answers(TEXTS[:8], ANSWERS[:8])
    with adapters_off(made.model):
        assert made.probabilities(TEXTS[:2]) == pytest.approx(base, abs=1e-5)
    learned = made.probabilities(TEXTS[:2])
    assert np.abs(learned - base).max() > 1e-3
    made.save(tmp_path / "adapter.safetensors")
    other = LabelModel(decoder, COLOURS, SMALL)
    other.load(tmp_path / "adapter.safetensors")
    assert other.probabilities(TEXTS[:2]) == pytest.approx(learned, abs=1e-5)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    for schedule in ("linear", "cosine"):
        settings = FitSettings(schedule=schedule, warmup_share=0.1)  # type: ignore[arg-type]
        factors = [learning_rate_factor(step, 100, settings) for step in range(100)]
        assert max(factors) == factors[9] == 1.0
        assert factors[10:] == sorted(factors[10:], reverse=True)
        assert factors[-1] < 0.02
    order = [row for batch in epoch_batches(10, 3, torch.Generator()) for row in batch]
    assert sorted(order) == list(range(10))


def test_accumulated_batches_move_weights_like_one_large_batch() -> None:
    torch.manual_seed(2)
    x, y = torch.randn(6, 2), torch.randn(6, 1)

    def weight_after(size: int, accumulate: int) -> np.ndarray:
        torch.manual_seed(0)
        layer = torch.nn.Linear(2, 1)
        fit(
            layer,
            6,
            lambda rows: ((layer(x[list(rows)]) - y[list(rows)]) ** 2).mean(),
            FitSettings(epochs=3, batch_posts=size, accumulate=accumulate, learning_rate=0.1),
        )
        return layer.weight.detach().numpy()

    assert weight_after(6, 1) == pytest.approx(weight_after(2, 3), abs=1e-5)


def test_a_frozen_model_cannot_be_fitted() -> None:
    layer = torch.nn.Linear(1, 1).requires_grad_(False)
    with pytest.raises(ConfigError, match="nothing to train"):
        fit(layer, 3, lambda rows: layer.weight.sum(), FitSettings())


def test_labels_of_the_questions_are_the_levels() -> None:
    assert DIRECT.labels == tuple(LEVELS)
    assert LEVEL.labels == DIRECT.labels[1:]
    assert BINARY.labels[0] == "None"
    assert "Post: a b\nLabel:" in BINARY.prompt(" a \n b ")


def device() -> torch.device:
    return torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made-up participation posts, two levels to a word."""
    folder = tmp_path / "data" / "participation"
    folder.mkdir(parents=True)
    names = list(LEVELS)
    for split, count in (("train", 60), ("test", 20)):
        with gzip.open(folder / f"{split}.csv.gz", "wt", newline="") as opened:
            writer = csv.DictWriter(opened, ["text", "original_text", "label", "augmentation"])
            writer.writeheader()
            for n in range(count):
                word = ("sky", "blood", "grass")[min(2, n % 5)]
                writer.writerow({"text": f"{word} {split} {n}", "original_text": "None",
                                 "label": names[n % 5], "augmentation": "None"})  # fmt: skip
    monkeypatch.setattr(shown_module, "load_groups", lambda posts: list(range(len(posts))))
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "task", "settings"),
    [
        ("roberta", "layered", ["batch_posts=8", "learning_rate=0.003", "max_tokens=32"]),
        ("roberta", "direct", ["batch_posts=8", "max_steps=2", "max_tokens=32", "cut=0.4"]),
        ("llm-zero", "direct", ["max_tokens=64", "cut=0.5"]),
        ("llm-sft", "binary", ["max_steps=2", "max_tokens=64", "cut=0.5"]),
        ("llm-dpo", "layered", ["max_steps=2", "max_tokens=64", "sources=crowd", "cut=0.5"]),
    ],
)
def test_one_command_trains_and_measures(
    name: str, task: str, settings: list[str], data: Path, tmp_path: Path, request
) -> None:
    from typer import Typer

    checkpoint = request.getfixturevalue("encoder" if name == "roberta" else "decoder")
    if not any(word.startswith("max_steps") for word in settings):
        settings = [*settings, "max_steps=30"]
    app = Typer()
    app.command()(main)
    file = tmp_path / "figures.json"
    arguments = [name, "--data", str(data), "--checkpoint", checkpoint, "--task", task]
    arguments += ["--json", str(file), "--resamples", "10"]
    for setting in settings:
        arguments += ["--set", setting]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    report = json.loads(file.read_text())
    assert f"participation_binary_{name}_weighted_f1" in report["figures"]
    assert report["settings"]["task"] == task
    if name == "roberta" and task == "layered":
        assert report["figures"]["participation_binary_roberta_auc"] > 0.9


def test_wrong_names_settings_and_checkpoints_are_said(data: Path) -> None:
    with pytest.raises(ConfigError, match="no baseline 'bert'"):
        answers_of("bert", data, None, "binary", {})
    with pytest.raises(ConfigError, match="--checkpoint"):
        answers_of("roberta", data, None, "binary", {})
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        parse_settings(["epochs"])
    with pytest.raises(ConfigError, match="settings are epochs"):
        settings_of({"epoch": "3"}, SequenceSettings)
    with pytest.raises(ConfigError, match="settings are epochs"):
        settings_of({"epochs": "many"}, SequenceSettings)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        SequenceClassifier(str(data / "none"), 2, SequenceSettings())
