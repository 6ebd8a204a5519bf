"""SFT learns replies and nothing else, and goes on where it was stopped."""

import json
from pathlib import Path

import msgspec
import pytest
import torch

from core.errors import ConfigError
from models.popalm.training.decoder import load_decoder
from models.popalm.training.examples import Example, by_length, parted, read_threads, whole_examples
from models.popalm.training.loop import read_steps
from models.popalm.training.sft import ADAPTER, SftSettings, reply_loss, train_sft
from tests.models.popalm.training.tiny import tiny_decoder, tiny_folder

pytestmark = pytest.mark.train
SETTINGS = SftSettings(
    steps=8, batch=4, rank=2, alpha=4.0, learning_rate=0.02, validate_every=4, checkpoint_every=2
)


def write_threads(folder: Path, number: int = 24) -> Path:
    file = folder / "threads.jsonl"
    rows = [{"post": f"post {row}", "replies": ["yes sir", "no"]} for row in range(number)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_loss_of_what_is_repeated_falls_and_the_best_adapter_stays(tmp_path: Path) -> None:
    threads = write_threads(tmp_path)
    decoder = load_decoder(tiny_folder(tmp_path / "base"))
    record = train_sft(decoder, threads, tmp_path / "out", SETTINGS)
    assert record["best_nats"] < record["untrained_nats"] - 0.3
    assert (tmp_path / "out" / ADAPTER / "adapter_model.safetensors").is_file()
    assert [row["step"] for row in read_steps(tmp_path / "out")] == list(range(1, 9))


def test_a_stopped_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    threads, base = write_threads(tmp_path), tiny_folder(tmp_path / "base")
    whole = train_sft(load_decoder(base), threads, tmp_path / "whole", SETTINGS)
    # Stops after every step, past the last state or not.
    for _ in range(SETTINGS.steps):
        parts = train_sft(load_decoder(base), threads, tmp_path / "parts", SETTINGS, limit_s=1e-9)
        if parts["steps"] == SETTINGS.steps:
            break
        parts = train_sft(load_decoder(base), threads, tmp_path / "parts", SETTINGS)
    assert parts["best_nats"] == pytest.approx(whole["best_nats"], abs=1e-5)
    losses = [[row["loss"] for row in read_steps(tmp_path / name)] for name in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    threads, base = write_threads(tmp_path), tiny_folder(tmp_path / "base")
    few = msgspec.structs.replace(SETTINGS, steps=1)
    train_sft(load_decoder(base), threads, tmp_path / "out", few)
    with pytest.raises(ConfigError, match="other settings"):
        train_sft(load_decoder(base), threads, tmp_path / "out", SETTINGS)


def test_loss_is_of_the_reply_alone_even_where_the_post_says_the_same(tmp_path: Path) -> None:
    decoder = tiny_decoder(tmp_path)
    (one,) = whole_examples(decoder, parted(read_threads(write_threads(tmp_path)))[0], 1, 0, 96)
    same = type(one)(decoder.prompt_tokens(decoder.text_of(one.reply)), one.reply)
    loss, tokens = reply_loss(decoder, [same])
    assert tokens == len(one.reply)
    whole = torch.tensor([[*same.prompt, *same.reply]])
    labels = torch.tensor([[-100] * len(same.prompt) + same.reply])
    theirs = decoder.network(input_ids=whole, labels=labels).loss * tokens
    torch.testing.assert_close(loss, theirs, atol=1e-3, rtol=0)


def test_the_last_threads_are_held_out_and_long_replies_are_not_cut_to_learn_from(
    tmp_path: Path,
) -> None:
    threads = read_threads(write_threads(tmp_path, 40))
    learnt, held = parted(threads)
    assert [one.post for one in held] == ["post 38", "post 39"]
    assert len(learnt) == 38
    decoder = tiny_decoder(tmp_path / "base")
    long = [type(threads[0])("post", ("x" * 400, "fine"))]
    assert {decoder.text_of(one.reply) for one in whole_examples(decoder, long, 50, 1, 96)} == {
        "fine"
    }


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"post": "a"}',
        '{"post": "a", "replies": []}',
        '{"post": 1, "replies": ["a"]}',
        '{"post": "a", "replies": [" "]}',
    ],
)
def test_a_file_that_is_none_of_threads_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "threads.jsonl"
    file.write_text(line + "\n" + line + "\n")
    with pytest.raises(ConfigError, match=r"threads\.jsonl"):
        read_threads(file)


def test_examples_of_a_batch_are_about_as_long_and_none_is_lost() -> None:
    examples = [Example([0] * (row * 37 % 64 + 1), [row]) for row in range(64)]
    found = by_length(examples, 4, 0)
    assert sorted(one.reply[0] for one in found) == list(range(64))
    spreads = [
        max(len(one.prompt) for one in found[row : row + 4])
        - min(len(one.prompt) for one in found[row : row + 4])
        for row in range(0, 64, 4)
    ]
    assert max(spreads) == 3
    assert [len(one.prompt) for one in found] != sorted(len(one.prompt) for one in found)
